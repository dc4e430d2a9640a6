//! Linking a device to real accounts, by the kinds of public reports: a passkey between scan and success, a
//! refresh of the registration, a pair code whose connection drops, another account that scans, a device that
//! is removed seconds after it was linked.

use wasessiond::client::ClientError;
use wasessiond::protocol::{
    Cause, EventKind, FailureCode, PasskeyStep, Phase, Redacted, Status, Unlink,
};
use wasim::{Command, Stanza};

use crate::stage::{PHONE, Stage};

/// Another phone.
const OTHER: &str = "15550001002";

/// The connection that waits to be linked.
async fn unpaired(stage: &Stage) -> String {
    let logins = stage.sim.logins().await.expect("the connections");
    let pairing = logins.iter().rev().find(|login| login.stage == "pairing");
    format!("#{}", pairing.expect("one that pairs").connection)
}

fn notification(kind: &str) -> Stanza {
    Stanza::new("notification")
        .attr("type", kind)
        .attr("from", "s.whatsapp.net")
        .attr("id", "4711")
        .attr("t", "1795511523")
}

/// What an authenticator makes of a challenge, but for the signature.
fn answer() -> Redacted {
    r#"{"id":"AQID","rawId":"AQID","type":"public-key","clientExtensionResults":{},"response":{"clientDataJSON":"e30","authenticatorData":"AAEC","signature":"BAUG"}}"#.into()
}

/// WhatsApp asks for a passkey after the scan, with this challenge.
async fn ask_passkey(stage: &Stage) {
    const CHALLENGE: &str = r#"{"challenge":"c2VjcmV0LWNoYWxsZW5nZQ","rpId":"whatsapp.com","userVerification":"required"}"#;
    let options = Stanza::new("passkey_request_options").text(CHALLENGE);
    let asks = notification("passkey_prologue_request").child(options);
    let device = unpaired(stage).await;
    stage.sim.send_raw(&device, asks).await.expect("asked");
}

/// Waits until the passkey is at this step.
async fn at_step(stage: &mut Stage, step: PasskeyStep) -> Status {
    loop {
        let event = stage.event("alice", |e| e.kind == EventKind::Passkey).await;
        let status = event.status.expect("a status");
        assert_eq!(status.reason, Some(Cause::PasskeyRequired));
        assert!(status.qr.is_none() && status.pair_code.is_none());
        if status.passkey.as_ref().is_some_and(|p| p.step == step) {
            return status;
        }
    }
}

fn code_of(error: ClientError) -> FailureCode {
    match error {
        ClientError::Failure(failure) => failure.code,
        other => panic!("{other}"),
    }
}

/// The pairing waits for the passkey, shows no more codes, and ends with its reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_between_scan_and_success() {
    let mut stage = Stage::set().await;
    stage.connect("alice").await;
    stage.qr("alice").await;
    let early = stage.client.passkey_challenge("alice").await;
    assert_eq!(
        code_of(early.expect_err("not yet")),
        FailureCode::NotAwaited
    );

    ask_passkey(&stage).await;
    let status = at_step(&mut stage, PasskeyStep::Challenge).await;
    assert_eq!(status.phase, Phase::AwaitingScan);
    assert!(
        status.next_action.contains("wactl passkey alice"),
        "{status:?}"
    );
    let challenge = stage.client.passkey_challenge("alice").await;
    let challenge = challenge.expect("the challenge").options;
    assert!(challenge.reveal().contains("c2VjcmV0LWNoYWxsZW5nZQ"));

    // Another set of references, as WhatsApp sends it when the first one is used up.
    let device = unpaired(&stage).await;
    let renewed = stage.sim.execute(Command::RenewRefs { device }).await;
    renewed.expect("renewed");
    let wrong = stage.client.passkey_assert("alice", "no JSON".into()).await;
    assert_eq!(
        code_of(wrong.expect_err("wrong")),
        FailureCode::InvalidArgument
    );
    let early = stage.client.passkey_confirm("alice").await;
    assert_eq!(
        code_of(early.expect_err("not yet")),
        FailureCode::NotAwaited
    );

    // WhatsApp does not know this passkey.
    let refused = stage.client.passkey_assert("alice", answer()).await;
    assert_eq!(code_of(refused.expect_err("refused")), FailureCode::Refused);
    at_step(&mut stage, PasskeyStep::Checking).await;
    let status = at_step(&mut stage, PasskeyStep::Challenge).await;
    assert!(status.error.is_some());

    let device = unpaired(&stage).await;
    stage.sim.close(&device).await.expect("closed");
    loop {
        let event = stage.event("alice", |_| true).await;
        assert!(
            !matches!(event.kind, EventKind::Qr),
            "a code that is not wanted"
        );
        if let Some(entry) = event.kind.ended() {
            assert_eq!(event.kind.as_str(), "logged_out");
            assert_eq!(entry.cause, Cause::PasskeyRequired);
            break;
        }
    }
    stage
        .assert_gone("alice", Cause::PasskeyRequired, Unlink::NotLinked)
        .await;
    // Neither the challenge nor the answer is anywhere but where they belong.
    let log = stage.log();
    assert!(!log.contains("c2VjcmV0LWNoYWxsZW5nZQ") && !log.contains("BAUG"));
    stage.pair("alice", PHONE).await;
}

