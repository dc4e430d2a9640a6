//! A build that is not for the simulator checks WhatsApp's certificate.

use tokio::sync::mpsc;
use tracing::Span;

use super::gateway::{Gateway, GatewaySettings};
use super::{Expected, Link, LinkEvent, Scope, Verdict};
use crate::blocking::UncancellableWork;
use crate::protocol::Cause;

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
    let gateway = Gateway::to(uri, &settings).expect("a gateway");
    let dir = tempfile::tempdir().expect("a directory");
    let (events, mut told) = mpsc::unbounded_channel();
    let scope = Scope::new(Span::none(), UncancellableWork::default());
    let expected = Expected {
        paired: false,
        full_handshake: false,
    };
    let link = Link::open(
        &gateway,
        &dir.path().join("auth.db"),
        expected,
        scope,
        events,
    )
    .await
    .expect("open");
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
    link.close(false).await.expect("close");
    simulator.shutdown().await;
}
