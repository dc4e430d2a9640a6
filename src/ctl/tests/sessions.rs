//! What people see of sessions.

use super::{Look, PERSON, PIPED, alice, asked, jid, listed};
use crate::client::scripted::{
    account, after, ended_so_far, entry, morning, online, status, with_qr,
};
use crate::protocol::{
    Account, Answer, Cause, Command, Connecting, PairCode, Phase, ProxySource, Redacted,
    Restriction, RestrictionKind, SessionProxy, Stage, Status, Unlink, Warning, WarningKind,
};

#[tokio::test(start_paused = true)]
async fn status_of_one_that_is_online() {
    let shown = Status {
        targets: vec![jid("120363012345678901@g.us"), jid("2@g.us")],
        last_activity: Some(after(-185)),
        ..online("alice")
    };
    let answer = Ok(Answer::Status(Box::new(shown)));
    let played = asked(
        "status alice",
        PIPED,
        Command::Status { user: alice() },
        answer,
    )
    .await;
    let expected = "\
alice: online
  since          2026-11-24 09:12:03Z (now)
  account        +15550100999 Alice (15550100999:4@s.whatsapp.net)
  targets        120363012345678901@g.us, 2@g.us
  last activity  2026-11-24 09:08:58Z (3m 5s ago)
  owner          uid 1000
  next           Nothing to do.
";
    assert_eq!(played.out, expected);
    assert_eq!((played.exit, played.talk.as_str()), (0, ""));
}

