//! The annotations of a pod, checked. A mistake is said in words that mend it, and all mistakes at once.

use super::quantity::Quantity;
use super::read::Pod;
use super::{Settings, names};
use crate::validate::{is_dns_name, nearest};

/// What a sidecar may use, as Kubernetes writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// CPU set aside for it.
    pub cpu_request: String,
    /// CPU it may use at most. `None`: what the node has; a limit would slow down requests now and then.
    pub cpu_limit: Option<String>,
    /// Memory set aside for it.
    pub memory_request: String,
    /// Memory it may use at most.
    pub memory_limit: String,
}

/// What a sidecar gets by default, from `docs/benchmarks.md`: 8 MiB before the first request, 15 MiB under
/// load, and each request's body for as long as another account may have to be asked. The limit holds a
/// hundred requests of a megabyte at the same time. Of CPU a request takes 0.05 to 1 ms.
pub const DEFAULT_RESOURCES: [&str; 3] = ["10m", "16Mi", "128Mi"];

impl Default for Resources {
    fn default() -> Self {
        let [cpu_request, memory_request, memory_limit] = DEFAULT_RESOURCES.map(str::to_owned);
        Self { cpu_request, cpu_limit: None, memory_request, memory_limit }
    }
}

/// With less it is killed before the first request.
const LEAST_MEMORY: &str = "16Mi";

/// What a pod asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) pool: Option<String>,
    pub(super) image: String,
    pub(super) log: Option<String>,
    pub(super) resources: Resources,
}

impl Options {
    pub(super) fn of(pod: &Pod, settings: &Settings) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let mut text = |name: &str, what: &str, fits: fn(&str) -> bool| match pod.annotation(name) {
            Some(value) if !fits(value) => {
                wrong.push(format!("{name}: {value:?} is not {what}"));
                None
            }
            value => value.map(str::to_owned),
        };
        let pool = text(names::POOL, "the name of an AccountPool", |name| is_dns_name(name, 253));
        let image = text(names::IMAGE, "an image, as registry.example/proxy:1.2.3", is_image);
        let log = text(names::LOG, "a level, or levels as info,penstock_proxy=debug", is_log);
        let cpu = pair(
            pod,
            [names::CPU_REQUEST, names::CPU_LIMIT],
            &mut wrong,
            Bounds {
                request: &settings.resources.cpu_request,
                limit: settings.resources.cpu_limit.as_deref(),
                what: "an amount of CPU, as 250m",
                least: None,
            },
        );
        let memory = pair(
            pod,
            [names::MEMORY_REQUEST, names::MEMORY_LIMIT],
            &mut wrong,
            Bounds {
                request: &settings.resources.memory_request,
                limit: Some(&settings.resources.memory_limit),
                what: "an amount of memory, as 64Mi",
                least: Quantity::parse(LEAST_MEMORY),
            },
        );
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let resources = Resources {
            cpu_request: cpu.0,
            cpu_limit: cpu.1,
            memory_request: memory.0,
            memory_limit: memory.1.unwrap_or_else(|| settings.resources.memory_limit.clone()),
        };
        Ok(Self { pool, image: image.unwrap_or_else(|| settings.image.clone()), log, resources })
    }
}

/// A sentence for each annotation that looks like one of ours and is none.
pub(super) fn misspelt(pod: &Pod) -> Vec<String> {
    let ours = pod.annotations().filter(|name| name.starts_with("penstock.dev/"));
    ours.filter(|name| !names::ANNOTATIONS.contains(name))
        .map(|name| match nearest(name, names::ANNOTATIONS) {
            _ if name == names::INJECT => {
                format!("{name} is a label, not an annotation: as an annotation it does nothing")
            }
            Some(near) => format!("there is no annotation {name}: is it {near}?"),
            None => format!("there is no annotation {name}; there are {}", names::ANNOTATIONS.join(", ")),
        })
        .collect()
}

/// What holds for one resource.
struct Bounds<'a> {
    request: &'a str,
    limit: Option<&'a str>,
    what: &'a str,
    least: Option<Quantity>,
}

/// Request and limit. Where one is said, the other follows as far as it must.
fn pair(
    pod: &Pod,
    [request_name, limit_name]: [&str; 2],
    wrong: &mut Vec<String>,
    bounds: Bounds<'_>,
) -> (String, Option<String>) {
    let Bounds { request, limit, what, least } = bounds;
    let mut said = |name: &str| {
        let text = pod.annotation(name)?;
        let quantity = Quantity::parse(text);
        if quantity.is_none() {
            wrong.push(format!("{name}: {text:?} is not {what}"));
        }
        quantity
    };
    let (said_request, said_limit) = (said(request_name), said(limit_name));
    if let (Some(limit), Some(least)) = (&said_limit, &least)
        && limit < least
    {
        wrong.push(format!(
            "{limit_name}: {} is less than the proxy needs ({})",
            limit.as_str(),
            least.as_str()
        ));
    }
    if let (Some(request), Some(limit)) = (&said_request, &said_limit)
        && request > limit
    {
        wrong.push(format!(
            "{request_name}: {} is more than {limit_name}: {}",
            request.as_str(),
            limit.as_str()
        ));
    }
    let request = match (&said_request, &said_limit) {
        (Some(request), _) => request.as_str().to_owned(),
        (None, Some(limit)) if Quantity::parse(request).is_some_and(|request| request > *limit) => {
            limit.as_str().to_owned()
        }
        (None, _) => request.to_owned(),
    };
    let limit = match (&said_limit, &said_request) {
        (Some(limit), _) => Some(limit.as_str().to_owned()),
        (None, Some(request)) if limit.and_then(Quantity::parse).is_some_and(|limit| *request > limit) => {
            Some(request.as_str().to_owned())
        }
        (None, _) => limit.map(str::to_owned),
    };
    (request, limit)
}

/// Near enough to catch slips; the kubelet knows the rest.
fn is_image(text: &str) -> bool {
    let is_allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'@');
    (1..=512).contains(&text.len())
        && text.bytes().all(is_allowed)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric())
}

fn is_log(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'=' | b','))
}
