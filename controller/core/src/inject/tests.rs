use serde_json::json;

use super::*;

fn settings() -> Settings {
    Settings {
        version: "1.2.3".into(),
        image: "registry.penstock.dev/proxy:1.2.3".into(),
        controller: "https://penstock-controller.penstock-system.svc:8091".into(),
        name: "penstock".into(),
        own_namespace: Some("penstock-system".into()),
        native: true,
        admin_address: "0.0.0.0".parse().unwrap(),
        resources: Resources::default(),
    }
}

fn classic() -> Settings {
    Settings { native: false, ..settings() }
}

const LABELLED: Place<'_> = Place { namespace: Some("team"), asked: true };
const BARE: Place<'_> = Place { namespace: Some("team"), asked: false };

/// A pod with one container, changed as `with` says.
fn pod(with: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({
        "metadata": { "name": "app" },
        "spec": { "containers": [{ "name": "app", "image": "app:1" }] },
    });
    with(&mut pod);
    pod
}

fn annotated(name: &str, value: &str) -> Value {
    pod(|pod| pod["metadata"]["annotations"] = json!({ name: value }))
}

fn with_env(env: Value) -> Value {
    pod(|pod| pod["spec"]["containers"][0]["env"] = env)
}

fn injected(pod: &Value, settings: &Settings) -> (Value, Vec<String>) {
    match inject(pod, LABELLED, settings) {
        Outcome::Injected { pod, warnings } => (pod, warnings),
        other => panic!("{other:?}"),
    }
}

fn sidecar_of(pod: &Value) -> Value {
    injected(pod, &settings()).0["spec"]["initContainers"][0].clone()
}

fn refusals(pod: &Value, settings: &Settings) -> String {
    match inject(pod, LABELLED, settings) {
        Outcome::Refused(reasons) => reasons.join("\n"),
        other => panic!("{other:?}"),
    }
}

/// Name and value of each variable of a container, in order.
fn env_of(container: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("…").to_owned();
    let list = container["env"].as_array().into_iter().flatten();
    list.map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
}

