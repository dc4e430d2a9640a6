//! Nothing that travels is without golden bytes: a variant that is added does not compile here before
//! it is named, and once it is named a golden value must have it.

use std::collections::BTreeSet;

use super::values;
use crate::protocol::open::Open;
use crate::protocol::*;

/// Names every variant of an enum, with a match that must be complete. What may grow has one variant
/// more, for what is not known.
macro_rules! variants {
    (
        $function:ident, $names:ident, $type:ty,
        { $($pattern:pat => $name:literal),+ $(,)? $(; $unknown:pat)? }
    ) => {
        const $names: &[&str] = &[$($name),+];

        fn $function(value: &$type) -> &'static str {
            match value {
                $($pattern => $name,)+
                $($unknown => "unknown",)?
            }
        }
    };
}

variants!(command, COMMANDS, Command, {
    Command::Ping => "ping",
    Command::Info => "info",
    Command::Reload => "reload",
    Command::Connect { .. } => "connect",
    Command::Disconnect { .. } => "disconnect",
    Command::ForceLogout { .. } => "force_logout",
    Command::Status { .. } => "status",
    Command::List { .. } => "list",
    Command::Watch { .. } => "watch",
    Command::History { .. } => "history",
    Command::Groups { .. } => "groups",
    Command::Targets { .. } => "targets",
    Command::Passkey { .. } => "passkey",
    Command::Proxy { .. } => "proxy",
    Command::RotateKey => "rotate_key",
});

variants!(edit, EDITS, TargetEdit, {
    TargetEdit::Show => "show",
    TargetEdit::Set(_) => "set",
    TargetEdit::Add(_) => "add",
    TargetEdit::Remove(_) => "remove",
    TargetEdit::Clear => "clear",
});

variants!(action, ACTIONS, PasskeyAction, {
    PasskeyAction::Challenge => "challenge",
    PasskeyAction::Assert(_) => "assert",
    PasskeyAction::Confirm => "confirm",
});

variants!(proxy_edit, PROXY_EDITS, ProxyEdit, {
    ProxyEdit::Show => "show",
    ProxyEdit::Set(_) => "set",
    ProxyEdit::None => "none",
    ProxyEdit::Clear => "clear",
});

variants!(message, MESSAGES, Message, {
    Message::Reply(_) => "reply",
    Message::Replayed(_) => "replayed",
    Message::Present(_) => "present",
    Message::InSync { .. } => "in_sync",
    Message::Event(_) => "event",
    Message::Lagged { .. } => "lagged",
    Message::Closing(_) => "closing",
    ; Message::Unknown(_)
});

variants!(answer, ANSWERS, Answer, {
    Answer::Pong => "pong",
    Answer::Info(_) => "info",
    Answer::Reloaded(_) => "reloaded",
    Answer::Status(_) => "status",
    Answer::Sessions(_) => "sessions",
    Answer::LoggedOut(_) => "logged_out",
    Answer::History(_) => "history",
    Answer::Watching(_) => "watching",
    Answer::Groups(_) => "groups",
    Answer::Targets(_) => "targets",
    Answer::Passkey(_) => "passkey",
    Answer::Proxy(_) => "proxy",
    Answer::RotatedKey(_) => "rotated_key",
    ; Answer::Unknown(_)
});

variants!(kind, KINDS, EventKind, {
    EventKind::Connecting => "connecting",
    EventKind::Qr => "qr",
    EventKind::PairCode => "pair_code",
    EventKind::Passkey => "passkey",
    EventKind::Paired => "paired",
    EventKind::Online => "online",
    EventKind::BackingOff => "backing_off",
    EventKind::Held => "held",
    EventKind::Parked => "parked",
    EventKind::Disconnected => "disconnected",
    EventKind::LoggingOut => "logging_out",
    EventKind::LoggedOut(_) => "logged_out",
    EventKind::PairingExpired(_) => "pairing_expired",
    EventKind::PurgeFailed => "purge_failed",
    EventKind::StoreCorrupt => "store_corrupt",
    EventKind::Targets => "targets",
    EventKind::AccountChanged => "account_changed",
    EventKind::Restrictions => "restrictions",
    EventKind::Warnings => "warnings",
    EventKind::Updated => "updated",
    ; EventKind::Unknown(_)
});

