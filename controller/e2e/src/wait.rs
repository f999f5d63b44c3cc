//! Waiting for a state. Never for a length of time: the limit only ends a wait whose state never comes.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use futures_util::TryStreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

/// How long a wait may take before the test has failed: long, as a busy machine is no reason to fail.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at something that cannot be watched.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Watches the object of this name until `reached` says yes, and returns it as it was then. `reached` is given `None`
/// while the object does not exist. The error shows the object as it was last seen.
pub async fn await_condition<K>(
    api: &Api<K>,
    name: &str,
    mut reached: impl FnMut(Option<&K>) -> bool,
    patience: Duration,
) -> Result<Option<K>>
where
    K: Resource<DynamicType: Default> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let ends = Instant::now() + patience;
    let mut last = None;
    let mut failure = None;
    let watched = async {
        let mut objects = std::pin::pin!(watcher::watch_object(api.clone(), name).default_backoff());
        loop {
            match objects.try_next().await {
                Ok(Some(object)) if reached(object.as_ref()) => return object,
                Ok(Some(object)) => last = object,
                Ok(None) => unreachable!("a watch has no end"),
                Err(error) => failure = Some(error),
            }
        }
    };
    if let Ok(object) = timeout_at(ends, watched).await {
        return Ok(object);
    }
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let seen = match &last {
        Some(object) => serde_json::to_string_pretty(object)?,
        None => "nothing of this name".to_owned(),
    };
    let failure = failure.map(|error| format!("\nthe watch failed: {error}")).unwrap_or_default();
    bail!("{kind} {name} was not as expected within {patience:?}; last seen:\n{seen}{failure}")
}

/// Looks again and again until `look` succeeds. The error is that of the last look that ended; `what` names the state.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let ends = Instant::now() + PATIENCE;
    let mut last = None;
    // A look that never waits is ready before the limit is asked: the clock is read here, too.
    while Instant::now() < ends {
        match timeout_at(ends, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => last = Some(error),
            Err(_) => break,
        }
        sleep(BETWEEN_LOOKS).await;
    }
    let error = last.unwrap_or_else(|| anyhow!("the first look at it never ended"));
    Err(error.context(format!("{what} did not come true within {PATIENCE:?}")))
}
