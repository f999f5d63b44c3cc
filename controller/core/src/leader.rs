//! Who leads, decided by each replica for itself over one shared record that changes only for whoever saw its
//! latest version: a Lease.
//!
//! No clock is ever compared with another one. A candidate takes over when *it* has seen the same version of
//! the record for as long as the holder was promised; a leader counts its time from *before* it asked for it,
//! and stops [`Timing::margin`] early. So two lead at once only if one clock ran faster than the other by more
//! than the margin allows: a fifth, as the times are. A machine that sleeps stops the clock that is used here;
//! that is why every write is fenced by the version of what it changes, too.

use std::time::Duration;

/// What the record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Changes with every write.
    pub version: String,
    /// Who leads; `None`: whoever did has let go.
    pub holder: Option<String>,
    /// What the holder was promised.
    pub promised: Duration,
}

/// The times of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// What a leader is promised with each renewal.
    pub promised: Duration,
    /// How much earlier it stops by itself.
    pub margin: Duration,
    /// Between renewals.
    pub renew: Duration,
    /// Between looks of those that do not lead, and between tries.
    pub look: Duration,
}

/// One replica in an election. Time is what has passed since an instant of its own, on a clock that never goes
/// back.
#[derive(Debug, Clone)]
pub struct Candidate {
    me: String,
    timing: Timing,
    /// The record as last seen, and since when in this version.
    seen: Option<(Option<Record>, Duration)>,
    /// When it was last looked at or written.
    last: Option<Duration>,
    /// Until when this one leads.
    until: Option<Duration>,
}

/// What a candidate does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read the record, and tell with [`Candidate::saw`].
    Look,
    /// Write oneself as its holder, if it still has this version (`None`: if there is none), and tell with
    /// [`Candidate::wrote`] or [`Candidate::failed`].
    Write {
        /// The version that is replaced.
        over: Option<String>,
    },
    /// Nothing before this time.
    Wait(Duration),
}

impl Timing {
    /// The times that Kubernetes itself elects with; the margin covers clocks that differ by a fifth, and a
    /// write that is under way when the time is up.
    pub const DEFAULT: Self = Self {
        promised: Duration::from_secs(15),
        margin: Duration::from_secs(5),
        renew: Duration::from_secs(2),
        look: Duration::from_secs(1),
    };
}

impl Candidate {
    /// One that has not looked yet. `me` is nobody else's name, not even that of an earlier run of this program.
    pub fn new(me: impl Into<String>, timing: Timing) -> Self {
        Self { me: me.into(), timing, seen: None, last: None, until: None }
    }

    /// What to do at `now`.
    pub fn step(&self, now: Duration) -> Step {
        let (Some((record, since)), Some(last)) = (&self.seen, self.last) else {
            return self.last.map_or(Step::Look, |last| paced(last + self.timing.look, now, Step::Look));
        };
        let Some(record) = record else { return Step::Write { over: None } };
        let write = Step::Write { over: Some(record.version.clone()) };
        match &record.holder {
            None => write,
            Some(holder) if *holder == self.me => paced(last + self.timing.renew, now, write),
            Some(_) if now >= *since + record.promised => write,
            Some(_) => paced(last + self.timing.look, now, Step::Look),
        }
    }

    /// It was read, and this is what it said when the answer had come.
    pub fn saw(&mut self, record: Option<Record>, now: Duration) {
        let version = |record: &Option<Record>| record.as_ref().map(|record| record.version.clone());
        let since = match &self.seen {
            Some((held, since)) if version(held) == version(&record) => *since,
            _ => now,
        };
        (self.seen, self.last) = (Some((record, since)), Some(now));
    }

    /// It was written, and now has this version. `asked`: before the request was sent.
    pub fn wrote(&mut self, record: Record, asked: Duration, now: Duration) {
        self.until = Some(asked + self.timing.promised.saturating_sub(self.timing.margin));
        (self.seen, self.last) = (Some((Some(record), now)), Some(now));
    }

    /// It could not be read or written, or somebody else was quicker: what it says now is not known.
    pub fn failed(&mut self, now: Duration) {
        (self.seen, self.last) = (None, Some(now));
    }

    /// Until when this one leads, if it does at `now`.
    pub fn leads_until(&self, now: Duration) -> Option<Duration> {
        self.until.filter(|until| now < *until)
    }

    /// Leads no more. What stands in the record then is to be given up, if it is this one's.
    pub fn resign(&mut self) -> Option<String> {
        self.until = None;
        let (record, _) = self.seen.take()?;
        record.filter(|record| record.holder.as_ref() == Some(&self.me)).map(|record| record.version)
    }
}

fn paced(next: Duration, now: Duration, step: Step) -> Step {
    if now >= next { step } else { Step::Wait(next) }
}
