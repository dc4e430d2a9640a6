//! One value of everything that travels. Numbers are chosen so that every width of bincode's integers is
//! among them.

use jiff::Timestamp;

use crate::protocol::*;

pub(super) fn requests() -> Vec<(String, Request)> {
    let user = || "alice".to_owned();
    let jids = || vec!["120363012345678901@g.us".to_owned(), String::new()];
    let commands = vec![
        (0, Command::Ping),
        (250, Command::Info),
        (251, Command::Reload),
        (0xffff, connect(None)),
        (
            15,
            Command::Connect {
                user: user(),
                phone: None,
                expect: Some("+15550100999".to_owned()),
                proxy: Some("socks5h://me:pw@proxy.example:1080".into()),
            },
        ),
        (16, passkey(PasskeyAction::Challenge)),
        (17, passkey(PasskeyAction::Assert("{\"id\":\"AQ\"}".into()))),
        (18, passkey(PasskeyAction::Confirm)),
        (0x1_0000, connect(Some("+15550100999"))),
        (0xffff_ffff, Command::Disconnect { user: user() }),
        (0x1_0000_0000, Command::ForceLogout { user: user() }),
        (u64::MAX, Command::Status { user: user() }),
        (1, Command::List { after: None }),
        (
            2,
            Command::List {
                after: Some(user()),
            },
        ),
        (3, watch(&[], None)),
        (4, watch(&["alice", "bob"], Some(since(None)))),
        (5, watch(&["alice"], Some(since(Some((1 << 53) - 1))))),
        (6, history(None, None, None)),
        (7, history(Some("alice"), Some(300), Some("18c5-1"))),
        (8, Command::Groups { user: user() }),
        (9, targets(TargetEdit::Show)),
        (10, targets(TargetEdit::Set(jids()))),
        (11, targets(TargetEdit::Add(jids()))),
        (12, targets(TargetEdit::Remove(vec![]))),
        (13, targets(TargetEdit::Clear)),
        (15, proxy(ProxyEdit::Show)),
        (
            16,
            proxy(ProxyEdit::Set("socks5h://me:pw@proxy.example:1080".into())),
        ),
        (17, proxy(ProxyEdit::None)),
        (18, proxy(ProxyEdit::Clear)),
        (19, Command::RotateKey),
        // A text of another alphabet, with what JSON escapes, longer than a byte can tell.
        (
            14,
            connect(Some(&format!("\"\\\n\u{1}ä€😀{}", "x".repeat(250)))),
        ),
    ];
    let named = commands.into_iter().map(|(id, command)| {
        let name = format!("{id} {}", command.name());
        (name, Request { id, command })
    });
    named.collect()
}

fn connect(phone: Option<&str>) -> Command {
    Command::Connect {
        user: "alice".to_owned(),
        phone: phone.map(str::to_owned),
        expect: None,
        proxy: None,
    }
}

fn passkey(action: PasskeyAction) -> Command {
    Command::Passkey {
        user: "alice".to_owned(),
        action,
    }
}

fn since(epoch: Option<u64>) -> Since {
    Since { epoch, seq: 41 }
}

fn watch(users: &[&str], since: Option<Since>) -> Command {
    Command::Watch {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        since,
    }
}

fn history(user: Option<&str>, limit: Option<u32>, before: Option<&str>) -> Command {
    Command::History {
        user: user.map(str::to_owned),
        limit,
        before: before.map(str::to_owned),
    }
}

fn targets(edit: TargetEdit) -> Command {
    Command::Targets {
        user: "alice".to_owned(),
        edit,
    }
}

fn proxy(edit: ProxyEdit) -> Command {
    Command::Proxy {
        user: "alice".to_owned(),
        edit,
    }
}

// ---- messages -----------------------------------------------------------------------------------

fn time(second: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_511_523_000 + second * 1000 + second).expect("a time")
}

fn alice() -> UserId {
    "alice".parse().expect("a user id")
}

fn jid() -> GroupJid {
    "120363012345678901@g.us".parse().expect("a JID")
}

