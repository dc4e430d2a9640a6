//! Stanzas that no table has: whatever they are, they end no session.

use std::time::Instant;

use wasessiond::protocol::{Cause, EventKind};
use wasim::{Stanza, StreamError};

use super::person::Person;
use super::row::report;
use crate::stage::Stage;

/// Codes and children that mean nothing, or something else elsewhere. The multiplier makes the
/// codes and the same ones in every run.
fn odd() -> Vec<StreamError> {
    let codes = (1..=10).map(|n: u16| StreamError::code(n.wrapping_mul(0x9E37) % 1000));
    let known = |code: u16| matches!(code, 401 | 409 | 429 | 515 | 516);
    let codes = codes.filter(move |e| {
        let code = e.code.as_ref().and_then(|c| c.parse().ok());
        !code.is_some_and(known)
    });
    let texts = ["", "0401", "401 ", "-401", "abc", "65937", "4294967697"];
    let texts = texts.map(|text| StreamError {
        code: Some(text.to_owned()),
        ..StreamError::default()
    });
    let children = ["device_removed", "replaced", "shutdown", "conflict-not"];
    let children = children.map(|tag| StreamError::code(500).child(Stanza::new(tag)));
    let conflicts = ["removed", "Device_Removed", "device_removed2"];
    let conflicts = conflicts.map(|kind| StreamError::empty().conflict(kind));
    codes
        .chain(texts)
        .chain(children)
        .chain(conflicts)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_nobody_knows_keeps_the_credentials() {
    let stage = Stage::set().await;
    let mut person = Person::paired(&stage, 0).await;
    let begin = Instant::now();
    let stanzas = odd();
    let count = stanzas.len();
    assert!(count >= 20, "{count}");
    for error in stanzas {
        let sent = person.sim.stream_error(&person.device, error.clone());
        sent.await.expect("stream error");
        loop {
            let event = person.next().await;
            match event.kind {
                EventKind::BackingOff => {
                    let reason = event.status.and_then(|s| s.reason);
                    let fits = [
                        Cause::StreamError,
                        Cause::ConnectionLost,
                        Cause::ServerUnavailable,
                    ];
                    assert!(
                        reason.is_some_and(|r| fits.contains(&r)),
                        "{error:?}: {reason:?}"
                    );
                    // Not to wait for the backoff.
                    person.connect().await;
                }
                EventKind::Connecting | EventKind::Updated => {}
                EventKind::Online => break,
                other => panic!("{error:?}: {other}"),
            }
        }
        let status = person.client.status(&person.user).await.expect("status");
        assert_eq!(status.account.expect("an account").jid, person.device);
    }
    person.has_credentials();
    let history = stage.client.history(None, None).await.expect("history");
    assert!(history.is_empty(), "{history:?}");
    report(
        "odd",
        format!("RETRY {count} stanzas"),
        "ok",
        begin.elapsed(),
    );
}
