use super::*;
use serde_json::{Value, json};

fn id(text: &str) -> ObjectId {
    text.parse().unwrap()
}

/// As an API server of Kubernetes 1.36 answers.
fn reviewed(change: impl FnOnce(&mut Value)) -> Option<Person> {
    let mut status = json!({
        "authenticated": true,
        "audiences": ["https://kubernetes.default.svc"],
        "user": {
            "username": "system:serviceaccount:search:ann",
            "uid": "e1e2552c",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=b598e01b"]},
        },
    });
    change(&mut status);
    Person::of(serde_json::from_value(status).unwrap())
}

/// `verb resource[/subresource] namespace/name` of each.
fn needs(deed: Deed<'_>) -> Vec<String> {
    let text = |need: &Need| {
        let namespace = need.namespace.as_deref().unwrap_or("*");
        format!("{} {} {namespace}/{}", need.verb, need.path(), need.name.as_deref().unwrap_or("*"))
    };
    deed.needs().iter().map(text).collect()
}

#[test]
fn a_person_is_whom_the_api_server_says_and_nobody_without_its_word() {
    let ann = reviewed(|_| ()).unwrap();
    assert_eq!((ann.name.as_str(), ann.namespace()), ("system:serviceaccount:search:ann", Some("search")));
    let human = reviewed(|status| status["user"]["username"] = json!("ann@example.com")).unwrap();
    assert_eq!(human.namespace(), None);
    for change in [
        (|status: &mut Value| status["authenticated"] = json!(false)) as fn(&mut Value),
        |status| status["authenticated"] = Value::Null,
        |status| status["user"] = Value::Null,
        |status| status["user"]["username"] = json!(""),
    ] {
        assert_eq!(reviewed(change), None);
    }
}

#[test]
fn a_call_needs_the_verbs_that_kubectl_would() {
    let (account, key) = (id("llm/a"), id("llm/laptop"));
    let create = |credential| Deed::CreateAccount { account: &account, credential };
    let change = |credential| Deed::ChangeAccount { account: &account, credential };
    for (deed, expected) in [
        (Deed::ShowAccount(&account), &["get provideraccounts llm/a"] as &[&str]),
        (create(false), &["create provideraccounts llm/*"]),
        (create(true), &["create provideraccounts llm/*", "create secrets llm/*"]),
        (change(false), &["patch provideraccounts llm/a"]),
        (change(true), &["patch provideraccounts llm/a", "create secrets llm/*", "patch secrets llm/*"]),
        (Deed::ForgetLimits(&account), &["patch provideraccounts/status llm/a"]),
        (Deed::DeleteAccount(&account), &["delete provideraccounts llm/a", "delete secrets llm/*"]),
        (Deed::CreateKey(&key), &["create secrets llm/*"]),
        (Deed::RevokeKey(&key), &["delete secrets llm/laptop"]),
    ] {
        assert_eq!(needs(deed), expected, "{deed:?}");
    }
}

#[test]
fn the_question_names_the_person_whole_and_what_they_want() {
    let ann = reviewed(|_| ()).unwrap();
    let [need] = &Deed::ForgetLimits(&id("llm/a")).needs()[..] else { panic!() };
    let asked = serde_json::to_value(ann.review(need)).unwrap();
    let expected = json!({
        "user": "system:serviceaccount:search:ann",
        "uid": "e1e2552c",
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=b598e01b"]},
        "resourceAttributes": {
            "verb": "patch", "group": "penstock.dev", "resource": "provideraccounts",
            "subresource": "status", "namespace": "llm", "name": "a",
        },
    });
    assert_eq!(asked, expected);
}

#[test]
fn a_denial_is_in_the_words_of_the_api_server() {
    let ann = Person { name: "ann".to_owned(), ..Person::default() };
    let [need] = &Deed::ShowAccount(&id("llm/a")).needs()[..] else { panic!() };
    assert_eq!(
        ann.denied(need),
        "provideraccounts.penstock.dev \"a\" is forbidden: User \"ann\" cannot get resource \
         \"provideraccounts\" in API group \"penstock.dev\" in the namespace \"llm\""
    );
    assert_eq!(
        ann.denied(&Listing::Keys.need(None)),
        "secrets is forbidden: User \"ann\" cannot list resource \"secrets\" in API group \"\" at the cluster scope"
    );
}

#[test]
fn a_denial_overrules_an_allowance() {
    let said = |allowed, denied| {
        is_allowed(&SubjectAccessReviewStatus { allowed, denied, ..SubjectAccessReviewStatus::default() })
    };
    assert!(said(true, None) && said(true, Some(false)));
    assert!(!said(true, Some(true)) && !said(false, None));
}

#[test]
fn a_word_counts_for_half_a_minute_and_a_refusal_for_seconds() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let said = |what| Said { what, at: at(100) };
    assert_eq!((said(true).worth(at(129)), said(true).worth(at(130))), (Worth::Counts, Worth::Nothing));
    assert_eq!((said(false).worth(at(104)), said(false).worth(at(105))), (Worth::Counts, Worth::Nothing));
}

#[test]
fn a_caller_sees_the_namespaces_that_are_theirs() {
    let some = Sight::Of(["llm".to_owned()].into());
    assert!(some.sees("llm") && !some.sees("search") && !some.sees(""));
    assert!(Sight::Everything.sees(""));
}
