//! Takes the controller's pushes in. Never waits for anything but the controller, never unpublishes.

use std::sync::Arc;

use penstock_proto::resource::Update;
use penstock_proto::snapshot::Snapshot;
use penstock_proto::wire;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{info, warn};
use wire::subscribe_request::Message as Say;
use wire::subscribe_response::Message as Heard;

use super::{Client, Control, LinkError};

/// Answers that wait to be written. The controller sends no faster than it reads them, so more than a
/// few never wait.
const ANSWERS: usize = 16;

/// One stream, until it breaks. `held` is what this proxy has been told; it is published whenever the
/// controller says that it is complete.
pub(super) async fn session(
    control: &Control,
    mut client: Client,
    held: &mut Snapshot,
) -> Result<(), LinkError> {
    let (say, said) = mpsc::channel(ANSWERS);
    let hello = wire::Hello::new(&control.identity, &held.versions);
    send(&say, Say::Hello(hello)).await?;
    let mut pushes = client.subscribe(ReceiverStream::new(said)).await?.into_inner();
    control.connected();
    while let Some(response) = pushes.message().await? {
        // Something that this version does not know is no push.
        let Some(Heard::Update(push)) = response.message else { continue };
        let answer = take_in(control, held, push);
        send(&say, answer).await?;
    }
    Err(LinkError::Closed)
}

fn take_in(control: &Control, held: &mut Snapshot, push: wire::Update) -> Say {
    let (nonce, complete) = (push.nonce, push.complete);
    let (next, refusals) = held.apply(Update::from(push));
    *held = next;
    if complete {
        control.snapshots.send_replace(Arc::new(held.clone()));
    }
    for refusal in &refusals {
        let (kind, name) = (refusal.key.kind.as_label(), refusal.key.name.as_str());
        warn!(
            kind,
            name,
            reason = refusal.reason,
            "a resource was refused; the last good one stays in force"
        );
    }
    if complete && !control.status.borrow().synced {
        info!(accounts = held.accounts.len(), pools = held.pools.len(), "the first snapshot is in force");
    }
    control.status.send_if_modified(|status| {
        let changed = (complete && !status.synced) || status.refusals != refusals;
        status.synced |= complete;
        status.refusals.clone_from(&refusals);
        changed
    });
    if refusals.is_empty() {
        return Say::Ack(wire::Ack { nonce });
    }
    Say::Nack(wire::Nack { nonce, refusals: refusals.iter().map(Into::into).collect() })
}

async fn send(say: &mpsc::Sender<wire::SubscribeRequest>, message: Say) -> Result<(), LinkError> {
    let request = wire::SubscribeRequest { message: Some(message) };
    say.send(request).await.map_err(|_| LinkError::Closed)
}
