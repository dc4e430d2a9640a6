//! What people see of groups and of the daemon itself.

use super::{PIPED, alice, asked, jid};
use crate::client::scripted::after;
use crate::protocol::{
    Answer, Command, Count, Group, Info, KeySource, LeftKey, MasterKey, ProxyEdit, ProxySource,
    Reloaded, RotatedKey, SessionProxy, TargetEdit, Warning, WarningKind,
};

#[tokio::test(start_paused = true)]
async fn groups_and_targets() {
    let groups = vec![Group {
        jid: jid("1@g.us"),
        subject: "Family\u{7}".to_owned(),
        size: 12,
    }];
    let command = Command::Groups { user: alice() };
    let played = asked("groups alice", PIPED, command, Ok(Answer::Groups(groups))).await;
    assert_eq!(
        played.out,
        "JID     PEOPLE  SUBJECT\n1@g.us  12      Family\u{fffd}\n"
    );

    let edit = TargetEdit::Set(vec!["1@g.us".to_owned(), "2@g.us".to_owned()]);
    let command = Command::Targets {
        user: alice(),
        edit,
    };
    let answer = Ok(Answer::Targets(vec![jid("1@g.us"), jid("2@g.us")]));
    let played = asked("targets alice --set 1@g.us 2@g.us", PIPED, command, answer).await;
    assert_eq!(played.out, "1@g.us\n2@g.us\n");

    let edit = TargetEdit::Clear;
    let command = Command::Targets {
        user: alice(),
        edit,
    };
    let answer = Ok(Answer::Targets(vec![]));
    let played = asked("targets alice --clear", PIPED, command, answer).await;
    assert_eq!(played.out, "");
    assert_eq!(played.talk, "alice has no target groups.\n");
}

#[tokio::test(start_paused = true)]
async fn the_proxy_of_a_session() {
    let answer = |source, url: Option<&str>, authenticated| {
        Ok(Answer::Proxy(SessionProxy {
            source,
            url: url.map(str::to_owned),
            authenticated,
            error: None,
        }))
    };
    let command = |edit| Command::Proxy {
        user: alice(),
        edit,
    };
    for (line, edit, told, shown) in [
        (
            "proxy alice",
            ProxyEdit::Show,
            answer(ProxySource::Default, None, false),
            "none, as the configuration says for all sessions\n",
        ),
        (
            "proxy alice --set http://me:pw@proxy:1",
            ProxyEdit::Set("http://me:pw@proxy:1".into()),
            answer(ProxySource::Session, Some("http://proxy:1"), true),
            "http://proxy:1, with a login, chosen for this session\n",
        ),
        (
            "proxy alice --none",
            ProxyEdit::None,
            answer(ProxySource::Session, None, false),
            "none, chosen for this session\n",
        ),
    ] {
        let played = asked(line, PIPED, command(edit), told).await;
        assert_eq!(played.out, shown);
    }
}

#[tokio::test(start_paused = true)]
async fn the_daemon_itself() {
    let played = asked(
        "daemon info",
        PIPED,
        Command::Info,
        Ok(Answer::Info(Box::new(info()))),
    )
    .await;
    let expected = "\
wasessiond 0.1.0
  sessions       2 online, 1 parked
  warning        client_outdated: WhatsApp no longer accepts this version.
  socket         /run/test.sock
  state          /var/lib/wasessiond
  configuration  the defaults
  proxy          http://proxy.example:3128
  master key     0123456789abcdef0123456789abcdef (file)
  pid            42
  started        2026-11-24 08:12:03Z (1h ago)
  run            5
  logouts        3 unlinked, 1 force_logout
  purges         4, half of them within 12 ms, the longest 40 ms, 70 ms in all
  failed purges  0
";
    assert_eq!(played.out, expected);

    let played = asked("daemon ping", PIPED, Command::Ping, Ok(Answer::Pong)).await;
    assert_eq!(played.out, "wasessiond/9.9 answers at /run/test.sock\n");

    let reloaded = Reloaded {
        changed: vec!["log.filter".to_owned(), "sessions.max".to_owned()],
        needs_restart: vec!["socket.path".to_owned()],
    };
    let played = asked(
        "daemon reload",
        PIPED,
        Command::Reload,
        Ok(Answer::Reloaded(reloaded)),
    )
    .await;
    let expected =
        "changed: log.filter, sessions.max\nneeds a restart of the daemon: socket.path\n";
    assert_eq!(played.out, expected);
}

