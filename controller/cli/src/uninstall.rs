//! `penstock uninstall-leftovers`: removes what the controller made besides the Helm release. The chart runs it when
//! the release has gone; nobody calls it by hand.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

/// Between looks at whether the last controller has gone.
const LOOK: Duration = Duration::from_secs(1);
/// What the controller writes on every object that it makes.
const MADE_BY_CONTROLLER: &str = "app.kubernetes.io/managed-by=penstock";

#[derive(Args)]
pub(crate) struct UninstallArgs {
    /// Prefix of all names
    #[arg(long, default_value = "penstock")]
    name: String,
    /// Where the controller was
    #[arg(long)]
    namespace: String,
}

pub(crate) async fn run(args: UninstallArgs) -> anyhow::Result<()> {
    let client = Client::try_default().await.context("finding the cluster")?;
    let UninstallArgs { name, namespace } = args;
    // A controller that still runs would make everything again.
    wait_for_the_last_controller(&client, &namespace, &name).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    for secret in ["ca", "admin-token"] {
        remove(&secrets, &namespace, &format!("{name}-{secret}")).await?;
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    remove(&leases, &namespace, &format!("{name}-controller")).await?;
    remove_authorities(&client, &format!("{name}-ca")).await
}

async fn wait_for_the_last_controller(client: &Client, namespace: &str, name: &str) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let selector = format!("app.kubernetes.io/instance={name},app.kubernetes.io/component=controller");
    let controllers = ListParams::default().labels(&selector);
    loop {
        let running = pods.list_metadata(&controllers).await.context("listing pods")?.items;
        if running.is_empty() {
            return Ok(());
        }
        println!("waiting for {} pods of the controller to end", running.len());
        tokio::time::sleep(LOOK).await;
    }
}

/// The ConfigMap with the authority's certificate, of every namespace that has one.
async fn remove_authorities(client: &Client, name: &str) -> anyhow::Result<()> {
    let all: Api<ConfigMap> = Api::all(client.clone());
    // By its name, because that is all that this program may do.
    let named = ListParams::default().fields(&format!("metadata.name={name}")).labels(MADE_BY_CONTROLLER);
    for made in all.list_metadata(&named).await.context("listing ConfigMaps")?.items {
        let namespace = made.namespace().unwrap_or_default();
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        remove(&config_maps, &namespace, name).await?;
    }
    Ok(())
}

/// Deletes an object; it is as good if it was not there.
async fn remove<K>(objects: &Api<K>, namespace: &str, name: &str) -> anyhow::Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let kind = K::kind(&());
    match objects.delete(name, &DeleteParams::default()).await {
        Ok(_) => println!("{kind} {namespace}/{name} removed"),
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => return Err(error).with_context(|| format!("removing {kind} {namespace}/{name}")),
    }
    Ok(())
}
