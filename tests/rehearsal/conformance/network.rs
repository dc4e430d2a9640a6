//! What stands between the daemon and WhatsApp: proxies, servers in trouble, handshakes that fail.
//! Such a fault meets everybody, so these rows are played one after the other.

use std::time::Instant;

use wasessiond::protocol::{Cause, Phase};
use wasim::Fault;

use super::person::Person;
use super::row::{Class, lost, report};
use crate::stage::Stage;

#[allow(clippy::large_enum_variant, reason = "there are a dozen of them")]
enum Trouble {
    Fault(Fault),
    /// TCP connections are refused.
    Deaf,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_in_trouble_is_no_logout() {
    use Fault::{CloseAfterHandshake, CloseOnAccept, CloseOnHello, GarbageServerHello, HttpStatus};
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 0).await;
    let rows = [
        (
            "X4/401",
            Trouble::Fault(HttpStatus(401)),
            Cause::ProxyRefused,
        ),
        (
            "X4/403",
            Trouble::Fault(HttpStatus(403)),
            Cause::ProxyRefused,
        ),
        (
            "X4/407",
            Trouble::Fault(HttpStatus(407)),
            Cause::ProxyRefused,
        ),
        (
            "X5/500",
            Trouble::Fault(HttpStatus(500)),
            Cause::ServerUnavailable,
        ),
        (
            "X5/502",
            Trouble::Fault(HttpStatus(502)),
            Cause::ServerUnavailable,
        ),
        (
            "X5/503",
            Trouble::Fault(HttpStatus(503)),
            Cause::ServerUnavailable,
        ),
        (
            "X5/404",
            Trouble::Fault(HttpStatus(404)),
            Cause::Unreachable,
        ),
        ("X5eof", Trouble::Fault(CloseOnAccept), Cause::Unreachable),
        ("X5tcp", Trouble::Deaf, Cause::Unreachable),
        (
            "X7junk",
            Trouble::Fault(GarbageServerHello),
            Cause::HandshakeFailed,
        ),
        (
            "X7eof",
            Trouble::Fault(CloseOnHello),
            Cause::HandshakeFailed,
        ),
        (
            "X2early",
            Trouble::Fault(CloseAfterHandshake),
            Cause::ConnectionLost,
        ),
    ];
    for (id, trouble, cause) in rows {
        match trouble {
            Trouble::Fault(fault) => stage.sim.set_fault(fault).await.expect("fault"),
            Trouble::Deaf => stage.sim.set_listening(false).await.expect("deaf"),
        }
        stage
            .sim
            .drop_connection(&person.device)
            .await
            .expect("drop");
        lost(&mut person, Cause::ConnectionLost).await;
        // Not to wait for the backoff; the trouble is still there.
        person.connect().await;
        let begin = Instant::now();
        let status = lost(&mut person, cause).await;
        let took = begin.elapsed();
        let error = status.error.expect("it was looked at");
        if let Some((_, code)) = id.split_once('/') {
            assert!(error.contains(code), "{id}: {error}");
        }
        stage.sim.clear_faults().await.expect("clear");
        stage.sim.set_listening(true).await.expect("listen");
        person.online().await;
        report(id, Class::Retry(cause).to_string(), "ok", took);
    }
    let history = stage.client.history(None, None).await.expect("history");
    assert!(history.is_empty(), "{history:?}");
}

/// A server that does not speak TLS where TLS is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_tls_handshake_is_no_logout() {
    let mut stage = Stage::set().await;
    let mut person = Person::paired(&stage, 0).await;
    let config = stage.dir.path().join("config.toml");
    let plain = std::fs::read_to_string(&config).expect("read");
    stage.stop();
    std::fs::write(&config, plain.replace("ws://", "wss://")).expect("write");
    stage.start().await;
    person.rejoin(&stage).await;
    let begin = Instant::now();
    person.connect().await;
    let status = lost(&mut person, Cause::Unreachable).await;
    let took = begin.elapsed();
    let error = status.error.expect("it was looked at");
    assert!(error.contains("TLS"), "{error}");
    stage.stop();
    std::fs::write(&config, plain).expect("write");
    stage.start().await;
    person.rejoin(&stage).await;
    let status = person.client.status(&person.user).await.expect("status");
    if status.phase != Phase::Online {
        person.online().await;
    }
    let class = Class::Retry(Cause::Unreachable);
    report("X5tls", class.to_string(), "ok", took);
}