fn account(name: Option<&str>) -> Account {
    Account {
        jid: "15550100999:4@s.whatsapp.net".to_owned(),
        phone: "+15550100999".to_owned(),
        name: name.map(str::to_owned),
    }
}

/// A status with nothing in it that need not be.
pub(super) fn bare(phase: Phase) -> Status {
    Status {
        since: time(0),
        ..fixtures::bare_status("alice", phase)
    }
}

/// A status with everything in it that can be; no session has all of it at once.
pub(super) fn full() -> Status {
    Status {
        phase: Phase::AwaitingScan,
        next_action: "Scan the QR code.".to_owned(),
        owner: 1000,
        account: Some(account(Some("Alice Ä."))),
        connecting: Some(connecting(Stage::Handshake)),
        qr: Some(Qr {
            code: Some("2@abc,def,ghi,jkl".into()),
            number: 1,
            remaining: 5,
            expires_at: time(60),
        }),
        pair_code: Some(PairCode {
            code: Some("ABCD1234".into()),
            phone: "+15550100999".to_owned(),
            expires_at: time(160),
        }),
        retry_at: Some(time(1)),
        held_until: Some(time(2)),
        reason: Some(Cause::Refused(Some(409))),
        error: Some("no route to host".to_owned()),
        targets: vec![jid(), "15550100999-1600000000@g.us".parse().expect("a JID")],
        last_activity: Some(time(-3)),
        appeal_token: Some("one-time-token".into()),
        restrictions: restrictions(),
        warnings: warnings(),
        passkey: Some(asks_passkey(PasskeyStep::Confirmation)),
        proxy: Some(own_proxy()),
        expect: Some("+15550100999".to_owned()),
        ..bare(Phase::AwaitingScan)
    }
}

fn own_proxy() -> SessionProxy {
    SessionProxy {
        source: ProxySource::Session,
        url: Some("socks5h://proxy.example:1080".to_owned()),
        authenticated: true,
        error: None,
    }
}

/// A restriction of every kind.
fn restrictions() -> Vec<Restriction> {
    let kinds = RestrictionKind::ALL.iter();
    let restrictions = kinds.enumerate().map(|(index, &kind)| Restriction {
        kind,
        since: time(0),
        until: (index == 0).then(|| time(7 * 86_400)),
        detail: (index == 0).then(|| "RESTRICT_ALL_COMPANIONS".to_owned()),
    });
    restrictions.collect()
}

/// A warning of every kind.
fn warnings() -> Vec<Warning> {
    let kinds = WarningKind::ALL.iter();
    let warnings = kinds.enumerate().map(|(index, &kind)| Warning {
        kind,
        since: time(0),
        due: (index == 0).then(|| time(86_400)),
        text: "Update wasessiond.".to_owned(),
    });
    warnings.collect()
}

fn asks_passkey(step: PasskeyStep) -> Passkey {
    Passkey {
        step,
        code: (step == PasskeyStep::Confirmation).then(|| "ABCD-1234".into()),
        expires_at: time(600),
    }
}

fn connecting(stage: Stage) -> Connecting {
    Connecting {
        attempt: 70_000,
        stage,
        stage_since: time(0),
    }
}

/// An ended session with nothing in it that need not be.
pub(super) fn bare_entry() -> HistoryEntry {
    HistoryEntry {
        at: time(0),
        ..fixtures::bare_entry("alice", Cause::PairingExpired)
    }
}

/// An ended session with everything in it that can be.
pub(super) fn full_entry() -> HistoryEntry {
    HistoryEntry {
        cause: Cause::AccountLocked,
        account: Some(account(None)),
        owner: 1000,
        requested_by: Some(1000),
        unlink: Unlink::Confirmed,
        removed: Removed {
            files: 4,
            bytes: 5_000_000_000,
            targets: 2,
        },
        text: Some("Your account is locked.".to_owned()),
        appeal_token: Some("one-time-token".into()),
        restrictions: restrictions(),
        linked_at: Some(time(-12)),
        ..bare_entry()
    }
}

