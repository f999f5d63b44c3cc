//! The names of conditions and of their reasons. They are an interface: scripts and alerts match on them.

/// Condition `Accepted`: the object is understood and can be used as it is written.
pub const ACCEPTED: &str = "Accepted";
/// Condition `CredentialsValid`: the Secret is there and readable, and the provider has not rejected it.
pub const CREDENTIALS_VALID: &str = "CredentialsValid";
/// Condition `Available`: requests are sent to it now.
pub const AVAILABLE: &str = "Available";

/// Everything is as it should be, for [`ACCEPTED`].
pub const REASON_ACCEPTED: &str = "Accepted";
/// Everything is as it should be, for [`CREDENTIALS_VALID`].
pub const REASON_VALID: &str = "Valid";
/// Everything is as it should be, for [`AVAILABLE`].
pub const REASON_AVAILABLE: &str = "Available";
