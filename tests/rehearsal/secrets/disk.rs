//! No account and no secret is in clear in any file under the state directory, nor in any file's name.

use std::fs;
use std::path::{Path, PathBuf};

use wasessiond::client::ConnectOptions;
use wasessiond::protocol::{
    Cause, FailureCode, HistoryEntry, Phase, ProxyEdit, Redacted, TargetEdit, Unlink,
};
use wasim::Failure;

use super::hunt::Hunt;
use crate::daemon::failing;
use crate::proxy::{Kind, Proxy};
use crate::stage::Stage;

/// Every file and directory below one.
fn everything(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut next = 0;
    while next < found.len() {
        // What has gone meanwhile is no matter.
        if let Ok(entries) = fs::read_dir(&found[next]) {
            found.extend(entries.flatten().map(|entry| entry.path()));
        }
        next += 1;
    }
    found
}

/// Looks for what is hunted in all files of a state directory, and in their names.
pub(crate) fn assert_sealed(hunt: &Hunt, state: &Path) {
    let all = everything(state);
    let mut files = 0;
    for path in &all {
        let name = path
            .strip_prefix(state)
            .expect("below")
            .display()
            .to_string();
        hunt.assert_none("the name of a file", name.as_bytes());
        if let Ok(bytes) = fs::read(path) {
            hunt.assert_none(&name, &bytes);
            files += 1;
        }
    }
    assert!(files >= 3, "there is something to look at: {all:?}");
}

/// Who is linked: the device, the phone number, the name.
pub(crate) fn add_account(hunt: &mut Hunt, jid: &str) {
    let phone = jid.split(':').next().expect("a number");
    hunt.add("a JID", jid);
    hunt.add("a phone number", phone);
    // As the simulator names its accounts.
    hunt.add(
        "a name",
        &format!("Rehearsal {}", &phone[phone.len() - 4..]),
    );
}

const TOKENS: [&str; 2] = ["AppealToken-d4v3-0123456789", "AppealToken-3r1n-5551212"];

/// What WhatsApp says of a locked account.
const WORDS: &str = "You have been logged out";

/// Sessions that live, wait and have ended, with everything that a record and a line can name. Returns the proxy
/// of one that lives.
async fn populate(stage: &mut Stage, hunt: &mut Hunt) -> Proxy {
    let (user, password) = ("proxy-user-7f3a9c", "proxy-password-51b0e2");
    let proxy = Proxy::start(Kind::Http, Some((user, password))).await;
    for (what, secret) in [("a proxy's user", user), ("a proxy's password", password)] {
        hunt.add(what, secret);
    }
    hunt.add("a proxy's address", &proxy.address.to_string());
    // Online, with groups and a proxy.
    add_account(hunt, &stage.pair("alice", "15550001001").await);
    let groups = stage.client.groups("alice").await.expect("groups");
    for group in &groups {
        hunt.add("a group", group.jid.as_str());
    }
    let edit = TargetEdit::Set(groups.iter().map(|g| g.jid.to_string()).collect());
    stage.client.targets("alice", edit).await.expect("targets");
    let url = format!("http://{user}:{password}@{}", proxy.address);
    let set = stage
        .client
        .proxy("alice", ProxyEdit::Set(url.into()))
        .await;
    set.expect("a proxy");
    stage.phase("alice", Phase::Online).await;
    // Ended.
    add_account(hunt, &stage.pair("bob", "15550001002").await);
    stage
        .client
        .force_logout("bob")
        .await
        .expect("force-logout");
    stage.ended("bob").await;
    // A pairing of an account that is expected.
    let options = ConnectOptions {
        expect: Some("+15550001006".to_owned()),
        ..ConnectOptions::default()
    };
    hunt.add("an expected phone number", "15550001006");
    let begun = stage.client.connect_with("frank", &options).await;
    begun.expect("connect");
    stage.qr("frank").await;
    // One locked account that is held, and one whose session has ended.
    hunt.add("WhatsApp's words", WORDS);
    for (user, phone, token) in [
        ("dave", "15550001004", TOKENS[0]),
        ("erin", "15550001005", TOKENS[1]),
    ] {
        let device = stage.pair(user, phone).await;
        add_account(hunt, &device);
        hunt.add("an appeal token", token);
        let locked = Failure::account_locked(token);
        stage
            .sim
            .fail_next_login(&device, locked)
            .await
            .expect("fail");
        stage.sim.drop_connection(&device).await.expect("drop");
        stage.phase(user, Phase::Held).await;
    }
    stage
        .client
        .force_logout("erin")
        .await
        .expect("force-logout");
    stage.ended("erin").await;
    proxy
}

