//! Sessions that live and end in every way, while everybody looks at them.

mod conversation;

use std::fmt::Debug;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use wasessiond::client::ConnectOptions;
use wasessiond::protocol::codec::Encoding;
use wasessiond::protocol::preface::Hello;
use wasessiond::protocol::{Cause, EventKind, Phase, ProxyEdit, TargetEdit, Unlink};
use wasessiond::whatsapp::SpaceBackend;
use wasim::{Failure, Fault, FaultRule, Stanza};
use whatsapp_rust::store::DeviceStore as _;

use super::assert_private;
use super::hunt::Hunt;
use crate::proxy::{Kind, Proxy};
use crate::stage::Stage;
use crate::vault;

/// What was lived through.
pub(super) struct Life {
    /// Every secret that was in it.
    pub(super) hunt: Hunt,
    /// What was shown to whoever asked.
    pub(super) said: Vec<(String, String)>,
}

/// The daemon is started again by `again`.
pub(super) async fn live(stage: &mut Stage, again: impl Fn() -> Command) -> Life {
    let mut life = Life {
        hunt: Hunt::default(),
        said: Vec::new(),
    };
    life.by_qr_code(stage).await;
    life.in_conversation(stage).await;
    life.through_bad_networks(stage).await;
    life.through_proxies(stage).await;
    stage.stop();
    stage.start_by(again()).await;
    life.restored_and_unlinked(stage).await;
    life.by_pair_code(stage).await;
    life.refused_pair_codes(stage).await;
    life.locked(stage).await;
    life.locked_while_nobody_looked(stage).await;
    life.parked_and_held(stage).await;
    life.malformed(stage).await;
    for secret in stage.sim.secrets() {
        life.hunt.add("known to the simulator", &secret);
    }
    for text in stage.sim.texts() {
        life.hunt.add("written by somebody", &text);
    }
    life.assert_complete();
    life
}

impl Life {
    fn heard(&mut self, what: &str, said: impl Debug) {
        self.said.push((what.to_owned(), format!("{said:?}")));
    }

    fn note_code(&mut self, code: &str) {
        self.hunt.add("a pair code", code);
        self.hunt.add("a pair code", &code.replace('-', ""));
    }

    // ---- lives ----------------------------------------------------------------------------------

    async fn by_qr_code(&mut self, stage: &mut Stage) {
        let spoiled = FaultRule::from(Fault::CorruptHmac).times(1);
        stage.sim.set_fault(spoiled).await.expect("fault");
        let begun = stage.client.connect_session("alice", None).await;
        begun.expect("connect");
        let qr = stage.qr("alice").await;
        self.hunt.add("a QR code", &qr);
        self.look_around(stage).await;
        let shown = wactl(stage, &["qr", "alice", "--format", "text"]);
        assert!(shown.contains(&qr), "its owner sees it: {shown}");
        let refused = stage.sim.scan(&qr, "15550001001").await;
        refused.expect_err("a wrong HMAC");
        let event = stage
            .event("alice", |e| matches!(e.kind, EventKind::Updated))
            .await;
        let error = event.status.and_then(|s| s.error);
        self.heard("the error of a spoiled pairing", error.expect("an error"));
        let report = wactl(stage, &["--json", "force-logout", "alice", "--yes"]);
        self.said.push(("force-logout".to_owned(), report));
        stage.ended("alice").await;

        stage.pair("alice", "15550001001").await;
        self.note_keys(stage, "alice").await;
        let groups = stage.client.groups("alice").await.expect("groups");
        let edit = TargetEdit::Set(vec![groups[0].jid.to_string()]);
        let targets = stage.client.targets("alice", edit).await;
        targets.expect("targets");
        self.look_around(stage).await;
    }

    async fn through_bad_networks(&mut self, stage: &mut Stage) {
        let device = device(stage, "alice").await;
        for fault in [
            Fault::HttpStatus(401),
            Fault::HttpStatus(407),
            Fault::HttpStatus(503),
            Fault::GarbageServerHello,
            Fault::CloseOnHello,
            Fault::RefuseIk,
        ] {
            let rule = FaultRule::from(fault.clone()).times(1);
            stage.sim.set_fault(rule).await.expect("fault");
            stage.sim.drop_connection(&device).await.expect("drop");
            let status = stage.phase("alice", Phase::BackingOff).await;
            self.heard("an error", status);
            self.back(stage, "alice").await;
        }
        for (stanza, why) in [
            (wasim::StreamError::code(500), "stream error 500"),
            (
                wasim::StreamError::empty().conflict("odd"),
                "an odd conflict",
            ),
        ] {
            let ended = stage.sim.stream_error(&device, stanza).await;
            ended.expect(why);
            stage
                .event("alice", |e| {
                    e.status.as_ref().is_some_and(|s| s.phase != Phase::Online)
                })
                .await;
            self.back(stage, "alice").await;
        }
        // What the library does not expect it reports, whole.
        for odd in [
            Stanza::new("notification")
                .attr("type", "odd")
                .attr("id", "1"),
            Stanza::new("message").attr("id", "2").text("no message"),
            Stanza::new("iq").attr("type", "set").attr("id", "3"),
        ] {
            stage.sim.send_raw(&device, odd).await.expect("send");
        }
        stage.client.groups("alice").await.expect("it lives");
    }