/// The same after a pair code. Who gives it up has done that, and the history says what it waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_after_a_pair_code() {
    let mut stage = Stage::set().await;
    let phone = format!("+{PHONE}");
    let asked = stage.client.connect_session("alice", Some(&phone)).await;
    assert_eq!(asked.expect("connect").phase, Phase::AwaitingCode);
    ask_passkey(&stage).await;
    let status = at_step(&mut stage, PasskeyStep::Challenge).await;
    assert_eq!(status.phase, Phase::AwaitingCode);
    let again = stage.client.connect_session("alice", Some(&phone)).await;
    assert!(again.expect("connect").passkey.is_some());
    stage.client.disconnect("alice").await.expect("disconnect");
    let entry = stage.ended("alice").await;
    let text = entry.text.expect("a text");
    assert!(text.contains("wanted a passkey"), "{text}");
    stage
        .assert_gone("alice", Cause::PairingAbandoned, Unlink::NotLinked)
        .await;
}

/// The answer that the owner's passkey makes of the present challenge.
async fn signed(stage: &Stage) -> Redacted {
    let challenge = stage.client.passkey_challenge("alice").await;
    let options = challenge.expect("the challenge").options;
    let answer = stage.sim.sign_passkey(PHONE, options.reveal()).await;
    answer.expect("signed").into()
}

/// Answers the passkey's challenge, up to the code that is to be compared.
async fn answer_passkey(stage: &mut Stage) {
    at_step(stage, PasskeyStep::Challenge).await;
    let answer = signed(stage).await;
    let taken = stage.client.passkey_assert("alice", answer).await;
    taken.expect("taken");
    at_step(stage, PasskeyStep::Confirmation).await;
}

/// WhatsApp asks again after it has taken an answer. The link cannot carry another one: the pairing begins anew, says
/// so, and can be finished with the next code.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_challenge_begins_the_pairing_anew() {
    let mut stage = Stage::set().await;
    stage.sim.set_passkey(PHONE, true).await.expect("set");
    stage.connect("alice").await;
    let first = stage.qr("alice").await;
    let needed = stage.sim.scan(&first, PHONE).await;
    needed.expect_err("a passkey is needed");
    answer_passkey(&mut stage).await;
    let late = stage.client.passkey_challenge("alice").await;
    assert_eq!(
        code_of(late.expect_err("answered")),
        FailureCode::NotAwaited
    );

    ask_passkey(&stage).await;
    let event = stage
        .event("alice", |e| matches!(e.kind, EventKind::Connecting))
        .await;
    let error = event.status.and_then(|status| status.error).expect("words");
    assert!(error.contains("begins anew"), "{error}");
    let second = stage.qr("alice").await;
    assert_ne!(first, second);
    let needed = stage.sim.scan(&second, PHONE).await;
    needed.expect_err("a passkey is needed");
    answer_passkey(&mut stage).await;
    stage.client.passkey_confirm("alice").await.expect("taken");
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(
        status.account.expect("an account").phone,
        format!("+{PHONE}")
    );
}

