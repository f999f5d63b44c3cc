//! The checked-in OpenAPI document is the one the API serves.

#[test]
fn the_checked_in_document_is_the_one_that_is_served() {
    let served = penstock_controller::api::openapi().to_pretty_json().expect("a document");
    let held = include_str!("../openapi.json");
    assert!(held.trim() == served.trim(), "controller/openapi.json is out of date: run `make openapi`");
}

#[test]
fn every_endpoint_says_what_it_does_and_how_it_fails() {
    let document = serde_json::to_value(penstock_controller::api::openapi()).expect("a document");
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            let is_open = operation["security"] == serde_json::json!([{}]);
            assert!(is_open || operation["responses"]["401"].is_object(), "{method} {path} does not say 401");
        }
    }
}
