//! The passkey ceremony between the scan and the end of a pairing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Duration;

use base64::Engine as _;
use support::{LONG, TestClient};
use wasim::{Error, Fault, FaultRule, Observation, Options, Server};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::passkey::Assertion;
use whatsapp_rust::wacore::types::events::Event;

const PHONE: &str = "15550001013";

/// An account that needs a passkey, and a client that shows a QR code.
async fn start() -> (Server, TestClient) {
    start_with(Options::default()).await
}

async fn start_with(options: Options) -> (Server, TestClient) {
    let server = Server::start(options).await.unwrap();
    server.set_passkey(PHONE, true).await.unwrap();
    let client = TestClient::start(&server).await;
    (server, client)
}

/// Scans, and returns what the client is to have signed.
async fn scan(server: &Server, client: &TestClient) -> String {
    let qr = client.qr().await;
    let scanned = server.scan(&qr, PHONE).await;
    assert!(
        matches!(scanned, Err(Error::PasskeyNeeded { connection: 1 })),
        "{scanned:?}"
    );
    asked(client).await
}

async fn asked(client: &TestClient) -> String {
    client
        .event(|event| match event {
            Event::PairPasskeyRequest(request) => Some(request.request_options_json.clone()),
            _ => None,
        })
        .await
}

/// The assertion as the library takes it.
fn packed(assertion: String) -> Assertion {
    let parsed: serde_json::Value = serde_json::from_str(&assertion).unwrap();
    let id = parsed["rawId"].as_str().unwrap();
    Assertion {
        credential_id: base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(id)
            .unwrap(),
        assertion_json: assertion.into_bytes(),
    }
}

async fn sign(server: &Server, options: &str) -> Assertion {
    packed(server.sign_passkey(PHONE, options).await.unwrap())
}

/// The code that the client shows.
async fn shown(client: &TestClient) -> String {
    client
        .event(|event| match event {
            Event::PairPasskeyConfirmation(confirmation) => Some(confirmation.code.clone()),
            _ => None,
        })
        .await
}

/// Goes on from the answered challenge to the linked device.
async fn finish(server: &Server, client: &TestClient) {
    let code = shown(client).await;
    let of_phone = |seen: &Observation| matches!(seen, Observation::PasskeyCode { .. });
    let Observation::PasskeyCode {
        code: other,
        skipped,
        phone,
        ..
    } = server.wait_for(of_phone, LONG).await.unwrap()
    else {
        unreachable!("only the code fits");
    };
    assert_eq!((&code, phone.as_str(), skipped), (&other, PHONE, false));
    assert!(server.secrets().contains(&code));
    client.client.send_passkey_confirmation().await.unwrap();
    let paired = |seen: &Observation| matches!(seen, Observation::Paired { .. });
    let paired = server.wait_for(paired, LONG).await.unwrap();
    let device = paired.jid().unwrap().to_owned();
    server.wait_online(&device, LONG).await.unwrap();
    client.connected().await;
    assert_eq!(server.devices(PHONE).await.unwrap()[0].jid, device);
}