variants!(cause_name, CAUSES, Cause, {
    Cause::Unlinked => "unlinked",
    Cause::LoggedOut => "logged_out",
    Cause::Replaced => "replaced",
    Cause::CopiedCredentials => "copied_credentials",
    Cause::AccountLocked => "account_locked",
    Cause::Invalidated => "invalidated",
    Cause::ForceLogout => "force_logout",
    Cause::PairingExpired => "pairing_expired",
    Cause::PasskeyRequired => "passkey_required",
    Cause::WrongAccount => "wrong_account",
    Cause::PairingAbandoned => "pairing_abandoned",
    Cause::TemporaryBan => "temporary_ban",
    Cause::ClientOutdated => "client_outdated",
    Cause::Refused(None) => "refused",
    Cause::Refused(Some(_)) => "refused_code",
    Cause::ServerUnavailable => "server_unavailable",
    Cause::RateLimited => "rate_limited",
    Cause::StreamEnded => "stream_ended",
    Cause::StreamError => "stream_error",
    Cause::ConnectionLost => "connection_lost",
    Cause::ProxyRefused => "proxy_refused",
    Cause::Unreachable => "unreachable",
    Cause::HandshakeFailed => "handshake_failed",
    Cause::Silent => "silent",
    Cause::Stuck => "stuck",
    Cause::StoreFailed => "store_failed",
    Cause::TaskFailed => "task_failed",
    Cause::Idle => "idle",
    ; Cause::Unknown(_)
});

/// One event of every kind.
pub(super) fn kinds() -> Vec<EventKind> {
    vec![
        EventKind::Connecting,
        EventKind::Qr,
        EventKind::PairCode,
        EventKind::Passkey,
        EventKind::Paired,
        EventKind::Online,
        EventKind::BackingOff,
        EventKind::Held,
        EventKind::Parked,
        EventKind::Disconnected,
        EventKind::LoggingOut,
        EventKind::LoggedOut(Box::new(values::full_entry())),
        EventKind::PairingExpired(Box::new(values::bare_entry())),
        EventKind::PurgeFailed,
        EventKind::StoreCorrupt,
        EventKind::Targets,
        EventKind::AccountChanged,
        EventKind::Restrictions,
        EventKind::Warnings,
        EventKind::Updated,
    ]
}

