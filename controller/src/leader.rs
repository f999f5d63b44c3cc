//! Who may write as a single writer. Whatever spends a refresh token, writes conditions over time or
//! deletes stored data takes a [`Leadership`], so that it cannot be called without asking here first.
//!
//! | module | what it owns |
//! |---|---|
//! | [`lease`] | the election among replicas, on a Lease of Kubernetes |

pub mod lease;

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Proof that this replica leads, until shortly before another one may. Whoever holds one delays the hand-over of
/// a controller that stops, so it is asked for when it is needed and dropped after.
pub struct Leadership {
    valid_until: Option<Instant>,
    _held: Option<TaskTrackerToken>,
}

/// How it is decided who leads. Cheap to clone.
#[derive(Clone)]
pub enum Election {
    /// There is no other replica: a private Postgres and a folder of manifests belong to one controller.
    Alone,
    /// Replicas of one installation elect among them.
    Lease(Candidacy),
}

/// This replica in an election.
#[derive(Clone)]
pub struct Candidacy {
    /// Until when it leads.
    until: watch::Receiver<Option<Instant>>,
    /// The proofs that were handed out.
    proofs: TaskTracker,
}

impl Election {
    /// The proof, if this replica leads now.
    pub fn leadership(&self) -> Option<Leadership> {
        match self {
            Self::Alone => Some(Leadership { valid_until: None, _held: None }),
            Self::Lease(Candidacy { until, proofs }) => {
                let until = (*until.borrow()).filter(|until| *until > Instant::now())?;
                Some(Leadership { valid_until: Some(until), _held: Some(proofs.token()) })
            }
        }
    }

    /// Returns when this replica may have begun or ceased to lead since it was last asked.
    pub async fn changed(&mut self) {
        match self {
            Self::Lease(Candidacy { until, .. }) => {
                if until.changed().await.is_err() {
                    // Nobody is elected any more: the process ends.
                    std::future::pending::<()>().await;
                }
            }
            Self::Alone => std::future::pending().await,
        }
    }
}

impl Leadership {
    /// How long it still lasts at `now`; `None` = for as long as this process lives.
    pub fn lasts(&self, now: Instant) -> Option<Duration> {
        self.valid_until.map(|end| end.saturating_duration_since(now))
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("valid_until", &self.valid_until).finish_non_exhaustive()
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

    #[tokio::test(start_paused = true)]
    async fn a_proof_is_given_only_while_this_one_leads() {
        let (sender, until) = watch::channel(None);
        let election = Election::Lease(Candidacy { until, proofs: TaskTracker::new() });
        assert!(election.leadership().is_none());
        let end = Instant::now() + Duration::from_secs(10);
        sender.send_replace(Some(end));
        let leadership = election.leadership().unwrap();
        assert_eq!(leadership.lasts(Instant::now()), Some(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(election.leadership().is_none(), "nobody had to tell");
        assert_eq!(leadership.lasts(Instant::now()), Some(Duration::ZERO));
    }
}