async fn refused(server: &Server) -> String {
    let refused = |seen: &Observation| matches!(seen, Observation::PasskeyRefused { .. });
    match server.wait_for(refused, LONG).await.unwrap() {
        Observation::PasskeyRefused { error, .. } => error,
        _ => unreachable!("only a refusal fits"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanned_client_is_linked_by_the_owners_passkey() {
    let (server, client) = start().await;
    let options = scan(&server, &client).await;
    assert!(server.devices(PHONE).await.unwrap().is_empty());
    let parsed: serde_json::Value = serde_json::from_str(&options).unwrap();
    assert_eq!(parsed["rpId"], "whatsapp.com");
    let challenge = parsed["challenge"].as_str().unwrap().to_owned();
    assert!(server.secrets().contains(&challenge));
    let assertion = sign(&server, &options).await;
    client
        .client
        .send_passkey_response(assertion)
        .await
        .unwrap();
    finish(&server, &client).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_code_was_typed_is_asked_too_and_fetches_what_to_sign() {
    let (server, client) = start().await;
    server.set_fault(Fault::NoPasskeyOptions).await.unwrap();
    client.qr().await;
    let options = PairCodeOptions {
        phone_number: PHONE.to_owned(),
        ..PairCodeOptions::default()
    };
    let code = client.client.pair_with_code(options).await.unwrap();
    let linked = server.link_by_code(PHONE, &code).await;
    assert!(
        matches!(linked, Err(Error::PasskeyNeeded { .. })),
        "{linked:?}"
    );
    let options = asked(&client).await;
    let assertion = sign(&server, &options).await;
    client
        .client
        .send_passkey_response(assertion)
        .await
        .unwrap();
    finish(&server, &client).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_answer_is_refused_and_the_right_one_still_links() {
    let (server, client) = start().await;
    let options = scan(&server, &client).await;
    let right = server.sign_passkey(PHONE, &options).await.unwrap();
    let foreign = server.sign_passkey("15550001014", &options).await.unwrap();
    let sent = client.client.send_passkey_response(packed(foreign)).await;
    assert!(sent.unwrap_err().to_string().contains("401"));
    assert!(refused(&server).await.contains("does not have"));

    let once = FaultRule::from(Fault::RefuseAssertion(403)).times(1);
    server.set_fault(once).await.unwrap();
    let sent = client
        .client
        .send_passkey_response(packed(right.clone()))
        .await;
    assert!(sent.unwrap_err().to_string().contains("403"));

    client
        .client
        .send_passkey_response(packed(right))
        .await
        .unwrap();
    finish(&server, &client).await;
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_that_is_too_old_is_not_taken() {
    let options = Options {
        passkey_timeout: Duration::ZERO,
        ..Options::default()
    };
    let (server, client) = start_with(options).await;
    let old = scan(&server, &client).await;
    let assertion = sign(&server, &old).await;
    assert!(
        client
            .client
            .send_passkey_response(assertion)
            .await
            .is_err()
    );
    assert!(refused(&server).await.contains("too old"));
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phone_may_never_answer_or_answer_nonsense() {
    let (server, client) = start().await;
    let once = |fault| FaultRule::from(fault).only(PHONE).times(1);
    server
        .set_fault(once(Fault::CorruptContinuation))
        .await
        .unwrap();
    let options = scan(&server, &client).await;
    let assertion = sign(&server, &options).await;
    client
        .client
        .send_passkey_response(assertion)
        .await
        .unwrap();
    let continuation = client
        .event(|event| match event {
            Event::PairPasskeyError(error) => Some(error.continuation),
            _ => None,
        })
        .await;
    assert!(continuation);
    client.stop().await;

    server.set_fault(once(Fault::NoContinuation)).await.unwrap();
    let client = TestClient::start(&server).await;
    let qr = client.qr().await;
    assert!(server.scan(&qr, PHONE).await.is_err());
    let options = asked(&client).await;
    let assertion = sign(&server, &options).await;
    client
        .client
        .send_passkey_response(assertion)
        .await
        .unwrap();
    for _ in 0..2 {
        let proved = |seen: &Observation| matches!(seen, Observation::PasskeyProved { .. });
        server.wait_for(proved, LONG).await.unwrap();
    }
    // The ceremony stays where it is: what should follow the phone's answer is refused.
    let early = client.client.send_passkey_confirmation().await;
    assert!(early.is_err());
    assert!(server.devices(PHONE).await.unwrap().is_empty());
    client.stop().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phone_may_fall_silent_after_a_scan_and_after_the_ceremony() {
    let (server, client) = start().await;
    let silent = FaultRule::from(Fault::NoPairSuccess).times(1);
    server.set_fault(silent.clone()).await.unwrap();
    let qr = client.qr().await;
    let scanned = server.scan(&qr, PHONE).await;
    assert!(matches!(scanned, Err(Error::Pairing(_))), "{scanned:?}");

    assert!(server.scan(&qr, PHONE).await.is_err());
    let options = asked(&client).await;
    let assertion = sign(&server, &options).await;
    client
        .client
        .send_passkey_response(assertion)
        .await
        .unwrap();
    shown(&client).await;
    server.set_fault(silent).await.unwrap();
    client.client.send_passkey_confirmation().await.unwrap();
    for _ in 0..2 {
        let ignored = |seen: &Observation| matches!(seen, Observation::PairingIgnored { .. });
        server.wait_for(ignored, LONG).await.unwrap();
    }
    assert!(server.devices(PHONE).await.unwrap().is_empty());
    client.stop().await;
    server.shutdown().await;
}
