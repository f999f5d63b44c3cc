//! A namespace for one test, and what to show when the test fails.

use std::panic::AssertUnwindSafe;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::process::random;
use crate::report::describe;

/// Runs `test` with the name of a namespace of its own, which is deleted afterwards, whether the test panics or not. If
/// it panics, events, pods and logs of the namespace are shown.
///
/// # Panics
/// If the test does, or if the namespace cannot be made.
pub async fn with_temp_ns<T>(client: &Client, test: impl AsyncFnOnce(&str) -> T) -> T {
    let name = create(client).await.expect("a namespace for the test");
    let ended = AssertUnwindSafe(test(&name)).catch_unwind().await;
    if ended.is_err() {
        eprintln!("{}", describe(client, &[&name]).await);
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let deleted = namespaces.delete(&name, &DeleteParams::background()).await;
    match ended {
        Ok(value) => {
            deleted.expect("the test's namespace is deleted");
            value
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Creates a namespace with a name of its own, with its `default` ServiceAccount, which pods wait for.
pub async fn create(client: &Client) -> Result<String> {
    let name = format!("test-{:08x}", random() >> 32);
    let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
        .await
        .with_context(|| format!("namespace {name}"))?;
    ensure_service_account(client, &name, "default").await?;
    Ok(name)
}

/// Creates a ServiceAccount unless it is there; without a controller manager nobody makes `default`.
pub async fn ensure_service_account(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    match accounts.create(&PostParams::default(), &account).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        created => created.map(drop).with_context(|| format!("ServiceAccount {namespace}/{name}")),
    }
}