/// The number is corrected while the first code is asked for. The code that is shown is for the second number.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_corrected_at_once() {
    let mut stage = Stage::set().await;
    let [wrong, right] = [OTHER, PHONE].map(|phone| format!("+{phone}"));
    for _ in 0..5 {
        let (first, second) = tokio::join!(
            stage.client.connect_session("alice", Some(&wrong)),
            stage.client.connect_session("alice", Some(&right)),
        );
        first.expect("connect");
        second.expect("connect");
        let status = stage.until("alice", Phase::AwaitingCode).await;
        let shown = status.pair_code.expect("a pair code");
        // The two requests may be taken in either order. What is shown is one that works.
        let phone = shown.phone.trim_start_matches('+').to_owned();
        let code = shown.code.expect("its text");
        let device = stage.sim.link_by_code(&phone, code.reveal()).await;
        let device = device.expect("the code is for the number beside it");
        let status = stage.phase("alice", Phase::Online).await;
        assert_eq!(status.account.expect("an account").jid, device);
        stage.client.force_logout("alice").await.expect("removed");
        stage.ended("alice").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_that_is_expected_is_shown_and_must_be_that_of_the_code() {
    let mut stage = Stage::set().await;
    let [one, other] = [PHONE, OTHER].map(|phone| format!("+{phone}"));
    let refused = stage
        .client
        .connect_expecting("alice", Some(&one), Some(&other))
        .await;
    assert_eq!(
        code_of(refused.expect_err("refused")),
        FailureCode::InvalidArgument
    );
    let gone = stage.client.status("alice").await;
    assert_eq!(code_of(gone.expect_err("nothing")), FailureCode::NotFound);
    let begun = stage
        .client
        .connect_expecting("alice", None, Some(&one))
        .await;
    assert_eq!(begun.expect("connect").expect, Some(one));
    let qr = stage.qr("alice").await;
    stage.sim.scan(&qr, PHONE).await.expect("scan");
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.expect, None);
}

/// WhatsApp retires the keys of the code that is shown: another code at once, with the same number.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_the_registration_keeps_the_numbers() {
    let mut stage = Stage::set().await;
    stage.connect("alice").await;
    let mut before = stage.qr("alice").await;
    let dead = before.clone();
    for _ in 0..7 {
        let refresh =
            notification("companion_reg_refresh").child(Stanza::new("companion_reg_refresh"));
        let device = unpaired(&stage).await;
        stage.sim.send_raw(&device, refresh).await.expect("sent");
        let event = stage
            .event("alice", |e| matches!(e.kind, EventKind::Qr))
            .await;
        let qr = event.status.and_then(|s| s.qr).expect("a QR code");
        assert_eq!((qr.number, qr.remaining), (1, 5));
        let code = qr.code.expect("its text").reveal().to_owned();
        assert_ne!(code, before);
        before = code;
    }
    let scanned = stage.sim.scan(&dead, PHONE).await;
    assert!(scanned.is_err(), "the old code still works: {scanned:?}");
    let device = stage.sim.scan(&before, PHONE).await.expect("scan");
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
}

/// Each drop withdraws the code and brings another one, until the pairing has had them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_code_whose_connection_drops() {
    let mut stage = Stage::set().await;
    let phone = format!("+{PHONE}");
    let asked = stage.client.connect_session("alice", Some(&phone)).await;
    let code = |status: Status| {
        let code = status.pair_code.and_then(|code| code.code);
        code.expect("a code").reveal().to_owned()
    };
    let mut codes = vec![code(asked.expect("connect"))];
    stage
        .event("alice", |e| matches!(e.kind, EventKind::PairCode))
        .await;
    let entry = loop {
        let device = unpaired(&stage).await;
        stage.sim.drop_connection(&device).await.expect("dropped");
        // The first thing that is told of it: the code is gone.
        let event = stage
            .event("alice", |e| !matches!(e.kind, EventKind::PairCode))
            .await;
        assert!(
            event
                .status
                .is_some_and(|status| status.pair_code.is_none())
        );
        let next = stage
            .event("alice", |e| {
                matches!(e.kind, EventKind::PairCode) || e.kind.ended().is_some()
            })
            .await;
        if let Some(entry) = next.kind.ended() {
            break entry.clone();
        }
        let next = code(next.status.expect("a status"));
        assert!(!codes.contains(&next));
        codes.push(next);
    };
    assert_eq!((codes.len(), entry.cause), (5, Cause::ConnectionLost));
    stage
        .assert_gone("alice", Cause::ConnectionLost, Unlink::NotLinked)
        .await;
    // And a person has a code again.
    let asked = stage.client.connect_session("alice", Some(&phone)).await;
    let code = code(asked.expect("connect"));
    let device = stage.sim.link_by_code(PHONE, &code).await.expect("link");
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
}