    /// The password of a proxy is shown to nobody, whether the proxy takes it or not.
    async fn through_proxies(&mut self, stage: &mut Stage) {
        let (user, password) = ("proxy-user-7f3a9c", "proxy-password-51b0e2");
        for (what, secret) in [("a proxy's user", user), ("a proxy's password", password)] {
            self.hunt.add(what, secret);
        }
        let login = format!("{user}:{password}");
        self.hunt.add("a proxy's login", &login);
        for (scheme, kind) in [("http", Kind::Http), ("socks5h", Kind::Socks5)] {
            for (taken, phase) in [
                ((user, password), Phase::Online),
                ((user, "another"), Phase::BackingOff),
            ] {
                let proxy = Proxy::start(kind, Some(taken)).await;
                let url = format!("{scheme}://{login}@{}", proxy.address);
                let set = stage
                    .client
                    .proxy("alice", ProxyEdit::Set(url.into()))
                    .await;
                self.heard("the proxy", set.expect("a proxy"));
                let status = stage.phase("alice", phase).await;
                self.heard("a status", status);
                self.look_around(stage).await;
                for words in [&["proxy", "alice"][..], &["--json", "proxy", "alice"]] {
                    let shown = wactl(stage, words);
                    assert!(shown.contains(&proxy.address.to_string()), "{shown}");
                    self.said
                        .push((format!("wactl {}", words.join(" ")), shown));
                }
            }
        }
        for wrong in [
            format!("ftp://{login}@127.0.0.1:1"),
            format!("http://{login}@127.0.0.1:x"),
            format!("http://{login}@192.0.2.1:1"),
            login.clone(),
        ] {
            let refused = stage
                .client
                .proxy("alice", ProxyEdit::Set(wrong.as_str().into()))
                .await;
            self.heard("a refused proxy", refused.expect_err("no proxy"));
            let options = ConnectOptions {
                proxy: Some(wrong.as_str().into()),
                ..ConnectOptions::default()
            };
            let refused = stage.client.connect_with("alice", &options).await;
            self.heard("a refused connect", refused.expect_err("no proxy"));
        }
        let cleared = stage.client.proxy("alice", ProxyEdit::Clear).await;
        cleared.expect("clear");
        until_online(stage, "alice").await;
    }

    async fn restored_and_unlinked(&mut self, stage: &mut Stage) {
        until_online(stage, "alice").await;
        let device = device(stage, "alice").await;
        stage.sim.unlink(&device).await.expect("unlink");
        let entry = stage.ended("alice").await;
        assert_eq!(entry.cause, Cause::Unlinked);
        self.heard("a line of the history", entry);
        self.look_around(stage).await;
    }

    async fn by_pair_code(&mut self, stage: &mut Stage) {
        let phone = Some("+15550001002");
        let status = stage.client.connect_session("bob", phone).await;
        let shown = status.expect("connect").pair_code.expect("a pair code");
        let code = shown.code.expect("its text").reveal().to_owned();
        self.note_code(&code);
        self.look_around(stage).await;
        let wrong = stage.sim.link_by_code("15550001002", "AAAA-AAAA").await;
        wrong.expect_err("a wrong code");
        let linked = stage.sim.link_by_code("15550001002", &code).await;
        // A wrong code may have cost the right one its validity: then a new one is made.
        if linked.is_err() {
            let status = stage.client.status("bob").await.expect("status");
            if let Some(code) = status.pair_code.and_then(|p| p.code) {
                self.note_code(code.reveal());
            }
            stage
                .client
                .force_logout("bob")
                .await
                .expect("force-logout");
            stage.ended("bob").await;
            let status = stage.client.connect_session("bob", phone).await;
            let shown = status.expect("connect").pair_code.expect("a pair code");
            let code = shown.code.expect("its text").reveal().to_owned();
            self.note_code(&code);
            let linked = stage.sim.link_by_code("15550001002", &code).await;
            linked.expect("link");
        }
        until_online(stage, "bob").await;
        self.note_keys(stage, "bob").await;
        let report = stage.client.force_logout("bob").await;
        let report = report.expect("force-logout");
        assert_eq!(report.entry.unlink, Unlink::Confirmed);
        self.heard("the report of a force-logout", report);
        stage.ended("bob").await;
    }

