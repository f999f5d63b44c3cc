//! The webhook that puts sidecars into pods: whether it is served, and what sidecars are told.

use std::net::SocketAddr;

use clap::Args;

use super::Admission;
use super::check::Check;

/// The flags as they were given.
#[derive(Args)]
pub(super) struct RawAdmission {
    /// In a cluster: where the API server asks about sidecars, over TLS [default: nowhere]
    #[arg(long, value_name = "HOST:PORT", env = "PENSTOCK_ADMISSION_LISTEN")]
    admission_listen: Option<String>,
    /// In a cluster: the image of the sidecars
    #[arg(long, value_name = "IMAGE", env = "PENSTOCK_PROXY_IMAGE")]
    proxy_image: Option<String>,
    /// In a cluster: where sidecars find the controllers
    #[arg(long, value_name = "URL", env = "PENSTOCK_PROXY_CONTROLLER_URL")]
    proxy_controller_url: Option<String>,
}

impl RawAdmission {
    /// What sidecars are told is checked only where there is a webhook to tell it. A mistake reads as not given.
    pub(super) fn check(self, check: &mut Check) -> Option<Admission> {
        let Self { admission_listen, proxy_image, proxy_controller_url } = self;
        let address = |text: &str| match text {
            "" => Some(None),
            text => text.parse::<SocketAddr>().ok().map(Some),
        };
        let what = "an address and a port";
        let listen = check.value("admission-listen", admission_listen, "", what, address)??;
        let what = "an image, as registry.example/proxy:1.2.3";
        let image = check.value("proxy-image", proxy_image, "", what, image);
        let what = "https://host:port, as sidecars reach the controllers";
        let controller = check.value("proxy-controller-url", proxy_controller_url, "", what, url);
        Some(Admission { listen, image: image?, controller: controller? })
    }
}

fn image(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| text.to_owned())
}

fn url(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://")?;
    (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| text.to_owned())
}
