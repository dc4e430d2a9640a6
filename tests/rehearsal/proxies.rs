//! Proxies: one for all sessions from the configuration, one for a single session by command.

use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use wasessiond::client::ConnectOptions;
use wasessiond::protocol::{
    Cause, FailureCode, Phase, ProxyEdit, ProxySource, SessionProxy, Status, Unlink,
};

use crate::daemon::PROGRAM;
use crate::proxy::{Asked, Kind, Proxy};
use crate::skipped::skipped;
use crate::stage::{PATIENCE, PHONE, Stage};

const USER: &str = "the-proxys-user";
const PASSWORD: &str = "the proxy's p@ssword: 100%";
/// As it stands in a URL.
const ENCODED: &str = "the%20proxy's%20p%40ssword%3A%20100%25";

fn url(scheme: &str, proxy: &Proxy) -> String {
    format!("{scheme}://{USER}:{ENCODED}@{}", proxy.address)
}

fn shown(scheme: &str, proxy: &Proxy, source: ProxySource) -> SessionProxy {
    SessionProxy {
        source,
        url: Some(format!("{scheme}://{}", proxy.address)),
        authenticated: true,
        error: None,
    }
}

/// With the right login, to the simulator.
fn through_it(stage: &Stage) -> Asked {
    Asked {
        login: Some((USER.to_owned(), PASSWORD.to_owned())),
        target: Some(stage.sim.address().to_string()),
    }
}

async fn set(stage: &Stage, edit: ProxyEdit) -> SessionProxy {
    let changed = stage.client.proxy("alice", edit).await;
    changed.expect("the proxy")
}

