//! What a person sees of our kinds with kubectl.

use penstock_e2e::{until, with_temp_ns};
use serde_json::{Value, json};

use super::{create, examples, send, server, write_status};

/// The table with the last column, the age, left out, as it is another one each time.
fn without_age(table: &str) -> String {
    let line = |line: &str| {
        line.trim_end().rsplit_once(' ').map_or("", |(rest, _)| rest).trim_end().to_owned() + "\n"
    };
    table.lines().map(line).collect()
}

#[tokio::test]
async fn get_shows_what_matters_in_columns_under_short_names_and_a_category() {
    let server = server().await;
    let client = server.client();
    with_temp_ns(&client, async |namespace: &str| {
        for example in examples() {
            create(&client, namespace, &example).await;
            write_status(&client, namespace, &example, &example["status"], true).await.unwrap();
        }
        let get = |what: &[&str]| without_age(&server.kubectl(&[&["get", "-n", namespace], what].concat()).unwrap());
        assert_eq!(
            get(&["pa"]),
            "NAME    PROVIDER    STATE     UTIL   RESETS                 PRIORITY\n\
             whole   anthropic   Limited   100    2026-11-21T17:00:00Z   0\n"
        );
        assert_eq!(
            get(&["pa", "-o", "wide"]),
            "NAME    PROVIDER    STATE     UTIL   RESETS                 PRIORITY   REASON                    IN-USE-BY\n\
             whole   anthropic   Limited   100    2026-11-21T17:00:00Z   0          FiveHourWindowExhausted   3\n"
        );
        assert_eq!(
            get(&["ap"]),
            "NAME    STRATEGY          ACCOUNTS   AVAILABLE\n\
             refs    SessionAffinity\n\
             whole   SessionAffinity   2          1\n"
        );
        assert_eq!(
            get(&["ag"]),
            "NAME    POOL     ACCEPTED\n\
             whole   search   True\n"
        );
        let all = server.kubectl(&["get", "penstock", "-n", namespace, "-o", "name"]).unwrap();
        let mut all: Vec<&str> = all.lines().collect();
        all.sort_unstable();
        assert_eq!(
            all,
            [
                "accessgrant.penstock.dev/whole",
                "accountpool.penstock.dev/refs",
                "accountpool.penstock.dev/whole",
                "provideraccount.penstock.dev/whole"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn explain_teaches_every_field() {
    let server = server().await;
    let explain = |what: &[&str]| server.kubectl(&[&["explain"], what].concat()).unwrap();
    // The server publishes a new kind's document some time after it serves the kind.
    for kind in ["pa", "ap", "ag"] {
        let published = async || server.kubectl(&["explain", kind]);
        until("the document of the kind is published", published).await.unwrap();
    }
    let tree = explain(&["pa.spec", "--recursive"]);
    for field in ["provider", "credentials", "secretRef", "windowCeilings", "caBundle", "matchExpressions"] {
        assert!(tree.contains(&format!("{field}\t<")), "{field} is not in\n{tree}");
    }
    assert!(tree.contains("provider\t<string> -required-"), "{tree}");
    let budget = explain(&["pa.spec.budget"]);
    for taught in ["when this much was spent in the period", "dollars as a decimal string", "Month"] {
        assert!(budget.contains(taught), "{taught:?} is not in\n{budget}");
    }
    // The same document that kubectl explains from.
    let request = http::Request::get("/openapi/v3/apis/penstock.dev/v1alpha1").body(vec![]).unwrap();
    let served: Value = server.client().request(request).await.unwrap();
    for kind in ["ProviderAccount", "AccountPool", "AccessGrant"] {
        let schema = &served["components"]["schemas"][format!("dev.penstock.v1alpha1.{kind}")];
        assert!(schema["description"].as_str().is_some_and(|text| text.len() > 60), "{kind} itself");
        for part in ["spec", "status"] {
            taught(&schema["properties"][part], &format!("{kind}.{part}"));
        }
    }
}

fn taught(schema: &Value, place: &str) {
    assert!(schema["description"].as_str().is_some_and(|text| text.len() > 8), "{place} says nothing");
    let items = [&schema["items"], &schema["additionalProperties"]];
    let fields =
        [&[schema][..], &items].concat().into_iter().filter_map(|schema| schema["properties"].as_object());
    for (name, property) in fields.flatten() {
        taught(property, &format!("{place}.{name}"));
    }
}

#[tokio::test]
async fn the_status_is_written_apart_from_the_spec() {
    let client = server().await.client();
    with_temp_ns(&client, async |namespace: &str| {
        let example = &examples()[0];
        let created = create(&client, namespace, example).await;
        assert_eq!(created.get("status"), None, "a status given by the creator is ignored");

        let stored =
            write_status(&client, namespace, example, &json!({ "state": "Paused" }), true).await.unwrap();
        assert_eq!(stored["metadata"]["generation"], 1, "a status is no new generation");

        let path = format!("{}/whole", super::path(namespace, example));
        let both = json!({ "spec": { "paused": true }, "status": { "state": "Available" } });
        let changed = send(&client, "PATCH", &path, &both).await.unwrap();
        assert_eq!(changed["status"]["state"], "Paused");
        assert_eq!(changed["metadata"]["generation"], 2);
    })
    .await;
}