/// Whoever connects while the code is dead gets one, however they ask.
#[tokio::test(flavor = "multi_thread")]
async fn a_connect_after_a_drop_gives_a_code_again() {
    let mut stage = Stage::set().await;
    let phone = format!("+{PHONE}");
    for by in [None, Some(phone.as_str())] {
        let asked = stage.client.connect_session("alice", Some(&phone)).await;
        asked.expect("connect");
        for _ in 0..6 {
            let device = unpaired(&stage).await;
            stage.sim.drop_connection(&device).await.expect("dropped");
            stage.phase("alice", Phase::BackingOff).await;
            let asked = stage.client.connect_session("alice", by).await;
            asked.expect("connect");
            let status = stage.until("alice", Phase::AwaitingCode).await;
            assert!(status.pair_code.is_some_and(|code| code.code.is_some()));
        }
        stage.client.force_logout("alice").await.expect("removed");
        stage.ended("alice").await;
    }
}

/// Refused, unlinked again at WhatsApp, and told.
#[tokio::test(flavor = "multi_thread")]
async fn another_account_than_the_expected_one_scans() {
    let mut stage = Stage::set().await;
    let expected = format!("+{PHONE}");
    let expecting = |client: &wasessiond::client::Client| {
        let client = client.clone();
        let expected = expected.clone();
        async move {
            client
                .connect_expecting("alice", None, Some(&expected))
                .await
        }
    };
    expecting(&stage.client).await.expect("connect");
    let qr = stage.qr("alice").await;
    stage.sim.scan(&qr, OTHER).await.expect("scan");
    let entry = stage.ended("alice").await;
    assert_eq!(
        (entry.cause, entry.unlink),
        (Cause::WrongAccount, Unlink::Confirmed)
    );
    assert_eq!(entry.account.map(|a| a.phone), Some(format!("+{OTHER}")));
    let text = entry.text.expect("a text");
    assert!(text.contains(OTHER) && text.contains(PHONE), "{text}");
    assert!(stage.sim.devices(OTHER).await.expect("devices").is_empty());

    expecting(&stage.client).await.expect("connect");
    let qr = stage.qr("alice").await;
    stage.sim.scan(&qr, PHONE).await.expect("scan");
    stage.phase("alice", Phase::Online).await;
    // The same is refused while another account is linked.
    let other = format!("+{OTHER}");
    let refused = stage
        .client
        .connect_expecting("alice", None, Some(&other))
        .await;
    assert_eq!(
        code_of(refused.expect_err("refused")),
        FailureCode::WrongAccount
    );
    assert_eq!(
        stage.client.status("alice").await.expect("a session").phase,
        Phase::Online
    );
}

/// After a logout only the history knows the last account.
#[tokio::test(flavor = "multi_thread")]
async fn another_account_scans_after_a_logout() {
    let mut stage = Stage::set().await;
    for (phone, changed) in [(PHONE, false), (PHONE, false), (OTHER, true)] {
        stage.connect("alice").await;
        let qr = stage.qr("alice").await;
        stage.sim.scan(&qr, phone).await.expect("scan");
        let event = stage
            .event("alice", |e| {
                matches!(e.kind, EventKind::Paired | EventKind::AccountChanged)
            })
            .await;
        assert_eq!(
            matches!(event.kind, EventKind::AccountChanged),
            changed,
            "{phone}"
        );
        stage.phase("alice", Phase::Online).await;
        stage.client.force_logout("alice").await.expect("removed");
        stage.ended("alice").await;
    }
}

/// Nobody says that the owner of the phone did it, and after the third time `connect` warns first.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_removed_seconds_after_it_was_linked() {
    let mut stage = Stage::set().await;
    for _ in 0..3 {
        let begun = stage.client.connect_session("alice", None).await;
        let advice = begun.expect("connect").next_action;
        assert!(!advice.contains("in the last day"), "{advice}");
        let qr = stage.qr("alice").await;
        let device = stage.sim.scan(&qr, PHONE).await.expect("scan");
        stage.phase("alice", Phase::Online).await;
        stage.sim.unlink(&device).await.expect("unlink");
        let entry = stage.ended("alice").await;
        assert_eq!(
            (entry.cause, entry.unlink),
            (Cause::Unlinked, Unlink::NotLinked)
        );
        let age = entry.removed_soon().expect("it was soon").as_secs();
        let text = entry.text.expect("a text");
        assert!(
            text.contains(&format!("{age} s after it was linked")),
            "{text}"
        );
        assert!(text.contains("rarely the phone's owner"), "{text}");
    }
    let begun = stage.client.connect_session("alice", None).await;
    let advice = begun.expect("connect").next_action;
    assert!(advice.contains("3 times in the last day"), "{advice}");
}