fn app_env(pod: &Value) -> Vec<(String, String)> {
    env_of(&injected(pod, &settings()).0["spec"]["containers"][0])
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const ANTHROPIC: [(&str, &str); 2] =
    [("ANTHROPIC_BASE_URL", "http://127.0.0.1:8080"), ("ANTHROPIC_API_KEY", "penstock")];
const OPENAI: [(&str, &str); 2] =
    [("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), ("OPENAI_API_KEY", "penstock")];

#[test]
fn the_label_of_the_pod_wins_over_that_of_the_namespace() {
    let labelled =
        |value: &str| pod(|pod| pod["metadata"]["labels"] = json!({ "penstock.dev/inject": value }));
    let is_injected =
        |pod: &Value, place| matches!(inject(pod, place, &settings()), Outcome::Injected { .. });
    assert!(is_injected(&pod(|_| {}), LABELLED));
    assert!(is_injected(&labelled("true"), BARE));
    assert!(is_injected(&labelled("true"), LABELLED));
    assert_eq!(inject(&pod(|_| {}), BARE, &settings()), Outcome::Skipped(Skip::NotAsked));
    assert_eq!(inject(&labelled("false"), LABELLED, &settings()), Outcome::Skipped(Skip::OptedOut));
    assert!(refusals(&labelled("yes"), &settings()).contains("\"yes\" is not \"true\" or \"false\""));
}

#[test]
fn the_cluster_itself_and_what_no_proxy_runs_on_are_left_alone() {
    let place = |namespace| Place { namespace: Some(namespace), asked: true };
    for (pod, place, skip) in [
        (pod(|_| {}), place("kube-system"), Skip::SystemNamespace),
        (pod(|_| {}), place("penstock-system"), Skip::OwnNamespace),
        (pod(|pod| pod["spec"]["os"] = json!({ "name": "windows" })), LABELLED, Skip::Windows),
        (
            pod(|pod| pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/os": "windows" })),
            LABELLED,
            Skip::Windows,
        ),
        (annotated("kubernetes.io/config.mirror", "x"), LABELLED, Skip::MirrorPod),
    ] {
        assert_eq!(inject(&pod, place, &settings()), Outcome::Skipped(skip));
    }
}

#[test]
fn a_pod_with_a_sidecar_is_left_alone() {
    let (once, _) = injected(&pod(|_| {}), &settings());
    let newer = Settings { version: "2.0.0".into(), ..settings() };
    assert_eq!(inject(&once, LABELLED, &newer), Outcome::Skipped(Skip::AlreadyInjected));
    // An annotation that was copied with the rest of a manifest is no sidecar.
    let copied = annotated(names::INJECTED, "1.0.0");
    assert_eq!(injected(&copied, &settings()).0["metadata"]["annotations"][names::INJECTED], "1.2.3");
}

#[test]
fn the_sidecar_is_the_first_init_container_and_gates_the_others() {
    let own = json!([{ "name": "migrate", "image": "m" }, { "name": "mesh", "restartPolicy": "Always" }]);
    let (pod, warnings) = injected(&pod(|pod| pod["spec"]["initContainers"] = own), &settings());
    let names: Vec<_> =
        pod["spec"]["initContainers"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["penstock-proxy", "migrate", "mesh"]);
    assert_eq!(pod["spec"]["initContainers"][0]["restartPolicy"], "Always");
    assert_eq!(
        pod["spec"]["initContainers"][0]["startupProbe"]["httpGet"],
        json!({ "path": "/readyz", "port": 9901 })
    );
    assert_eq!(env_of(&pod["spec"]["initContainers"][1]), pairs(&[ANTHROPIC, OPENAI].concat()));
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn before_1_29_the_sidecar_is_the_first_container_and_pods_that_end_are_refused() {
    let own = json!([{ "name": "migrate", "image": "m" }]);
    let (pod_, warnings) = injected(&pod(|pod| pod["spec"]["initContainers"] = own), &classic());
    assert_eq!(pod_["spec"]["containers"][0]["name"], "penstock-proxy");
    assert_eq!(pod_["spec"]["containers"][0].get("restartPolicy"), None);
    assert_eq!(pod_["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "app");
    assert_eq!(env_of(&pod_["spec"]["containers"][1]), pairs(&[ANTHROPIC, OPENAI].concat()));
    assert_eq!(env_of(&pod_["spec"]["initContainers"][0]), []);
    assert!(warnings[0].contains("init containers run before the sidecar"), "{warnings:?}");
    let job = pod(|pod| pod["spec"]["restartPolicy"] = json!("OnFailure"));
    let message = refusals(&job, &classic());
    assert!(
        message.contains("never completes") && message.contains("http://penstock.penstock-system"),
        "{message}"
    );
    injected(&job, &settings());
}

#[test]
fn sidecars_are_native_from_1_29_on() {
    for (major, minor, native) in [
        ("1", "28", false),
        ("1", "28+", false),
        ("1", "29", true),
        ("1", "29+", true),
        ("2", "0", true),
        ("", "", true),
    ] {
        assert_eq!(has_native_sidecars(major, minor), native, "{major}.{minor}");
    }
}

#[test]
fn a_pod_on_the_node_s_network_is_refused_with_the_way_out() {
    let message = refusals(&pod(|pod| pod["spec"]["hostNetwork"] = json!(true)), &settings());
    for part in ["hostNetwork", "http://penstock.penstock-system", "penstock.dev/inject: \"false\""] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn each_container_is_told_only_what_it_does_not_set() {
    let all = [ANTHROPIC, OPENAI].concat();
    let own = |name: &str, value: &str| json!([{ "name": name, "value": value }]);
    let from =
        json!([{ "name": "OPENAI_API_KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    for (env, expected) in [
        (json!(null), all.clone()),
        // Going its own way for one family, with a key that is not ours to set.
        (
            own("OPENAI_BASE_URL", "http://mine"),
            [&[("OPENAI_BASE_URL", "http://mine")], &ANTHROPIC[..]].concat(),
        ),
        (from, [&[("OPENAI_API_KEY", "…")], &ANTHROPIC[..], &OPENAI[..1]].concat()),
        // Another kind of key does as well.
        (
            own("ANTHROPIC_AUTH_TOKEN", "t"),
            [&[("ANTHROPIC_AUTH_TOKEN", "t")], &ANTHROPIC[..1], &OPENAI[..]].concat(),
        ),
        (
            own("HTTP_PROXY", "http://p"),
            [
                &[("HTTP_PROXY", "http://p")],
                &all[..],
                &[("NO_PROXY", "127.0.0.1"), ("no_proxy", "127.0.0.1")],
            ]
            .concat(),
        ),
    ] {
        assert_eq!(app_env(&with_env(env.clone())), pairs(&expected), "{env}");
    }
}

#[test]
fn an_http_proxy_that_would_get_the_requests_is_told() {
    let env = |list: &str| {
        with_env(
            json!([{ "name": "https_proxy", "value": "p" }, { "name": "http_proxy", "value": "p" }, { "name": "no_proxy", "value": list }]),
        )
    };
    assert_eq!(injected(&env("10.0.0.0/8,127.0.0.1"), &settings()).1, [""; 0]);
    let warnings = injected(&env("10.0.0.0/8"), &settings()).1;
    assert!(warnings[0].contains("container app: no_proxy does not name 127.0.0.1"), "{warnings:?}");
}

#[test]
fn ports_that_the_pod_uses_are_avoided() {
    let ports = |with: Value| {
        let sidecar = sidecar_of(&pod(|pod| {
            pod["spec"]["containers"][0].as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        }));
        let listen = env_of(&sidecar).into_iter().find(|(name, _)| name == "PENSTOCK_LISTEN").unwrap().1;
        (listen, sidecar["ports"][0]["containerPort"].clone())
    };
    for (with, listen, admin) in [
        (json!({}), "127.0.0.1:8080", 9901),
        (json!({ "ports": [{ "containerPort": 8080 }] }), "127.0.0.1:18080", 9901),
        (json!({ "readinessProbe": { "httpGet": { "port": 9901 } } }), "127.0.0.1:8080", 19901),
        (json!({ "livenessProbe": { "tcpSocket": { "port": "http" } } }), "127.0.0.1:8080", 9901),
        (json!({ "env": [{ "name": "PORT", "value": "8080" }] }), "127.0.0.1:18080", 9901),
    ] {
        assert_eq!(ports(with.clone()), (listen.to_owned(), json!(admin)), "{with}");
    }
    let used = pod(|pod| {
        pod["spec"]["containers"][0]["ports"] =
            json!([8080, 18080, 28080, 38080].map(|port| json!({ "containerPort": port })));
    });
    assert!(refusals(&used, &settings()).contains(names::PORT));
    let env = app_env(&annotated(names::PORT, "4000"));
    assert!(env.contains(&("OPENAI_BASE_URL".into(), "http://127.0.0.1:4000/v1".into())), "{env:?}");
}

#[test]
fn annotations_choose_and_mistakes_are_told_together() {
    let chosen = pod(|pod| {
        pod["metadata"]["annotations"] = json!({
            "penstock.dev/pool": "batch", "penstock.dev/proxy-image": "mine/proxy@sha256:0123",
            "penstock.dev/proxy-log": "info,penstock_proxy=debug", "penstock.dev/proxy-cpu-limit": "500m",
            "penstock.dev/proxy-memory-request": "1Gi",
        });
    });
    let sidecar = sidecar_of(&chosen);
    assert_eq!(sidecar["image"], "mine/proxy@sha256:0123");
    let env = env_of(&sidecar);
    for (name, value) in [("PENSTOCK_POOL", "batch"), ("PENSTOCK_LOG", "info,penstock_proxy=debug")] {
        assert!(env.contains(&(name.into(), value.into())), "{env:?}");
    }
    // A limit follows a request that is more than it.
    let limits = json!({ "requests": { "cpu": "10m", "memory": "1Gi" }, "limits": { "cpu": "500m", "memory": "1Gi" } });
    assert_eq!(sidecar["resources"], limits);
    let wrong = pod(|pod| {
        pod["metadata"]["annotations"] = json!({
            "penstock.dev/pool": "My Pool", "penstock.dev/proxy-image": "two words", "penstock.dev/proxy-log": "a b",
            "penstock.dev/proxy-cpu-request": "2", "penstock.dev/proxy-cpu-limit": "1",
            "penstock.dev/proxy-memory-limit": "64m", "penstock.dev/proxy-port": "80",
            "penstock.dev/proxy-admin-port": "none",
        });
    });
    let message = refusals(&wrong, &settings());
    for part in [
        "pool: \"My Pool\" is not",
        "proxy-image: \"two words\"",
        "proxy-log: \"a b\"",
        "proxy-cpu-request: 2 is more than",
        "proxy-memory-limit: 64m is less than the proxy needs (16Mi)",
        "proxy-port: \"80\"",
        "proxy-admin-port: \"none\"",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn a_misspelt_annotation_is_told_and_harmless() {
    let (_, warnings) = injected(&annotated("penstock.dev/proxy-imgae", "x"), &settings());
    assert_eq!(
        warnings,
        ["there is no annotation penstock.dev/proxy-imgae: is it penstock.dev/proxy-image?"]
    );
    let (_, warnings) = injected(&annotated("penstock.dev/inject", "true"), &settings());
    assert!(warnings[0].contains("is a label"), "{warnings:?}");
}

#[test]
fn a_volume_of_the_same_name_is_refused() {
    let own = pod(|pod| pod["spec"]["volumes"] = json!([{ "name": "penstock-ca", "emptyDir": {} }]));
    assert!(refusals(&own, &settings()).contains("\"penstock-ca\""));
}

#[test]
fn what_is_no_pod_is_refused_with_the_reason() {
    for (what, reason) in [
        (json!({ "metadata": {} }), "missing field `spec`"),
        (json!({ "spec": { "containers": [] } }), "it has no containers"),
        (json!({ "spec": { "containers": [{ "image": "x" }] } }), "missing field `name`"),
    ] {
        assert!(refusals(&what, &settings()).contains(reason), "{what}");
    }
}

#[test]
fn an_older_sidecar_is_replaced_with_what_it_told_the_others() {
    let older = Settings { version: "1.0.0".into(), image: "old".into(), native: false, ..settings() };
    let env = json!([{ "name": "HTTP_PROXY", "value": "p" }, { "name": "A", "value": "b" }]);
    let moved = |pod: &Value, port: &str| {
        let mut pod = pod.clone();
        pod["metadata"]["annotations"][names::PORT] = json!(port);
        pod
    };
    let app = with_env(env);
    let (old, _) = injected(&moved(&app, "4000"), &older);
    let Outcome::Injected { pod: again, .. } = inject_again(&moved(&old, "5000"), LABELLED, &settings())
    else {
        panic!("not injected again")
    };
    let (mut fresh, _) = injected(&moved(&app, "5000"), &settings());
    // Which container is the default one is also right with the new sidecar.
    fresh["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = json!("app");
    assert_eq!(again, fresh);
}

#[test]
fn workloads_are_found_in_every_kind_that_has_pods() {
    let template =
        |labels: Value| json!({ "metadata": { "labels": labels }, "spec": pod(|_| {})["spec"].clone() });
    let workload = |version: &str, kind: &str, spec: Value| json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "x" }, "spec": spec });
    let out = json!({ "penstock.dev/inject": "false" });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [
        workload("apps/v1", "Deployment", json!({ "template": template(json!({})) })),
        workload("apps/v1", "StatefulSet", json!({ "template": template(out) })),
        workload("batch/v1", "CronJob", json!({ "jobTemplate": { "spec": { "template": template(json!({})) } } })),
        workload("v1", "Pod", json!({ "hostNetwork": true, "containers": [{ "name": "a" }] })),
        workload("v1", "Service", json!({ "ports": [] })),
        workload("example.dev/v1", "Deployment", json!({ "template": template(json!({})) })),
    ] });
    let said = manifest::Said { namespace: Some("team"), pool: Some("batch") };
    let rewritten = manifest::rewrite(list.clone(), said, &settings());
    let found: Vec<_> =
        rewritten.found.iter().map(|found| (found.workload.as_str(), &found.became)).collect();
    assert_eq!(found.len(), 4);
    assert_eq!(found[0], ("deployment/x", &manifest::Became::Injected(vec![])));
    assert_eq!(found[1], ("statefulset/x", &manifest::Became::Skipped(Skip::OptedOut)));
    assert_eq!(found[2].0, "cronjob/x");
    assert!(matches!(found[3].1, manifest::Became::Refused(_)));
    let changed: Vec<_> = (0..6).filter(|at| rewritten.manifest["items"][at] != list["items"][at]).collect();
    assert_eq!(changed, [0, 2]);
    let annotations = &rewritten.manifest["items"][0]["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations[names::POOL], "batch");
}
