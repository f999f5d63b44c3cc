//! Who may write as a single writer. Whatever spends a refresh token, writes conditions over time or
//! deletes stored data takes a [`Leadership`], so that it cannot be called without asking here first.

use std::time::Duration;

use tokio::time::Instant;

/// Proof that this replica leads, until shortly before another one may.
#[derive(Debug)]
pub struct Leadership {
    valid_until: Option<Instant>,
}

/// How it is decided who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// There is no other replica: a private Postgres and a folder of manifests belong to one controller.
    Alone,
}

impl Election {
    /// The proof, if this replica leads now.
    pub fn leadership(&self) -> Option<Leadership> {
        match self {
            Self::Alone => Some(Leadership { valid_until: None }),
        }
    }
}

impl Leadership {
    /// How long it still lasts at `now`; `None` = for as long as this process lives.
    pub fn lasts(&self, now: Instant) -> Option<Duration> {
        self.valid_until.map(|end| end.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_that_is_alone_leads_for_ever() {
        let leadership = Election::Alone.leadership().unwrap();
        assert_eq!(leadership.lasts(Instant::now()), None);
    }
}