    async fn refused_pair_codes(&mut self, stage: &mut Stage) {
        for code in [400, 403, 429, 500] {
            let refuse = FaultRule::from(Fault::RefusePairCode(code)).times(1);
            stage.sim.set_fault(refuse).await.expect("fault");
            let phone = Some("+15550001003");
            let refused = stage.client.connect_session("carol", phone).await;
            self.heard("a refused pair code", refused.expect_err("a refusal"));
            if stage.client.status("carol").await.is_ok() {
                let _ = stage.client.force_logout("carol").await;
            }
            stage.ended("carol").await;
        }
        stage.sim.clear_faults().await.expect("clear");
    }

    /// WhatsApp's words hold the token, too, in a link.
    async fn locked(&mut self, stage: &mut Stage) {
        let token = "AppealToken-d4v3-0123456789";
        let device = stage.pair("dave", "15550001004").await;
        self.note_keys(stage, "dave").await;
        let refused = stage.sim.fail_next_login(&device, lock(token)).await;
        refused.expect("fail");
        stage.sim.drop_connection(&device).await.expect("drop");
        let held = stage.phase("dave", Phase::Held).await;
        assert_eq!(held.reason, Some(Cause::AccountLocked));
        for words in [&["status", "dave"][..], &["list"], &["--json", "list"]] {
            let shown = wactl(stage, words);
            assert!(shown.contains("dave"), "{shown}");
            self.said
                .push((format!("wactl {}, held", words.join(" ")), shown));
        }
        let full = wactl(stage, &["--json", "status", "dave"]);
        assert!(full.contains(token), "its owner can see it: {full}");
        let report = stage.client.force_logout("dave").await;
        self.heard("a report of a lock", report.expect("force-logout"));
        stage.ended("dave").await;
        self.is_kept_for_its_owner(stage, "dave", token);
    }

    /// Nothing was connected when the account was locked: it is the login for the unlink that is told.
    async fn locked_while_nobody_looked(&mut self, stage: &mut Stage) {
        let token = "AppealToken-fr4nk-987654321";
        let device = stage.pair("frank", "15550001006").await;
        let stopped = stage.client.disconnect("frank").await;
        stopped.expect("disconnect");
        let refused = stage.sim.fail_next_login(&device, lock(token)).await;
        refused.expect("fail");
        let report = stage.client.force_logout("frank").await;
        self.heard("a report", report.expect("force-logout"));
        stage.ended("frank").await;
        self.is_kept_for_its_owner(stage, "frank", token);
    }

    fn is_kept_for_its_owner(&mut self, stage: &Stage, user: &str, token: &str) {
        let kept = wactl(stage, &["--json", "history", user]);
        let object = format!("\"appeal_token\":\"{token}\"");
        assert!(kept.contains(&object), "{kept}");
        assert_eq!(kept.matches(token).count(), 1, "once: {kept}");
        assert!(kept.contains("Open WhatsApp on your phone"), "{kept}");
        for words in [&["history", user][..], &["status", user], &["qr", user]] {
            let shown = wactl(stage, words);
            assert!(shown.contains(user), "{shown}");
            self.said
                .push((format!("wactl {}", words.join(" ")), shown));
        }
        assert_private(stage);
    }

    async fn parked_and_held(&mut self, stage: &mut Stage) {
        let device = stage.pair("erin", "15550001005").await;
        self.note_keys(stage, "erin").await;
        let token = "AppealToken-3r1n-5551212";
        for (failure, phase) in [
            (words(Failure::reason(418), token), Phase::Parked),
            (words(Failure::temporary_ban(101, 3600), token), Phase::Held),
        ] {
            let refused = stage.sim.fail_next_login(&device, failure).await;
            refused.expect("fail");
            stage.sim.drop_connection(&device).await.expect("drop");
            let status = stage.phase("erin", phase).await;
            assert!(
                status
                    .error
                    .as_deref()
                    .is_some_and(|e| e.contains("Too much"))
            );
            self.heard("a status", status);
            self.look_around(stage).await;
            if phase == Phase::Parked {
                self.back(stage, "erin").await;
            }
        }
        assert_private(stage);
    }

