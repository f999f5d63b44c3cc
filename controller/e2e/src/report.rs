//! What to look at when a test has failed: events, pods, and the logs of containers.

use std::fmt::Write;

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt};

/// Lines of each container's log.
const LOG_LINES: i64 = 60;

/// Describes these namespaces. What cannot be read is said in its place: a report never fails.
pub async fn describe(client: &Client, namespaces: &[&str]) -> String {
    let mut report = String::new();
    for namespace in namespaces {
        let _ = writeln!(report, "──── namespace {namespace}");
        report.push_str(&events(client, namespace).await);
        report.push_str(&pods(client, namespace).await);
    }
    report
}

async fn events(client: &Client, namespace: &str) -> String {
    let mut events =
        match Api::<Event>::namespaced(client.clone(), namespace).list(&ListParams::default()).await {
            Ok(events) => events.items,
            Err(error) => return format!("its events cannot be read: {error}\n"),
        };
    let seen = |event: &Event| -> Option<Time> {
        let micro = event.event_time.as_ref().map(|time| Time(time.0));
        event.last_timestamp.clone().or(micro).or_else(|| event.creation_timestamp())
    };
    events.sort_by_key(seen);
    let line = |event: &Event| {
        let object = &event.involved_object;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let at = seen(event).map(|time| time.0.to_string()).unwrap_or_default();
        let (kind, name) = (text(&object.kind), text(&object.name));
        format!(
            "{at} {} {kind}/{name} {}: {}\n",
            text(&event.type_),
            text(&event.reason),
            text(&event.message)
        )
    };
    events.iter().map(line).collect()
}

async fn pods(client: &Client, namespace: &str) -> String {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = match api.list(&ListParams::default()).await {
        Ok(pods) => pods.items,
        Err(error) => return format!("its pods cannot be read: {error}\n"),
    };
    let mut report = String::new();
    for pod in pods {
        let status = pod.status.clone().unwrap_or_default();
        let phase = status.phase.unwrap_or_default();
        let _ = writeln!(report, "── pod {} {phase} {}", pod.name_any(), status.message.unwrap_or_default());
        let containers = [status.init_container_statuses, status.container_statuses];
        for container in containers.into_iter().flatten().flatten() {
            report.push_str(&describe_container(&api, &pod.name_any(), &container).await);
        }
    }
    report
}

async fn describe_container(pods: &Api<Pod>, pod: &str, container: &ContainerStatus) -> String {
    let state = serde_json::to_string(&container.state).unwrap_or_default();
    let name = &container.name;
    let mut report =
        format!("─ {name} ready={} restarts={} {state}\n", container.ready, container.restart_count);
    for previous in [true, false] {
        if previous && container.restart_count == 0 {
            continue;
        }
        let container = Some(name.clone());
        let wanted = LogParams { container, previous, tail_lines: Some(LOG_LINES), ..LogParams::default() };
        match pods.logs(pod, &wanted).await {
            Ok(log) => {
                let when = if previous { "before its restart, " } else { "" };
                let lines = log.lines().map(|line| format!("  {when}{name}: {line}\n"));
                report.extend(lines);
            }
            Err(error) => report.push_str(&format!("  its log cannot be read: {error}\n")),
        }
    }
    report
}
