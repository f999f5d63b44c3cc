//! What can go wrong with the store, and whether trying again can help.

use tokio_postgres::error::SqlState;

/// A step of the store that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// TLS could not be set up.
    #[error("TLS for the database could not be set up")]
    Tls {
        /// Why.
        source: rustls::Error,
    },
    /// No connection to the database.
    #[error("the database cannot be reached")]
    Unreachable {
        /// Why.
        source: Box<deadpool_postgres::PoolError>,
    },
    /// Whoever answers is not known to be the database.
    #[error(
        "the database's certificate is not accepted: give the file of the authority that issued it with \
         --database-ca, and name the database in the URL by a name that is in the certificate"
    )]
    Untrusted {
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// A copy of the database answered, which takes no writes: after a failover, until the name leads to
    /// the new primary.
    #[error("the database is a standby, which cannot be written to")]
    Standby,
    /// The tables could not be brought to this version.
    #[error("the database could not be migrated")]
    Migration {
        /// Why.
        source: Box<refinery::Error>,
    },
    /// A statement failed.
    #[error("the database refused to {step}")]
    Query {
        /// What was being done, as `do something`.
        step: &'static str,
        /// Why.
        source: tokio_postgres::Error,
    },
}

impl StoreError {
    /// No connection: because of the certificate, or for any other reason.
    pub(super) fn unconnected(source: deadpool_postgres::PoolError) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&source);
        while let Some(error) = cause {
            // An I/O error that wraps another one says only what that one's cause is.
            let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            let tls = io.and_then(|error| error.downcast_ref::<rustls::Error>());
            if let Some(error @ rustls::Error::InvalidCertificate(_)) = tls {
                return Self::Untrusted { source: error.clone() };
            }
            cause = error.source();
        }
        Self::Unreachable { source: Box::new(source) }
    }

    /// For `map_err`: names the step that failed.
    pub(super) fn at(step: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Query { step, source }
    }

    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Tls { .. } => false,
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::Standby => true,
            Self::Query { source, .. } => will_pass(source),
            Self::Migration { source } => match source.kind() {
                refinery::error::Kind::Connection(_, cause) => cause.downcast_ref().is_some_and(will_pass),
                _ => false,
            },
        }
    }

    /// Whether the database refused a value: it would refuse it for ever.
    pub fn is_bad_data(&self) -> bool {
        match self {
            Self::Tls { .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Standby
            | Self::Migration { .. } => false,
            Self::Query { source, .. } => {
                // A value out of range or malformed; a value too large for an index.
                source.code().is_some_and(|code| ["22", "54"].contains(&class(code)))
            }
        }
    }

    /// Whether the question took longer than it may.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Tls { .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Standby
            | Self::Migration { .. } => false,
            Self::Query { source, .. } => source.code() == Some(&SqlState::QUERY_CANCELED),
        }
    }

    /// Stable label for metrics.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::Tls { .. } => "tls",
            Self::Unreachable { .. } => "unreachable",
            Self::Untrusted { .. } => "untrusted",
            Self::Standby => "standby",
            Self::Migration { .. } => "migration",
            Self::Query { .. } => "query",
        }
    }
}

fn will_pass(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // Nothing from the server: the connection broke.
        None => true,
        // Connection, rollback, resources, locks, shutdown, system, internal; and a standby's refusal.
        Some(code) => {
            *code == SqlState::READ_ONLY_SQL_TRANSACTION
                || ["08", "40", "53", "55", "57", "58", "XX"].contains(&class(code))
        }
    }
}

/// The first two characters of an SQLSTATE.
fn class(code: &SqlState) -> &str {
    code.code().get(..2).unwrap_or_default()
}