pub(super) fn info() -> Info {
    let count = |name: &str, count| Count {
        name: name.to_owned(),
        count,
    };
    Info {
        version: "0.1.0".to_owned(),
        pid: 42,
        started_at: after(-3600),
        epoch: 5,
        state_directory: "/var/lib/wasessiond".to_owned(),
        config_file: None,
        simulator: false,
        summary: "2 online, 1 parked".to_owned(),
        phases: vec![count("online", 2), count("parked", 1)],
        logouts: vec![count("unlinked", 3), count("force_logout", 1)],
        purge_failures: 0,
        purge_median_ms: Some(12),
        purges: 4,
        purge_total_ms: 70,
        purge_longest_ms: Some(40),
        warnings: vec![Warning {
            kind: WarningKind::ClientOutdated,
            since: after(-60),
            due: None,
            text: "WhatsApp no longer accepts this version.".to_owned(),
        }],
        proxy: Some("http://proxy.example:3128".to_owned()),
        master_key: Some(MasterKey {
            source: Some(KeySource::File),
            id: Some(KEY.to_owned()),
            rotating: false,
            error: None,
        }),
    }
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// What a rotation did, with the users whose keys are left.
pub(super) fn rotated(begun: bool, left: &[&str]) -> RotatedKey {
    let left: Vec<_> = left
        .iter()
        .map(|user| LeftKey::new(user.parse().expect("an id"), "it is damaged\u{7}"))
        .collect();
    RotatedKey {
        id: KEY.to_owned(),
        begun,
        wrapped: 3,
        left_total: left.len() as u64,
        finished: left.is_empty(),
        left,
    }
}

#[tokio::test(start_paused = true)]
async fn the_master_key() {
    let ask = async |rotated| {
        let answer = Ok(Answer::RotatedKey(rotated));
        asked("daemon rotate-key", PIPED, Command::RotateKey, answer).await
    };
    let played = ask(rotated(true, &[])).await;
    let expected = format!(
        "the master key is a new one: {KEY}\n3 session keys were wrapped anew, and the key before it is needed no more\n"
    );
    assert_eq!((played.out, played.exit), (expected, 0));
    let played = ask(rotated(false, &[])).await;
    assert!(played.out.starts_with("the rotation of before is over: "));

    // A script that destroys the old key then must notice that it is still needed.
    let played = ask(rotated(true, &["alice", "bob"])).await;
    assert_eq!((played.out.as_str(), played.exit), ("", 1));
    let expected = "\
wactl: the rotation of the master key is not over: 3 session keys were wrapped anew, and 2 could not be:
  alice: it is damaged\u{fffd}
  bob: it is damaged\u{fffd}
The old master key is kept beside the new one. Give these sessions their keys back from a backup, or `wactl \
force-logout` them; then say `wactl daemon rotate-key` again.
";
    assert_eq!(played.talk, expected);

    for (key, shown) in [
        (
            MasterKey {
                source: Some(KeySource::Credential),
                id: Some("ab".to_owned()),
                rotating: true,
                error: None,
            },
            "ab (credential); a rotation is not over, and the key before it is kept",
        ),
        (
            MasterKey {
                source: None,
                id: None,
                rotating: false,
                error: Some("it is missing".to_owned()),
            },
            "none that can be used: it is missing",
        ),
    ] {
        let mut info = info();
        info.master_key = Some(key);
        let answer = Ok(Answer::Info(Box::new(info)));
        let played = asked("daemon info", PIPED, Command::Info, answer).await;
        let line = format!("\n  master key     {shown}\n");
        assert!(played.out.contains(&line), "{}", played.out);
    }
}