/// Waits until the session is back after a change of its proxy.
async fn back(stage: &mut Stage) -> Status {
    stage.phase("alice", Phase::Connecting).await;
    stage.phase("alice", Phase::Online).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_through_the_proxy_that_was_chosen_for_it() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    let none = |source| SessionProxy {
        source,
        url: None,
        authenticated: false,
        error: None,
    };
    assert_eq!(
        set(&stage, ProxyEdit::Show).await,
        none(ProxySource::Default)
    );
    let login = Some((USER, PASSWORD));
    for (scheme, kind) in [
        ("http", Kind::Http),
        ("socks5", Kind::Socks5),
        ("socks5h", Kind::Socks5),
    ] {
        let mut proxy = Proxy::start(kind, login).await;
        let now = set(&stage, ProxyEdit::Set(url(scheme, &proxy).into())).await;
        assert_eq!(now, shown(scheme, &proxy, ProxySource::Session));
        back(&mut stage).await;
        assert_eq!(proxy.asked(), [through_it(&stage)], "{scheme}");
        // It survives a restart, and the old link is gone.
        stage.stop();
        stage.start().await;
        stage.until("alice", Phase::Online).await;
        proxy.asked_more_than(1).await;
        assert_eq!(proxy.asked()[1..], [through_it(&stage)], "{scheme}");
        assert_eq!(set(&stage, ProxyEdit::Show).await, now);
    }
    // Its proxy is gone: it tries again, and keeps everything.
    let status = stage.phase("alice", Phase::BackingOff).await;
    let error = status.error.expect("an error");
    assert!(
        error.contains("socks5h://127.0.0.1:") || error.contains("connection was lost"),
        "{error}"
    );
    assert_eq!(
        set(&stage, ProxyEdit::None).await,
        none(ProxySource::Session)
    );
    stage.until("alice", Phase::Online).await;
    assert_eq!(
        set(&stage, ProxyEdit::Clear).await,
        none(ProxySource::Default)
    );
    back(&mut stage).await;
    let record = stage.session_dir("alice").join("session.toml");
    let mode = fs::metadata(&record)
        .expect("a record")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_the_login_costs_no_credentials() {
    let mut stage = Stage::set().await;
    let device = stage.pair("alice", PHONE).await;
    for (scheme, kind) in [("http", Kind::Http), ("socks5h", Kind::Socks5)] {
        let proxy = Proxy::start(kind, Some((USER, PASSWORD))).await;
        for wrong in [
            format!("{scheme}://{}", proxy.address),
            format!("{scheme}://{USER}:wrong-secret@{}", proxy.address),
        ] {
            set(&stage, ProxyEdit::Set(wrong.into())).await;
            let status = stage.phase("alice", Phase::BackingOff).await;
            assert_eq!(status.reason, Some(Cause::ProxyRefused), "{status:?}");
            let error = status.error.expect("an error");
            assert!(
                error.contains("user and a password")
                    || error.contains("the user and the password"),
                "{error}"
            );
            assert!(
                !error.contains("secret") && !error.contains(USER),
                "{error}"
            );
        }
        // The right one is taken at once, not after the wait.
        set(&stage, ProxyEdit::Set(url(scheme, &proxy).into())).await;
        let status = stage.phase("alice", Phase::Online).await;
        assert_eq!(status.account.expect("an account").jid, device);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_proxy_changes_nothing() {
    let mut stage = Stage::set().await;
    stage.pair("alice", PHONE).await;
    for wrong in [
        "ftp://me:secret@127.0.0.1:1",
        "http://me:secret@192.0.2.1:3128",
        "http://me:se:cret@127.0.0.1:1",
        "secret",
    ] {
        let refused = stage
            .client
            .proxy("alice", ProxyEdit::Set(wrong.into()))
            .await;
        let failure = match refused {
            Err(wasessiond::client::ClientError::Failure(failure)) => failure,
            other => panic!("{other:?}"),
        };
        assert_eq!(failure.code, FailureCode::InvalidArgument);
        assert!(!failure.message.contains("cret"), "{failure}");
    }
    let show = stage.client.proxy("nobody", ProxyEdit::Show).await;
    assert_eq!(Stage::code(show), FailureCode::NotFound);
    assert_eq!(
        set(&stage, ProxyEdit::Show).await.source,
        ProxySource::Default
    );
    let status = stage.client.status("alice").await.expect("status");
    assert_eq!(status.phase, Phase::Online);
}

/// The configuration's proxy, its password in a file; a session without one, and its end.
#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_go_through_the_configurations_proxy() {
    let mut proxy = Proxy::start(Kind::Http, Some((USER, PASSWORD))).await;
    let sim = wasim::Server::start(wasim::Options::default()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    let config = format!(
        "proxy = \"http://{USER}@{}\"\nproxy_password_file = {file:?}\n",
        proxy.address
    );
    let sim = sim.expect("start the simulator");
    let mut stage = Stage::found(sim, dir, &config, Command::new(PROGRAM)).await;
    stage.pair("alice", PHONE).await;
    let asked = proxy.asked();
    assert!(
        !asked.is_empty() && asked.iter().all(|asked| *asked == through_it(&stage)),
        "{asked:?}"
    );
    let default = shown("http", &proxy, ProxySource::Default);
    assert_eq!(set(&stage, ProxyEdit::Show).await, default);

    let direct = set(&stage, ProxyEdit::None).await;
    assert_eq!((direct.source, direct.url), (ProxySource::Session, None));
    back(&mut stage).await;
    assert_eq!(proxy.asked().len(), asked.len());
    assert_eq!(set(&stage, ProxyEdit::Clear).await, default);
    tokio::time::timeout(PATIENCE, proxy.asked_more_than(asked.len()))
        .await
        .expect("it goes through the proxy again");
    stage.phase("alice", Phase::Online).await;

    // An unlink over a new link goes through it, too.
    stage.client.disconnect("alice").await.expect("disconnect");
    let before = proxy.asked().len();
    let report = stage
        .client
        .force_logout("alice")
        .await
        .expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    assert!(proxy.asked().len() > before);
    stage
        .assert_gone("alice", Cause::ForceLogout, Unlink::Confirmed)
        .await;
}

/// WhatsApp at an IPv6 address, through each kind of proxy.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_asked_for_an_ipv6_address_too() {
    let options = wasim::Options {
        listen: (Ipv6Addr::LOCALHOST, 0).into(),
        ..wasim::Options::default()
    };
    let sim = match wasim::Server::start(options).await {
        Ok(sim) => sim,
        Err(why) => return skipped(&format!("proxies and IPv6: {why}")),
    };
    let dir = tempfile::tempdir().expect("a directory");
    let mut stage = Stage::found(sim, dir, "", Command::new(PROGRAM)).await;
    stage.pair("alice", PHONE).await;
    for (scheme, kind) in [("http", Kind::Http), ("socks5", Kind::Socks5)] {
        let proxy = Proxy::start(kind, Some((USER, PASSWORD))).await;
        set(&stage, ProxyEdit::Set(url(scheme, &proxy).into())).await;
        back(&mut stage).await;
        assert_eq!(proxy.asked(), [through_it(&stage)], "{scheme}");
        assert!(stage.sim.address().is_ipv6());
    }
}

fn begun_through(url: String) -> ConnectOptions {
    ConnectOptions {
        proxy: Some(url.into()),
        ..ConnectOptions::default()
    }
}

/// WhatsApp never sees the machine's own address: not even for the QR code.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_pairs_through_the_proxy_with_which_it_was_begun() {
    let mut stage = Stage::set().await;
    let mut proxy = Proxy::start(Kind::Socks5, Some((USER, PASSWORD))).await;
    let options = begun_through(url("socks5h", &proxy));
    let connect = |stage: &Stage, options: &ConnectOptions| {
        let (client, options) = (stage.client.clone(), options.clone());
        async move { client.connect_with("alice", &options).await }
    };
    connect(&stage, &options).await.expect("connect");
    let qr = stage.qr("alice").await;
    assert_eq!(proxy.asked(), [through_it(&stage)]);
    stage.sim.scan(&qr, PHONE).await.expect("scan");
    let status = stage.phase("alice", Phase::Online).await;
    let own = shown("socks5h", &proxy, ProxySource::Session);
    assert_eq!(status.proxy.as_ref(), Some(&own));

    // The same again is the same; another one is refused, and changes nothing.
    connect(&stage, &options).await.expect("connect");
    for other in ["none".to_owned(), format!("socks5h://{}", proxy.address)] {
        let refused = connect(&stage, &begun_through(other)).await;
        assert_eq!(Stage::code(refused), FailureCode::InvalidArgument);
    }
    let wrong = connect(&stage, &begun_through("ftp://me:secret@x".to_owned())).await;
    assert_eq!(Stage::code(wrong), FailureCode::InvalidArgument);
    assert_eq!(set(&stage, ProxyEdit::Show).await, own);

    // It is in the record, and in force after a restart.
    let before = proxy.asked().len();
    stage.stop();
    stage.start().await;
    stage.until("alice", Phase::Online).await;
    proxy.asked_more_than(before).await;
    let all = vec![through_it(&stage); proxy.asked().len()];
    assert_eq!(proxy.asked(), all);

    // A change while it is disconnected is seen at once, and leaves a line in the log.
    stage.client.disconnect("alice").await.expect("disconnect");
    set(&stage, ProxyEdit::None).await;
    let status = stage.client.status("alice").await.expect("a session");
    let proxy_now = status.proxy.expect("it is known");
    assert_eq!(
        (proxy_now.source, proxy_now.url),
        (ProxySource::Session, None)
    );
    let log = stage.log();
    let chosen = format!("the session's proxy is socks5h://{};", proxy.address);
    for line in [chosen.as_str(), "the session's proxy is none;"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(!log.contains(USER) && !log.contains(ENCODED), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_proxy_nobody_knows_is_removed_without_asking_whatsapp() {
    let mut stage = Stage::set().await;
    let mut proxy = Proxy::start(Kind::Http, Some((USER, PASSWORD))).await;
    let options = begun_through(url("http", &proxy));
    let begun = stage.client.connect_with("alice", &options).await;
    begun.expect("connect");
    let qr = stage.qr("alice").await;
    let device = stage.sim.scan(&qr, PHONE).await.expect("scan");
    stage.phase("alice", Phase::Online).await;
    proxy.asked_more_than(1).await;
    stage.stop();
    let asked = proxy.asked().len();
    let record = stage.session_dir("alice").join("session.toml");
    fs::write(record, "version = 99\n").expect("written");
    stage.start().await;
    let status = stage.until("alice", Phase::StoreCorrupt).await;
    assert_eq!(status.proxy, None);
    let show = stage.client.proxy("alice", ProxyEdit::Show).await;
    assert_eq!(Stage::code(show), FailureCode::StoreCorrupt);
    let report = stage.client.force_logout("alice").await;
    let report = report.expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Unreachable);
    assert!(
        report
            .next_action
            .contains("remove the device on the phone")
    );
    // Neither on the way of before nor on another one: the phone lists the device still.
    assert_eq!(proxy.asked().len(), asked);
    let devices = stage.sim.devices(PHONE).await.expect("devices");
    assert!(format!("{devices:?}").contains(&device), "{devices:?}");
    stage
        .assert_gone("alice", Cause::ForceLogout, Unlink::Unreachable)
        .await;
}
