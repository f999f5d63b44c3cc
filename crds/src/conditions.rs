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

/// The base URL is missing or is not one ([`ACCEPTED`]).
pub const REASON_INVALID_BASE_URL: &str = "InvalidBaseUrl";
/// A rule of the kind is broken that the API server would have refused ([`ACCEPTED`]).
pub const REASON_INVALID_SPEC: &str = "InvalidSpec";
/// A header cannot be sent ([`ACCEPTED`]).
pub const REASON_INVALID_HEADER: &str = "InvalidHeader";
/// The ConfigMap of the certificate authorities is not there, or has no `ca.crt` ([`ACCEPTED`]).
pub const REASON_CA_BUNDLE_NOT_FOUND: &str = "CaBundleNotFound";
/// An account that is named is not there ([`ACCEPTED`] of a pool).
pub const REASON_ACCOUNT_NOT_FOUND: &str = "AccountNotFound";
/// An account that is named does not allow the namespace ([`ACCEPTED`] of a pool).
pub const REASON_ACCOUNT_NOT_ALLOWED: &str = "AccountNotAllowed";
/// The pool that is named is not there ([`ACCEPTED`] of a grant).
pub const REASON_POOL_NOT_FOUND: &str = "PoolNotFound";
/// The Secret of a client key has no usable hash ([`ACCEPTED`] of a grant).
pub const REASON_INVALID_CLIENT_KEY: &str = "InvalidClientKey";
/// No account of the pool can serve now ([`AVAILABLE`] of a pool).
pub const REASON_NO_ACCOUNT_AVAILABLE: &str = "NoAccountAvailable";
/// The pool has no account ([`AVAILABLE`] of a pool).
pub const REASON_NO_ACCOUNTS: &str = "NoAccounts";

/// The provider wants a credential and the object names none ([`CREDENTIALS_VALID`]).
pub const REASON_CREDENTIALS_REQUIRED: &str = "CredentialsRequired";
/// The Secret is not there ([`CREDENTIALS_VALID`]; of a grant [`ACCEPTED`]).
pub const REASON_SECRET_NOT_FOUND: &str = "SecretNotFound";
/// The controller may not read Secrets in this namespace ([`CREDENTIALS_VALID`]).
pub const REASON_SECRET_FORBIDDEN: &str = "SecretForbidden";
/// The Secret is there without the key that the provider needs ([`CREDENTIALS_VALID`]).
pub const REASON_SECRET_KEY_MISSING: &str = "SecretKeyMissing";
/// A value of the Secret cannot be sent or read ([`CREDENTIALS_VALID`]).
pub const REASON_SECRET_MALFORMED: &str = "SecretMalformed";
/// The access token has ended ([`CREDENTIALS_VALID`]).
pub const REASON_TOKEN_EXPIRED: &str = "TokenExpired";
/// The provider rejected this very credential ([`CREDENTIALS_VALID`]).
pub const REASON_CREDENTIAL_REJECTED: &str = "CredentialRejected";

/// A person set it aside ([`AVAILABLE`]).
pub const REASON_PAUSED: &str = "Paused";
/// The budget of the period is spent ([`AVAILABLE`]).
pub const REASON_BUDGET_EXHAUSTED: &str = "BudgetExhausted";