fn causes() -> impl Iterator<Item = Cause> {
    let refused = [None, Some(0), Some(u16::MAX)].map(Cause::Refused);
    cause::NAMES.iter().map(|(cause, _)| *cause).chain(refused)
}

fn reply(id: u64, result: Result<Answer, Failure>) -> Message {
    Message::Reply(Reply { id, result })
}

fn info(full: bool) -> Info {
    let count = |name: &str, count| Count {
        name: name.to_owned(),
        count,
    };
    Info {
        version: "0.1.0".to_owned(),
        pid: 4711,
        started_at: time(0),
        epoch: (1 << 53) - 1,
        state_directory: "/var/lib/wasessiond".to_owned(),
        config_file: full.then(|| "/etc/wasessiond/config.toml".to_owned()),
        simulator: full,
        summary: "31 online, 1 parked".to_owned(),
        phases: vec![count("online", 31), count("parked", 1)],
        logouts: if full {
            vec![count("unlinked", 300)]
        } else {
            vec![]
        },
        purge_failures: 0,
        purge_median_ms: full.then_some(12),
        purges: 300,
        purge_total_ms: 5400,
        purge_longest_ms: full.then_some(251),
        warnings: if full { warnings() } else { vec![] },
        proxy: full.then(|| "http://proxy.example:3128".to_owned()),
        master_key: full.then(|| MasterKey {
            source: Some(KeySource::Credential),
            id: Some(KEY.to_owned()),
            rotating: true,
            error: None,
        }),
    }
}

/// The id of a master key.
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The answer to `info` with another master key.
fn info_with(source: Option<KeySource>) -> Answer {
    let mut info = info(false);
    info.master_key = Some(MasterKey {
        source,
        id: source.map(|_| KEY.to_owned()),
        rotating: false,
        error: source
            .is_none()
            .then(|| "the master key is missing".to_owned()),
    });
    Answer::Info(Box::new(info))
}

fn rotated_key(left: &[&str]) -> Answer {
    let left: Vec<_> = left
        .iter()
        .map(|user| LeftKey::new(user.parse().expect("a user id"), "it is damaged"))
        .collect();
    Answer::RotatedKey(RotatedKey {
        id: KEY.to_owned(),
        begun: left.is_empty(),
        wrapped: 300,
        left_total: left.len() as u64,
        finished: left.is_empty(),
        left,
    })
}