    /// Whoever gets the protocol wrong may have a secret in hand.
    async fn malformed(&mut self, stage: &mut Stage) {
        let begun = stage.client.connect_session("grace", None).await;
        begun.expect("connect");
        let qr = stage.qr("grace").await;
        self.hunt.add("a QR code", &qr);
        self.look_around(stage).await;
        let preface = "wasession/1 json";
        let bincode = Hello {
            encoding: Encoding::Bincode,
            client: String::new(),
        };
        for frames in [
            vec![qr.clone()],
            vec![format!("wasession/{qr} json")],
            vec![format!("wasession/1 {qr}")],
            vec![preface.to_owned(), qr.clone()],
            vec![
                preface.to_owned(),
                format!(r#"{{"id":1,"command":{{"{qr}":{{}}}}}}"#),
            ],
            vec![
                preface.to_owned(),
                format!(r#"{{"id":"{qr}","command":"list"}}"#),
            ],
            vec![
                preface.to_owned(),
                format!(r#"{{"id":1,"command":{{"status":{{"user":"{qr}"}}}}}}"#),
            ],
            vec![bincode.to_string(), qr.clone()],
            vec![format!("wasession/1 bincode/{qr}")],
        ] {
            send(stage, &frames);
        }
        stage.client.ping().await.expect("it lives");
    }

    // ---- around them ----------------------------------------------------------------------------

    /// What everybody may see, of everybody.
    async fn look_around(&mut self, stage: &Stage) {
        assert_private(stage);
        let listed = stage.client.list().await.expect("list");
        self.heard("list", listed);
        for words in [
            &["list"][..],
            &["--json", "list"],
            &["history"],
            &["daemon", "info"],
            &["--json", "daemon", "info"],
        ] {
            let shown = wactl(stage, words);
            self.said
                .push((format!("wactl {}", words.join(" ")), shown));
        }
    }

    async fn back(&self, stage: &mut Stage, user: &str) {
        let asked = stage.client.connect_session(user, None).await;
        asked.expect("connect");
        until_online(stage, user).await;
    }

    /// The keys that only the daemon has.
    async fn note_keys(&mut self, stage: &Stage, user: &str) {
        // The daemon has its file for itself alone, so what is read is a copy.
        let (vault, _copy) = vault::copy(&stage.state(), user).await;
        let backend = SpaceBackend::new(vault);
        let device = backend.load().await.expect("read").expect("a device");
        self.hunt.add_bytes("an adv secret", &device.adv_secret_key);
        for (what, pair) in [
            ("a noise key", &device.noise_key),
            ("an identity key", &device.identity_key),
            ("a signed prekey", &device.signed_pre_key),
        ] {
            let (private, public) = (pair.private_key.serialize(), pair.public_key.serialize());
            self.hunt.add_bytes(what, &private[..]);
            // Without the byte that says what kind of key it is.
            self.hunt.add_bytes(what, &public[1..]);
        }
    }

    /// A search for nothing would find nothing.
    fn assert_complete(&self) {
        assert!(self.hunt.secrets() > 50, "{} secrets", self.hunt.secrets());
        assert!(self.said.len() > 30, "{} outputs", self.said.len());
    }
}

fn lock(token: &str) -> Failure {
    let link = format!("https://appeal.example/{token}?lang=en");
    Failure {
        url: Some(link),
        ..Failure::account_locked(token)
    }
}

fn words(failure: Failure, token: &str) -> Failure {
    Failure {
        message: Some("Too much of everything".to_owned()),
        url: Some(format!("https://help.example/?t={token}")),
        appeal_token: Some(token.to_owned()),
        ..failure
    }
}

async fn device(stage: &Stage, user: &str) -> String {
    let status = stage.client.status(user).await.expect("status");
    status.account.expect("an account").jid
}

async fn until_online(stage: &mut Stage, user: &str) {
    let status = stage.client.status(user).await.expect("status");
    if status.phase != Phase::Online {
        stage.phase(user, Phase::Online).await;
    }
}

/// Everything that `wactl` says, on both streams.
pub(crate) fn wactl(stage: &Stage, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wactl"))
        .arg("--socket")
        .arg(stage.dir.path().join("control.sock"))
        .args(words)
        .output()
        .expect("run wactl");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).expect("text")
}

/// Frames as they are; waits until the daemon has answered all that it wants to.
fn send(stage: &Stage, frames: &[String]) {
    let socket = stage.dir.path().join("control.sock");
    let mut stream = UnixStream::connect(socket).expect("connect");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("set a time-out");
    for frame in frames {
        let length = u32::try_from(frame.len()).expect("short").to_be_bytes();
        // It may have hung up already.
        let _ = stream.write_all(&[&length, frame.as_bytes()].concat());
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    assert!(!answers.is_empty(), "not a word to {frames:?}");
}
