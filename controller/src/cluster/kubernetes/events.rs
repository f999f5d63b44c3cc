//! Telling of what began or ended as Events, so that `kubectl describe` shows them. Best effort: what matters
//! stands in the status.

use std::time::Duration;

use kube::runtime::events::{Event, EventType};
use penstock_controller_core::reconcile::{Refused, Transition};
use penstock_controller_core::validate::Kind;
use penstock_crds::account::status::State;
use penstock_proto::ids::ObjectId;
use tracing::debug;

use super::Kubernetes;
use crate::cluster::Notice;

/// An Event that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the API server allows, in bytes.
const LONGEST_NOTE: usize = 1_024;

impl Kubernetes {
    pub(in crate::cluster) async fn tell(&self, notice: Notice<'_>) {
        let (kind, id, event) = match notice {
            Notice::Transition(transition) => (Kind::Account, &transition.account, of_transition(transition)),
            Notice::Refused(refused) => (refused.kind, &refused.id, of_refused(refused)),
        };
        self.publish_event(kind, id, event).await;
    }

    async fn publish_event(&self, kind: Kind, id: &ObjectId, event: Event) {
        let Some(reference) = self.reference(kind, id) else { return };
        let sent = tokio::time::timeout(PATIENCE, self.recorder.publish(&event, &reference)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, %id, "an Event could not be sent"),
            Err(_) => debug!(%id, "an Event could not be sent in time"),
        }
    }
}

fn of_transition(transition: &Transition) -> Event {
    let Transition { account: _, from, to, reason, message } = transition;
    let way = match from {
        Some(from) => format!("{} → {}", from.as_label(), to.as_label()),
        None => to.as_label().to_owned(),
    };
    let note = if message.is_empty() { way } else { format!("{way}: {message}") };
    let type_ = match to {
        State::Available | State::Paused => EventType::Normal,
        State::Limited | State::Overloaded | State::NeedsLogin | State::Invalid | State::BudgetExhausted => {
            EventType::Warning
        }
    };
    // Events of the same action and reason are counted together, under the first one's note.
    let action = format!("{}To{}", from.map_or("Nothing", State::as_label), to.as_label());
    event(type_, reason, note, action)
}

fn of_refused(refused: &Refused) -> Event {
    event(EventType::Warning, &refused.reason, refused.message.clone(), "Accept".to_owned())
}

fn event(type_: EventType, reason: &str, mut note: String, action: String) -> Event {
    let end = (0..=note.len().min(LONGEST_NOTE)).rev().find(|at| note.is_char_boundary(*at));
    note.truncate(end.unwrap_or(0));
    Event { type_, reason: reason.to_owned(), note: Some(note), action, secondary: None }
}