#[tokio::test(start_paused = true)]
async fn status_of_one_in_trouble() {
    let shown = Status {
        reason: Some(Cause::Unreachable),
        error: Some("dns: no such\nhost\u{1b}[2J".to_owned()),
        retry_at: Some(after(12)),
        ..status("alice", Phase::BackingOff)
    };
    let answer = Ok(Answer::Status(Box::new(shown)));
    let played = asked(
        "status alice",
        PIPED,
        Command::Status { user: alice() },
        answer,
    )
    .await;
    let expected = "\
alice: backing_off
  since     2026-11-24 09:12:03Z (now)
  reason    unreachable (WhatsApp cannot be reached)
  error     dns: no such host\u{fffd}[2J
  next try  2026-11-24 09:12:15Z (in 12s)
  owner     uid 1000
  next      Nothing to do.
";
    assert_eq!(played.out, expected);
}

#[tokio::test(start_paused = true)]
async fn status_of_one_that_is_restricted_and_warned() {
    let restriction = |kind, until, detail: &str| Restriction {
        kind,
        since: morning(),
        until,
        detail: (!detail.is_empty()).then(|| detail.to_owned()),
    };
    let shown = Status {
        restrictions: vec![
            restriction(
                RestrictionKind::ReachoutTimelock,
                Some(after(3600)),
                "RESTRICT_ALL",
            ),
            restriction(RestrictionKind::NewChatLimit, None, ""),
        ],
        warnings: vec![Warning {
            kind: WarningKind::PhoneSilent,
            since: morning(),
            due: Some(after(86_400)),
            text: "Open WhatsApp\non the phone.".to_owned(),
        }],
        proxy: Some(SessionProxy {
            source: ProxySource::Session,
            url: Some("socks5h://proxy.example:1080".to_owned()),
            authenticated: true,
            error: None,
        }),
        ..online("alice")
    };
    let answer = Ok(Answer::Status(Box::new(shown.clone())));
    let command = Command::Status { user: alice() };
    let played = asked("status alice", PIPED, command, answer).await;
    for line in [
        "\n  restricted  reachout_timelock: no messages from linked devices to people who never wrote, until \
         2026-11-24 10:12:03Z (RESTRICT_ALL)\n",
        "\n  proxy       socks5h://proxy.example:1080, with a login, chosen for this session\n",
        "\n  restricted  new_chat_limit: no new chats, WhatsApp did not say until when\n",
        "\n  warning     phone_silent: Open WhatsApp on the phone. By 2026-11-25 09:12:03Z (in 1d).\n",
    ] {
        assert!(played.out.contains(line), "{}", played.out);
    }
    let list = Command::List { after: None };
    let played = asked("list", PIPED, list, Ok(listed(vec![shown]))).await;
    let note = "Alice; reachout_timelock; new_chat_limit; phone_silent\n";
    assert!(played.out.ends_with(note), "{}", played.out);
}

#[tokio::test(start_paused = true)]
async fn status_while_pairing_by_code() {
    let shown = Status {
        pair_code: Some(PairCode {
            code: Some(Redacted::from("ABCDEFGH")),
            phone: "+15550100999".to_owned(),
            expires_at: after(150),
        }),
        ..status("alice", Phase::AwaitingCode)
    };
    let answer = Ok(Answer::Status(Box::new(shown)));
    let played = asked(
        "status alice",
        PIPED,
        Command::Status { user: alice() },
        answer,
    )
    .await;
    let line = "\n  pair code  ABCD-EFGH for +15550100999, expires in 2m 30s\n";
    assert!(played.out.contains(line), "{}", played.out);
}

#[tokio::test(start_paused = true)]
async fn the_phase_has_a_colour_where_colours_are_wanted() {
    let look = Look {
        colour: true,
        ..PERSON
    };
    let answer = Ok(Answer::Status(Box::new(online("alice"))));
    let played = asked(
        "status alice",
        look,
        Command::Status { user: alice() },
        answer,
    )
    .await;
    assert!(played.out.starts_with("alice: \u{1b}[32monline\u{1b}[0m\n"));
}

#[tokio::test(start_paused = true)]
async fn list_is_a_table() {
    let connecting = Status {
        connecting: Some(Connecting {
            attempt: 2,
            stage: Stage::Login,
            stage_since: morning(),
        }),
        since: after(-3725),
        ..status("bob", Phase::Connecting)
    };
    let parked = Status {
        reason: Some(Cause::Replaced),
        ..status("dave", Phase::Parked)
    };
    let all = vec![
        online("alice"),
        connecting,
        with_qr("carol", 2).without_secrets(),
        parked,
    ];
    let list = Command::List { after: None };
    let played = asked("list", PIPED, list, Ok(listed(all))).await;
    let expected = "\
USER   PHASE          SINCE      ACCOUNT       TARGETS  NOTE
alice  online         now        +15550100999  0        Alice
bob    connecting     1h 2m ago  -             0        attempt 2, login
carol  awaiting_scan  now        -             0        QR code 2 of 6, 1m 20s left
dave   parked         now        -             0        replaced
";
    assert_eq!(played.out, expected);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_says_what_to_do() {
    let list = Command::List { after: None };
    let played = asked("list", PERSON, list, Ok(listed(vec![]))).await;
    assert_eq!(played.out, "");
    assert_eq!(
        played.talk,
        "No sessions. `wactl connect USER` begins one.\n"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_history_says_whose_it_is() {
    for (line, user, says) in [
        ("history", None, "No session has ended so far.\n"),
        (
            "history alice",
            Some("alice".to_owned()),
            "No session of alice has ended so far.\n",
        ),
    ] {
        let command = Command::History {
            user,
            limit: Some(100),
            before: None,
        };
        let played = asked(line, PIPED, command, Ok(ended_so_far(vec![]))).await;
        assert_eq!((played.exit, played.talk.as_str()), (0, says));
    }
}

#[tokio::test(start_paused = true)]
async fn history_is_a_table_without_tokens() {
    let mut locked = entry("alice", Cause::AccountLocked);
    locked.text = Some("Your account\nis locked".to_owned());
    locked.appeal_token = Some(Redacted::from("token-1"));
    let mut asked_for = entry("bob", Cause::ForceLogout);
    asked_for.requested_by = Some(1000);
    asked_for.unlink = Unlink::Unreachable;
    asked_for.account = None;
    asked_for.removed.targets = 1;
    let command = Command::History {
        user: None,
        limit: Some(2),
        before: None,
    };
    let answer = Ok(ended_so_far(vec![locked, asked_for]));
    let played = asked("history --limit 2", PIPED, command, answer).await;
    let expected = "\
ENDED                 USER   CAUSE           BY        UNLINK       ACCOUNT       REMOVED                      WHATSAPP SAID
2026-11-24 09:12:03Z  alice  account_locked  -         not_linked   +15550100999  4 files, 304 KiB, 2 targets  Your account is locked
2026-11-24 09:12:03Z  bob    force_logout    uid 1000  unreachable  -             4 files, 304 KiB, 1 target   -
WhatsApp sent alice a token to appeal with: `wactl --json history alice` shows it.
";
    assert_eq!(played.out, expected);
}

#[tokio::test(start_paused = true)]
async fn an_unnamed_account_has_no_gap() {
    let shown = Status {
        account: Some(Account {
            name: None,
            ..account()
        }),
        ..online("alice")
    };
    let answer = Ok(Answer::Status(Box::new(shown)));
    let played = asked(
        "status alice",
        PIPED,
        Command::Status { user: alice() },
        answer,
    )
    .await;
    let line = "\n  account  +15550100999 (15550100999:4@s.whatsapp.net)\n";
    assert!(played.out.contains(line), "{}", played.out);
}

/// What WhatsApp says may be a page. A row of the table stays a row, and the status has all of it.
#[tokio::test(start_paused = true)]
async fn a_long_error_is_cut_in_the_table_only() {
    let long = "Ihr Konto. ".repeat(180);
    let locked = Status {
        reason: Some(Cause::AccountLocked),
        error: Some(long.clone()),
        expect: Some("+15550100999".to_owned()),
        ..status("alice", Phase::Held)
    };
    let all = Ok(listed(vec![locked.clone()]));
    let played = asked("list", PIPED, Command::List { after: None }, all).await;
    let row = played.out.lines().nth(1).expect("a row");
    assert!(row.contains("account_locked; Ihr Konto."), "{row}");
    assert!(row.trim_end().ends_with('…') && row.len() < 300, "{row}");
    let answer = Ok(Answer::Status(Box::new(locked)));
    let user = "alice".to_owned();
    let played = asked("status alice", PIPED, Command::Status { user }, answer).await;
    assert!(played.out.contains(long.trim_end()), "{}", played.out);
    let expected = "+15550100999: another account is unlinked again";
    assert!(played.out.contains(expected), "{}", played.out);
}
