//! The webhook that puts sidecars into pods, started where the settings ask for one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Context;
use penstock_controller_core::inject::{Resources, Settings};

use super::tasks::Tasks;
use super::{Parts, listen};
use crate::admission::{Admission, bundle, native_sidecars};
use crate::certificates::Certificates;
use crate::config::Config;

/// Serves the webhook, and keeps its configuration trusting `certificates`. Does nothing outside a cluster.
pub(super) async fn start(
    config: &Config,
    parts: &Parts,
    certificates: &Certificates,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let (Some(webhook), Some((client, cluster))) = (&config.admission, &parts.api_server) else {
        return Ok(());
    };
    let settings = Settings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        image: webhook.image.clone(),
        controller: webhook.controller.clone(),
        name: cluster.name.clone(),
        own_namespace: Some(cluster.own_namespace.clone()),
        native: native_sidecars(client).await,
        admin_address: every_address(webhook.listen.ip()),
        resources: Resources::default(),
    };
    let tls = certificates.server_config().context("TLS of the webhook")?;
    let (listener, _) = listen("--admission-listen", webhook.listen).await?;
    let admission = Admission::new(settings, parts.metrics.admission.clone());
    let stop = tasks.stop_front.clone();
    tasks.front("admission", async move { Ok(admission.serve(listener, &tls, stop).await?) });
    let keeping = bundle::keep(client.clone(), cluster.name.clone(), certificates.bundle());
    let stop = tasks.stop_front.clone();
    tasks.front("webhook bundle", async move {
        stop.run_until_cancelled(keeping).await;
        Ok(())
    });
    Ok(())
}

/// Where this controller is called by IPv6, so are the sidecars by their kubelet.
fn every_address(ours: IpAddr) -> IpAddr {
    match ours {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
