//! How the service ends, and whether systemd starts it again.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use wasessiond::protocol::Phase;

use crate::lab::Lab;
use crate::stage::{PHONE, SOCKET, Stage};

#[tokio::test]
async fn a_stop_keeps_every_session_and_a_kill_too() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    let device = stage.pair("alice", PHONE).await;
    for (how, restarts) in [
        ("systemctl restart wasessiond.service", "0"),
        (
            "systemctl stop wasessiond.service; systemctl start wasessiond.service",
            "0",
        ),
        (
            "systemctl kill --signal=KILL --kill-who=main wasessiond.service",
            "1",
        ),
    ] {
        let before = stage.lab.show("MainPID");
        stage.lab.run(how).await;
        let lab = &stage.lab;
        lab.until("the next one", || {
            lab.show("MainPID") != before && lab.show("ActiveState") == "active"
        });
        assert_eq!(lab.show("NRestarts"), restarts, "{how}");
        stage.join().await;
        let status = stage.phase("alice", Phase::Online).await;
        assert_eq!(status.account.expect("an account").jid, device, "{how}");
    }
    let history = stage.client.history(None, None).await.expect("history");
    assert_eq!(history, []);
    stage.lab.run("systemctl stop wasessiond.service").await;
    let ended = (stage.lab.show("Result"), stage.lab.show("ExecMainStatus"));
    assert_eq!(ended, ("success".into(), "0".into()));
    let stopped = stage
        .lab
        .entries("MESSAGE_ID=ec8ffa08076942c8a9f1ed7b670244b2");
    let last = stopped.last().expect("who stopped it");
    // systemd itself.
    assert_eq!(
        (&last["PEER_PID"], &last["PEER_UID"]),
        (&"1".into(), &"0".into()),
        "{last}"
    );
}

#[test]
fn what_trying_again_cannot_change_is_not_tried_again() {
    let Some(lab) = Lab::boot() else { return };
    let cases = [
        (
            "78",
            "echo nonsense >/etc/wasessiond/config.toml",
            "rm /etc/wasessiond/config.toml",
        ),
        (
            "77",
            "mkdir -p -m 700 /var/lib/wasessiond/sessions; chown root: /var/lib/wasessiond/sessions",
            "chown wasessiond: /var/lib/wasessiond/sessions",
        ),
        (
            "2",
            "printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/wasessiond --nonsense\\n' >/run/systemd/system/wasessiond.service.d/usage.conf",
            "rm /run/systemd/system/wasessiond.service.d/usage.conf",
        ),
    ];
    lab.sh(
        "mkdir -p /etc/wasessiond /var/lib /run/systemd/system/wasessiond.service.d
        systemctl start wasessiond.service; systemctl stop wasessiond.service",
    );
    let mut said = 0;
    for (status, obstacle, remedy) in cases {
        lab.sh(&format!(
            "{obstacle}; systemctl daemon-reload; systemctl reset-failed"
        ));
        let failed = lab.try_sh("systemctl start wasessiond.service");
        assert!(!failed.status.success(), "{status}");
        assert_eq!(
            lab.show("ExecMainStatus"),
            status,
            "{}",
            lab.journal("-u wasessiond -n 5")
        );
        assert_eq!(
            (lab.show("ActiveState"), lab.show("NRestarts")),
            ("failed".into(), "0".into())
        );
        // A wrong command line is told by its own words, before there is a log.
        said += usize::from(status != "2");
        let told = lab.entries("MESSAGE_ID=904510fb3dce47c292113ee2dfb98b71");
        let errors = told.iter().filter(|entry| entry["PRIORITY"] == "3");
        assert_eq!(errors.count(), said, "{told:#?}");
        lab.sh(&format!(
            "{remedy}; systemctl daemon-reload; systemctl start wasessiond.service"
        ));
        lab.sh("wactl daemon ping; systemctl stop wasessiond.service");
    }
}

#[test]
fn what_may_pass_is_tried_again_and_not_for_ever() {
    let Some(lab) = Lab::boot() else { return };
    lab.drop_in("[Service]\nRestartSec=10ms\n");
    lab.sh("systemctl start wasessiond.service; systemctl stop wasessiond.service");
    // Somebody else has the state directory: status 75.
    let mut holder = lab.command("flock");
    let mut holder = holder
        .args(["/var/lib/wasessiond", "sleep", "infinity"])
        .spawn()
        .expect("flock");
    lab.until("the lock", || {
        lab.try_sh("flock -n /var/lib/wasessiond true")
            .status
            .code()
            == Some(1)
    });
    lab.try_sh("systemctl --no-block start wasessiond.service");
    lab.until_shows("Result", "exit-code");
    lab.until_shows("ActiveState", "failed");
    assert_eq!(lab.show("ExecMainStatus"), "75");
    // As often as StartLimitBurst= allows.
    let tries: u32 = lab.show("NRestarts").parse().expect("a number");
    assert!((5..=10).contains(&tries), "{tries}");
    holder.kill().expect("kill");
    holder.wait().expect("wait");
    lab.sh("pkill -x sleep; systemctl reset-failed wasessiond.service; systemctl start wasessiond.service; wactl daemon ping");
}

/// Starts the service, with a client that sends and never reads: that keeps an orderly stop waiting for
/// seconds.
fn with_a_deaf_client(lab: &Lab) -> UnixStream {
    // The socket keeps systemd from forgetting how the service ended.
    lab.sh("systemctl start wasessiond.socket wasessiond.service");
    let mut deaf = UnixStream::connect(lab.path(SOCKET)).expect("a connection");
    let timeout = Some(Duration::from_secs(1));
    deaf.set_write_timeout(timeout).expect("a timeout");
    deaf.write_all(b"\0\0\0\x15wasession/1 json deaf")
        .expect("a greeting");
    while deaf
        .write_all(b"\0\0\0\x19{\"id\":1,\"command\":\"ping\"}")
        .is_ok()
    {}
    deaf
}

#[test]
fn a_long_stop_asks_for_the_time_it_needs() {
    let Some(lab) = Lab::boot() else { return };
    lab.drop_in("[Service]\nTimeoutStopSec=1s\n");
    let _deaf = with_a_deaf_client(&lab);
    let begin = Instant::now();
    lab.sh("systemctl stop wasessiond.service");
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(1), "it was not long: {took:?}");
    assert_eq!(
        (lab.show("Result"), lab.show("ExecMainStatus")),
        ("success".into(), "0".into())
    );
}

#[test]
fn a_second_signal_ends_it_at_once_and_it_stays_ended() {
    let Some(lab) = Lab::boot() else { return };
    let _deaf = with_a_deaf_client(&lab);
    let pid = lab.show("MainPID");
    lab.sh(&format!("kill -TERM {pid}"));
    lab.until("the stop", || {
        lab.show("StatusText").starts_with("Stopping")
    });
    lab.sh(&format!("kill -INT {pid}"));
    lab.until_shows("ActiveState", "inactive");
    assert_eq!(
        (lab.show("Result"), lab.show("ExecMainStatus")),
        ("success".into(), "130".into())
    );
    assert_eq!(lab.show("NRestarts"), "0");
}
