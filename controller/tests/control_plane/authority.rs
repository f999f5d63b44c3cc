//! The authority of a cluster is replaced while proxies are connected and connect.

use jiff::{SignedDuration, Timestamp};
use penstock_controller::certificates::{CertificateError, Certificates, keeper};
use penstock_controller_core::authority::Authority;

use super::harness::Controller;

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days)
}

fn moved_on(authority: &Authority, days: i64) -> Result<Authority, CertificateError> {
    authority.at(days_ago(days), || keeper::fresh(days_ago(days)))
}

async fn can_connect(controller: &Controller, bundle: &str) -> bool {
    controller.client(bundle).await.is_ok()
}

#[tokio::test]
async fn an_authority_is_replaced_and_neither_open_streams_nor_new_connections_notice() {
    let first = Authority::new(keeper::fresh(days_ago(256)).unwrap());
    let prepared = moved_on(&first, 11).unwrap();
    assert!(prepared.successor.is_some());
    let certificates = Certificates::of(prepared.clone(), &[], days_ago(1)).unwrap();
    let controller = Controller::with_certificates(certificates.clone()).await;
    let mut open = controller.subscribe().await;
    open.push().await;
    assert!(can_connect(&controller, &first.bundle()).await, "the first one signs still");

    let replaced = moved_on(&prepared, 0).unwrap();
    assert_ne!(replaced.signing.name, first.signing.name);
    let mut told = certificates.bundle();
    certificates.adopt(replaced.clone(), Timestamp::now()).unwrap();
    assert!(told.has_changed().unwrap());
    assert_eq!(&**told.borrow_and_update(), replaced.bundle());

    controller.set_account("a", 0);
    open.change().await;
    for bundle in [prepared.bundle(), replaced.bundle()] {
        assert!(can_connect(&controller, &bundle).await);
    }
    assert!(!can_connect(&controller, &first.bundle()).await, "a bundle that is older than ten days");

    // The same again changes nothing, and tells nobody.
    certificates.adopt(replaced, Timestamp::now()).unwrap();
    assert!(!told.has_changed().unwrap());
}

#[test]
fn a_key_that_is_not_its_certificate_s_is_no_authority() {
    let mut authority = Authority::new(keeper::fresh(Timestamp::now()).unwrap());
    authority.signing.key = keeper::fresh(Timestamp::now()).unwrap().key;
    let error = Certificates::of(authority, &[], Timestamp::now()).unwrap_err();
    assert!(matches!(error, CertificateError::Authority { .. }), "{error}");
}
