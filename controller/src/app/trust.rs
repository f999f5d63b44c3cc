//! Who may connect, and what proves this controller to them: made and kept in the data folder by a controller that
//! is alone, shared by all replicas of a cluster.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use kube::Client;

use super::Parts;
use super::tasks::Tasks;
use crate::api::{Access, Rights};
use crate::certificates::Certificates;
use crate::certificates::distribute::Distribution;
use crate::certificates::keeper::Keeper;
use crate::cluster::kubernetes::people::People;
use crate::config::{Config, InCluster};
use crate::grpc::Identity;
use crate::grpc::identity::review::Reviews;
use crate::issuer;
use crate::metrics::Review;
use crate::own_secret::OwnSecret;
use crate::reconcile::Clock;
use crate::tokens::{shared_token, token};

/// What the listeners need.
pub(super) struct Trust {
    /// How proxies prove who they are.
    pub(super) identity: Identity,
    pub(super) certificates: Certificates,
    /// Who may use the management API.
    pub(super) access: Access,
}

/// Opens what there is, makes what there is not.
pub(super) async fn open(config: &Config, parts: &Parts, tasks: &mut Tasks) -> anyhow::Result<Trust> {
    match &parts.api_server {
        Some((client, settings)) => shared(config, client, settings, parts, tasks).await,
        None => alone(config),
    }
}

fn alone(config: &Config) -> anyhow::Result<Trust> {
    Ok(Trust {
        identity: Identity::SharedToken(token(&config.data.join("proxy-token"))?),
        certificates: Certificates::open(&config.data, &names_of(config), Timestamp::now())?,
        access: Access::by_token(token(&config.data.join("admin-token"))?, config.public_hosts.clone()),
    })
}

async fn shared(
    config: &Config,
    client: &Client,
    settings: &InCluster,
    parts: &Parts,
    tasks: &mut Tasks,
) -> anyhow::Result<Trust> {
    let InCluster { namespaces, own_namespace, pod: _, name, gateways } = settings.clone();
    let clock: Clock = Arc::new(Timestamp::now);
    let keeper = Keeper::new(client.clone(), &own_namespace, &name, Arc::clone(&clock));
    let authority = keeper.open().await.context("opening the certificate authority")?;
    let names = [names_of(config), services(&own_namespace, &name)].concat();
    let certificates = Certificates::of(authority, &names, Timestamp::now())?;
    let secret = OwnSecret::new(client.clone(), &own_namespace, &format!("{name}-admin-token"));
    let admin_token = shared_token(&secret).await.context("opening the admin token")?;
    let reviews = &parts.metrics.reviews;
    let rights = Rights::new(Box::new(People::new(client.clone())), Arc::clone(&clock), reviews);
    let access = Access::in_cluster(admin_token, &secret.name(), rights, config.public_hosts.clone());

    let keeping = keeper.run(certificates.clone(), parts.election.clone());
    let stop = tasks.stop_front.clone();
    tasks.front("authority", async move {
        stop.run_until_cancelled(keeping).await;
        Ok(())
    });
    let map = format!("{name}-ca");
    let distribution = Distribution { client: client.clone(), name: map, namespaces, own_namespace };
    let (bundle, objects) = (certificates.bundle(), parts.cluster.objects());
    let distributing = distribution.run(bundle, objects, parts.election.clone(), tasks.stop_front.clone());
    tasks.front("distribution", async move {
        distributing.await;
        Ok(())
    });
    let reading = issuer::run(client.clone(), parts.reconciler.clone(), tasks.stop_front.clone());
    tasks.front("issuer", async move {
        reading.await;
        Ok(())
    });
    let asked = reviews.of(Review::ProxyToken);
    let identity =
        Identity::TokenReview(Arc::new(Reviews::of_cluster(client.clone(), gateways, clock, asked)));
    Ok(Trust { identity, certificates, access })
}

/// The names that proxies use: those that were said, and the address if it is one.
fn names_of(config: &Config) -> Vec<String> {
    let mut names = config.tls_names.clone();
    let address = config.grpc_listen.ip();
    if !address.is_unspecified() {
        names.push(address.to_string());
    }
    names
}

/// The names of the Services in front of this controller, for proxies and for the API server.
fn services(namespace: &str, name: &str) -> Vec<String> {
    let forms = |service: String| {
        let short = format!("{service}.{namespace}");
        [format!("{short}.svc.cluster.local"), format!("{short}.svc"), short, service]
    };
    ["controller", "webhook"].into_iter().flat_map(|part| forms(format!("{name}-{part}"))).collect()
}
