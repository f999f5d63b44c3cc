//! Two managers that apply to one object keep what the other wrote.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use penstock_e2e::with_temp_ns;
use serde_json::{Value, json};

use super::{create, server};

fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("penstock.dev", "v1alpha1", "ProviderAccount");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

fn account(rest: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "penstock.dev/v1alpha1", "kind": "ProviderAccount", "metadata": { "name": "a" },
    });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

fn condition(kind: &str) -> Value {
    json!({
        "type": kind, "status": "True", "reason": "Tested", "message": "",
        "lastTransitionTime": "2026-11-21T14:00:00Z",
    })
}

fn window(name: &str) -> Value {
    json!({ "name": name, "utilization": 1.5, "status": "allowed", "observedAt": "2026-11-21T14:00:00Z" })
}

fn names<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap()).collect()
}

#[tokio::test]
async fn two_managers_of_one_status_keep_each_others_conditions_and_windows() {
    let client = server().await.client();
    with_temp_ns(&client, async |namespace: &str| {
        create(&client, namespace, &account(&json!({ "spec": { "provider": "ollama" } }))).await;
        let accounts = api(&client, namespace);
        for (manager, kind, name) in [("one", "Accepted", "five_hour"), ("two", "Available", "seven_day")] {
            let status = json!({ "status": { "conditions": [condition(kind)], "windows": [window(name)] } });
            let how = PatchParams::apply(manager);
            accounts.patch_status("a", &how, &Patch::Apply(account(&status))).await.unwrap();
        }
        let status = accounts.get("a").await.unwrap().data["status"].clone();
        assert_eq!(names(&status["conditions"], "type"), ["Accepted", "Available"]);
        assert_eq!(names(&status["windows"], "name"), ["five_hour", "seven_day"]);
    })
    .await;
}

#[tokio::test]
async fn two_managers_of_one_spec_keep_each_others_models_and_headers() {
    let client = server().await.client();
    with_temp_ns(&client, async |namespace: &str| {
        let accounts = api(&client, namespace);
        for (manager, model, header) in [("one", "llama-*", "x-one"), ("two", "qwen-*", "x-two")] {
            let spec = json!({ "spec": {
                "provider": "ollama", "models": { "allow": [model] }, "headers": { header: manager },
            } });
            accounts.patch("a", &PatchParams::apply(manager), &Patch::Apply(account(&spec))).await.unwrap();
        }
        let spec = accounts.get("a").await.unwrap().data["spec"].clone();
        assert_eq!(spec["models"]["allow"], json!(["llama-*", "qwen-*"]));
        assert_eq!(spec["headers"], json!({ "x-one": "one", "x-two": "two" }));
    })
    .await;
}
