//! The end of the process: what runs is finished, what waits is kept.

use std::sync::Arc;
use std::time::Duration;

use penstock_proto::event::Ending;
use penstock_proto::event::Event;
use penstock_proxy::sink::Sink;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::*;

#[tokio::test]
async fn a_running_stream_finishes_and_nothing_new_is_accepted() {
    let wait = Arc::new(Notify::new());
    let held = Arc::clone(&wait);
    let provider = Provider::start(move |_| {
        vec![chunked(), chunk(START), chunk(TEXT), Do::Wait(Arc::clone(&held)), chunk(END), chunk("")]
    })
    .await;
    let mut proxy = Proxy::start(vec![account("a", &provider, 0)]).await;
    let mut idle = proxy.client().await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK_STREAM)).await;
    client.read_until("text_delta").await;

    proxy.shutdown.drain.cancel();
    assert_eq!(proxy.admin("/readyz").await.status, 503);
    assert_eq!(proxy.admin("/livez").await.status, 200);
    idle.read_to_end().await;
    while TcpStream::connect(proxy.listen).await.is_ok() {
        tokio::task::yield_now().await;
    }
    wait.notify_one();
    let answer = client.answer().await;
    assert_eq!((answer.text(), answer.whole), ([START, TEXT, END].concat().as_str(), true));
    proxy.ended().await.unwrap();
    assert_eq!(proxy.event().await.ending, Ending::Complete);
}

#[tokio::test]
async fn what_still_runs_when_the_time_is_over_is_cut_off_and_recorded() {
    let mut provider =
        Provider::always(|| vec![chunked(), chunk(START), chunk(TEXT), Do::WaitForClose]).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let mut proxy = Proxy::start_with(accounts, pool, |config| {
        config.drain_timeout = Duration::from_millis(100);
    })
    .await;
    let mut client = proxy.client().await;
    client.write(post("/v1/messages", "", ASK_STREAM)).await;
    client.read_until("text_delta").await;
    proxy.shutdown.drain.cancel();
    proxy.ended().await.unwrap();
    assert!(!client.answer().await.whole);
    provider.request().await.gone.unwrap().await.expect("the provider's connection is closed");
    assert_eq!(proxy.event().await.ending, Ending::Truncated);
}

#[tokio::test]
async fn history_that_nobody_took_is_found_by_the_next_process() {
    let dir = tempfile::TempDir::new().unwrap();
    let provider = Provider::always(|| json(200, MESSAGE)).await;
    let accounts = vec![account("a", &provider, 0)];
    let pool = pool(&accounts);
    let spool = dir.path().to_owned();
    let mut proxy = Proxy::start_with(accounts, pool, move |config| config.spool_dir = Some(spool)).await;
    let answer = proxy.post("/v1/messages", ASK).await;
    proxy.shutdown.drain.cancel();
    proxy.ended().await.unwrap();
    drop(proxy);
    let next = Sink::open(Some(dir.path())).unwrap();
    let batch = next.take(10, &CancellationToken::new()).await;
    let event = Event::from_bytes(&batch.events()[0]).unwrap();
    assert_eq!(answer.values("x-penstock-request-id"), [event.id.to_string()]);
}