/// What was met among the golden values.
#[derive(Default)]
struct Met(BTreeSet<(&'static str, String)>);

impl Met {
    fn add(&mut self, of: &'static str, name: impl ToString + Copy) {
        self.0.insert((of, name.to_string()));
    }

    fn all(&self, of: &'static str, names: &[impl ToString]) {
        for name in names.iter().map(ToString::to_string) {
            let met = self.0.contains(&(of, name.clone()));
            assert!(met, "no golden value has the {of} {name}");
        }
    }

    fn status(&mut self, status: &Status) {
        self.add("phase", status.phase);
        if let Some(connecting) = &status.connecting {
            self.add("stage", connecting.stage);
        }
        if let Some(passkey) = &status.passkey {
            self.add("step", passkey.step);
        }
        for (field, some) in [
            ("account", status.account.is_some()),
            (
                "account.name",
                status.account.as_ref().is_some_and(|a| a.name.is_some()),
            ),
            ("connecting", status.connecting.is_some()),
            ("qr", status.qr.is_some()),
            (
                "qr.code",
                status.qr.as_ref().is_some_and(|qr| qr.code.is_some()),
            ),
            ("pair_code", status.pair_code.is_some()),
            (
                "pair_code.code",
                status.pair_code.as_ref().is_some_and(|p| p.code.is_some()),
            ),
            ("passkey", status.passkey.is_some()),
            (
                "passkey.code",
                status.passkey.as_ref().is_some_and(|p| p.code.is_some()),
            ),
            ("retry_at", status.retry_at.is_some()),
            ("held_until", status.held_until.is_some()),
            ("reason", status.reason.is_some()),
            ("error", status.error.is_some()),
            ("last_activity", status.last_activity.is_some()),
            ("status.appeal_token", status.appeal_token.is_some()),
        ] {
            self.add(if some { "some" } else { "none" }, field);
        }
        for restriction in &status.restrictions {
            self.add("restriction", restriction.kind);
        }
        for warning in &status.warnings {
            self.add("warning", warning.kind);
        }
    }

    fn entry(&mut self, entry: &HistoryEntry) {
        self.add("cause", cause_name(&entry.cause));
        self.add("unlink", entry.unlink);
        for (field, some) in [
            ("entry.account", entry.account.is_some()),
            ("requested_by", entry.requested_by.is_some()),
            ("text", entry.text.is_some()),
            ("appeal_token", entry.appeal_token.is_some()),
            ("linked_at", entry.linked_at.is_some()),
        ] {
            self.add(if some { "some" } else { "none" }, field);
        }
    }

    fn failure(&mut self, failure: &Failure) {
        self.add("code", failure.code);
    }

    fn answer(&mut self, told: &Answer) {
        self.add("answer", answer(told));
        match told {
            Answer::Status(status) => self.status(status),
            Answer::Info(info) => {
                for warning in &info.warnings {
                    self.add("warning", warning.kind);
                }
                let key = info.master_key.as_ref();
                if let Some(source) = key.and_then(|key| key.source) {
                    self.add("key source", source);
                }
                for (field, some) in [
                    ("master_key", key.is_some()),
                    ("master_key.id", key.is_some_and(|key| key.id.is_some())),
                    (
                        "master_key.error",
                        key.is_some_and(|key| key.error.is_some()),
                    ),
                ] {
                    self.add(if some { "some" } else { "none" }, field);
                }
            }
            Answer::Sessions(page) => page.sessions.iter().for_each(|s| self.status(s)),
            Answer::History(page) => page.entries.iter().for_each(|e| self.entry(e)),
            Answer::LoggedOut(report) => self.entry(&report.entry),
            Answer::Proxy(proxy) => {
                self.add("source", proxy.source);
                let how = if proxy.url.is_some() { "some" } else { "none" };
                self.add(how, "proxy.url");
            }
            _ => {}
        }
    }

    fn message(&mut self, told: &Message) {
        self.add("message", message(told));
        match told {
            Message::Reply(Reply {
                result: Ok(answer), ..
            }) => self.answer(answer),
            Message::Reply(Reply {
                result: Err(failure),
                ..
            })
            | Message::Closing(failure) => {
                self.failure(failure);
            }
            Message::Present(status) => self.status(status),
            Message::Event(event) | Message::Replayed(event) => {
                self.add("kind", kind(&event.kind));
            }
            Message::InSync { .. } | Message::Lagged { .. } | Message::Unknown(_) => {}
        }
    }
}

#[test]
fn nothing_that_travels_is_without_golden_bytes() {
    let mut met = Met::default();
    for (_, Request { command: asked, .. }) in values::requests() {
        met.add("command", command(&asked));
        assert_eq!(asked.name(), command(&asked));
        if let Command::Targets { edit: change, .. } = &asked {
            met.add("edit", edit(change));
        }
        if let Command::Passkey { action: step, .. } = &asked {
            met.add("action", action(step));
        }
        if let Command::Proxy { edit: change, .. } = &asked {
            met.add("proxy edit", proxy_edit(change));
        }
    }
    for (_, told) in values::messages() {
        met.message(&told);
    }
    met.all("command", COMMANDS);
    assert_eq!(COMMANDS, Command::NAMES);
    met.all("edit", EDITS);
    met.all("action", ACTIONS);
    met.all("proxy edit", PROXY_EDITS);
    met.all("source", ProxySource::ALL);
    met.all("key source", KeySource::ALL);
    met.all("message", MESSAGES);
    assert_eq!(MESSAGES, Message::NAMES);
    met.all("answer", ANSWERS);
    assert_eq!(ANSWERS, Answer::NAMES);
    met.all("kind", KINDS);
    assert_eq!(KINDS, EventKind::NAMES);
    met.all("cause", CAUSES);
    met.all("code", FailureCode::ALL);
    met.all("phase", Phase::ALL);
    met.all("stage", Stage::ALL);
    met.all("step", PasskeyStep::ALL);
    met.all("unlink", Unlink::ALL);
    met.all("restriction", RestrictionKind::ALL);
    met.all("warning", WarningKind::ALL);
    let fields = met
        .0
        .iter()
        .filter(|(how, _)| ["some", "none"].contains(how));
    let fields: BTreeSet<_> = fields.map(|(_, field)| field.clone()).collect();
    let fields: Vec<_> = fields.into_iter().collect();
    met.all("some", &fields);
    met.all("none", &fields);
}
