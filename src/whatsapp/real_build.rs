//! A build that is not for the simulator checks WhatsApp's certificate.

use std::time::Duration;

use tracing::Span;

use super::gateway::{Gateway, GatewaySettings};
use super::{Expected, Link, LinkEvent, Scope, Verdict};
use crate::blocking::{Rooms, UncancellableWork};
use crate::deadline::Deadline;
use crate::protocol::Cause;
use crate::store::{Record, Store};

/// The setting is refused in such a build, so the test goes around it, and the simulator's chain is a
/// properly signed one, of a root that nobody trusts.
#[tokio::test(flavor = "multi_thread")]
async fn the_simulators_certificate_is_refused() {
    let simulator = wasim::Server::start(wasim::Options::default())
        .await
        .expect("start the simulator");
    let uri = simulator.url().parse().expect("a URL");
    let settings = GatewaySettings {
        version: Some((2, 3000, 1)),
        ..GatewaySettings::default()
    };
    let gateway = Gateway::to(uri, &settings, &Rooms::new());
    let dir = tempfile::tempdir().expect("a directory");
    let scope = Scope::new(Span::none(), UncancellableWork::default());
    let expected = Expected {
        paired: false,
        full_handshake: false,
        to_unlink: false,
    };
    let store = Store::open(dir.path()).expect("a store");
    let alice = "alice".parse().expect("an id");
    store.create(&alice, &Record::new(0)).expect("a session");
    let credentials = store.credentials(&alice);
    let opened = Link::open(&gateway, &credentials, expected, scope).await;
    let (link, mut told) = opened.expect("open");
    let ending = loop {
        match told.recv().await.expect("an ending") {
            LinkEvent::Ended(ending) => break ending,
            LinkEvent::Stage(_) => {}
            other => panic!("it went on: {other:?}"),
        }
    };
    assert!(
        matches!(ending.verdict, Verdict::Retry(Cause::HandshakeFailed, _)),
        "{ending:?}"
    );
    let deadline = Deadline::within(Duration::from_secs(30));
    link.close(false, deadline).await.expect("close");
    simulator.shutdown().await;
}