#[allow(clippy::too_many_lines, reason = "it is a list")]
fn answers() -> Vec<(&'static str, Answer)> {
    let report = |entry| LogoutReport {
        entry,
        next_action: "Connect again.".to_owned(),
    };
    let group = |subject: &str, size| Group {
        jid: jid(),
        subject: subject.to_owned(),
        size,
    };
    let watching = |gap| Watching {
        epoch: 5,
        seq: 41,
        gap,
    };
    vec![
        ("pong", Answer::Pong),
        ("info, least", Answer::Info(Box::new(info(false)))),
        ("info, most", Answer::Info(Box::new(info(true)))),
        (
            "reloaded",
            Answer::Reloaded(Reloaded {
                changed: vec!["log.filter".to_owned()],
                needs_restart: vec![],
            }),
        ),
        (
            "status, least",
            Answer::Status(Box::new(bare(Phase::Online))),
        ),
        ("status, most", Answer::Status(Box::new(full()))),
        (
            "sessions, the last page",
            Answer::Sessions(SessionsPage {
                sessions: vec![],
                next: None,
            }),
        ),
        (
            "sessions, a page",
            Answer::Sessions(SessionsPage {
                sessions: vec![full().without_secrets(), bare(Phase::Online)],
                next: Some(alice()),
            }),
        ),
        (
            "logged out, least",
            Answer::LoggedOut(Box::new(report(bare_entry()))),
        ),
        (
            "logged out, most",
            Answer::LoggedOut(Box::new(report(full_entry()))),
        ),
        (
            "history, the last page",
            Answer::History(HistoryPage {
                entries: vec![bare_entry()],
                next: None,
            }),
        ),
        (
            "history, every cause",
            Answer::History(HistoryPage {
                entries: causes()
                    .map(|cause| HistoryEntry {
                        cause,
                        ..bare_entry()
                    })
                    .collect(),
                next: Some("18c5-1".to_owned()),
            }),
        ),
        (
            "history, every unlink",
            Answer::History(HistoryPage {
                entries: Unlink::ALL
                    .iter()
                    .map(|&unlink| HistoryEntry {
                        unlink,
                        ..bare_entry()
                    })
                    .collect(),
                next: None,
            }),
        ),
        ("watching", Answer::Watching(watching(false))),
        ("watching, with a gap", Answer::Watching(watching(true))),
        (
            "groups",
            Answer::Groups(vec![group("Family", 12), group("", 1025)]),
        ),
        ("targets", Answer::Targets(vec![jid()])),
        ("targets, none", Answer::Targets(vec![])),
        (
            "passkey",
            Answer::Passkey(PasskeyChallenge {
                options: "{\"challenge\":\"AQID\"}".into(),
                expires_at: time(600),
            }),
        ),
        ("proxy", Answer::Proxy(own_proxy())),
        (
            "proxy, none",
            Answer::Proxy(SessionProxy {
                source: ProxySource::Default,
                url: None,
                authenticated: false,
                error: None,
            }),
        ),
        (
            "proxy, unusable",
            Answer::Proxy(SessionProxy {
                source: ProxySource::Session,
                url: None,
                authenticated: false,
                error: Some("a proxy's URL ends after the port".to_owned()),
            }),
        ),
        ("info, a key in a file", info_with(Some(KeySource::File))),
        ("info, without a key", info_with(None)),
        ("rotated key", rotated_key(&[])),
        ("rotated key, some left", rotated_key(&["alice", "bob"])),
    ]
}

pub(super) fn messages() -> Vec<(String, Message)> {
    let mut all: Vec<(String, Message)> = Vec::new();
    for (id, (name, answer)) in (1..).zip(answers()) {
        all.push((name.to_owned(), reply(id, Ok(answer))));
    }
    for &code in FailureCode::ALL {
        let failure = Failure::new(code, format!("{code} happened"));
        all.push((format!("failure {code}"), reply(300, Err(failure))));
    }
    let failure = Failure {
        retry_after: Some(60),
        last_logout: Some(Box::new(full_entry())),
        ..Failure::new(FailureCode::NotFound, "alice has no session")
    };
    all.push((
        "failure, most".to_owned(),
        reply(u64::MAX, Err(failure.clone())),
    ));
    for &phase in Phase::ALL {
        let present = Message::Present(Box::new(bare(phase)));
        all.push((format!("present {phase}"), present));
    }
    for &stage in Stage::ALL {
        let status = Status {
            connecting: Some(connecting(stage)),
            ..bare(Phase::Connecting)
        };
        let present = Message::Present(Box::new(status));
        all.push((format!("present, stage {stage}"), present));
    }
    for &step in PasskeyStep::ALL {
        let status = Status {
            passkey: Some(asks_passkey(step)),
            ..bare(Phase::AwaitingScan)
        };
        let present = Message::Present(Box::new(status));
        all.push((format!("present, passkey {step}"), present));
    }
    all.push(("in sync".to_owned(), Message::InSync { seq: 41 }));
    for (seq, kind) in (42..).zip(coverage::kinds()) {
        let event = Event {
            seq,
            at: time(1),
            user: alice(),
            status: kind.ended().is_none().then(|| bare(Phase::Online)),
            kind,
        };
        let name = format!("event {}", event.kind);
        if matches!(event.kind, EventKind::Qr) {
            let event = Event {
                status: Some(full()),
                ..event.clone()
            };
            all.push(("replayed".to_owned(), Message::Replayed(Box::new(event))));
        }
        all.push((name, Message::Event(Box::new(event))));
    }
    all.push(("lagged".to_owned(), Message::Lagged { missed: 5000 }));
    all.push(("closing".to_owned(), Message::Closing(failure)));
    all
}

use super::coverage;
use crate::protocol::cause;