/// A logout that a crash breaks off: its intent is on the disk, and the session is in the trash. Returns the device.
async fn die_in_a_logout(stage: &mut Stage, user: &str) -> String {
    let device = stage.pair(user, "15550001007").await;
    // The next start would end it before.
    stage
        .client
        .force_logout("frank")
        .await
        .expect("force-logout");
    stage.ended("frank").await;
    stage.stop();
    let dies = failing("trash_sync_to:after=return(kill)");
    stage.start_by(dies).await;
    stage.until(user, Phase::Online).await;
    stage.sim.unlink(&device).await.expect("unlink");
    stage.died();
    device
}

async fn last(stage: &Stage, user: &str) -> HistoryEntry {
    let history = stage.client.history(Some(user), None).await;
    history.expect("history").remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_account_and_no_secret_lie_in_clear_in_the_state_directory() {
    let mut stage = Stage::set().await;
    let mut hunt = Hunt::default();
    let _proxy = populate(&mut stage, &mut hunt).await;
    assert_sealed(&hunt, &stage.state());
    add_account(&mut hunt, &die_in_a_logout(&mut stage, "gus").await);
    let intents = fs::read_to_string(stage.state().join("intents.jsonl")).expect("read");
    assert!(
        intents.contains("gus") && intents.contains("\"sealed\""),
        "{intents}"
    );
    assert_sealed(&hunt, &stage.state());
    stage.start().await;
    assert_sealed(&hunt, &stage.state());

    // Whoever may see it is told the same as ever.
    for (user, phone) in [
        ("gus", "+15550001007"),
        ("bob", "+15550001002"),
        ("erin", "+15550001005"),
    ] {
        let account = last(&stage, user).await.account.expect("an account");
        assert_eq!(account.phone, phone);
    }
    let token = last(&stage, "erin").await.appeal_token;
    assert_eq!(token.as_ref().map(Redacted::reveal), Some(TOKENS[1]));
    let alice = stage.until("alice", Phase::Online).await;
    assert_eq!(alice.targets.len(), 2);
    for secret in stage.sim.secrets() {
        hunt.add("known to the simulator", &secret);
    }
    println!("{} forms of {} secrets", hunt.forms(), hunt.secrets());
    stage.stop();
    assert_sealed(&hunt, &stage.state());
}

/// The daemon starts, and everything that needs the key says so, ends when that is asked for, or comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_master_key_stops_nobody_and_heals() {
    let mut stage = Stage::set().await;
    let _proxy = populate(&mut stage, &mut Hunt::default()).await;
    die_in_a_logout(&mut stage, "gus").await;
    let record = |user: &str| stage.session_dir(user).join("session.toml");
    let before = fs::read(record("dave")).expect("read");
    let dave = record("dave");
    let [key, aside] = ["key", "aside"].map(|name| stage.state().join(name));
    fs::rename(&key, &aside).expect("take it away");

    stage.start().await;
    for user in ["alice", "dave"] {
        let status = stage.until(user, Phase::StoreCorrupt).await;
        let error = status.error.expect("an error");
        for word in ["session.toml", "is missing: neither the credential"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
    let refused = stage.client.proxy("alice", ProxyEdit::Show).await;
    assert_eq!(Stage::code(refused), FailureCode::StoreCorrupt);
    // The logout that was broken off has ended; its account is hidden.
    assert_eq!(stage.of_user_on_disk("gus"), Vec::<String>::new());
    for (user, cause) in [
        ("gus", Cause::Unlinked),
        ("bob", Cause::ForceLogout),
        ("erin", Cause::ForceLogout),
    ] {
        let line = last(&stage, user).await;
        assert_eq!((line.cause, line.account), (cause, None), "{user}");
    }
    let report = stage.client.force_logout("alice").await;
    let entry = report.expect("force-logout").entry;
    assert_eq!(entry.unlink, Unlink::Unreachable);
    assert_eq!(entry.owner, nix::unistd::geteuid().as_raw());
    assert_eq!(stage.of_user_on_disk("alice"), Vec::<String>::new());
    assert!(!key.exists(), "no other key is made");
    assert_eq!(fs::read(&dave).expect("read"), before);

    stage.stop();
    fs::rename(&aside, &key).expect("give it back");
    stage.start().await;
    stage.until("dave", Phase::Held).await;
    for (user, phone) in [
        ("gus", "+15550001007"),
        ("bob", "+15550001002"),
        ("erin", "+15550001005"),
    ] {
        let account = last(&stage, user).await.account;
        assert_eq!(account.map(|a| a.phone).as_deref(), Some(phone), "{user}");
    }
    let token = last(&stage, "erin").await.appeal_token;
    assert_eq!(token.as_ref().map(Redacted::reveal), Some(TOKENS[1]));
    assert_eq!(last(&stage, "alice").await.account, None);
}
