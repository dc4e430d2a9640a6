//! Sessions: one in full, all in a table, and the gist of one in a few words.

use jiff::Timestamp;

use crate::ctl::terminal::Terminal;
use crate::protocol::{Account, Passkey, Phase, ProxySource, SessionProxy, Status};

use super::fields::Fields;
use super::table::table;
use super::time::{absolute, both, left, relative};
use super::{cause, notes, plain};

/// The longest note in a table, in characters.
const LONGEST_NOTE: usize = 160;

/// Everything about one session.
pub(crate) fn full(status: &Status, now: Timestamp, colour: bool) -> String {
    let user = &status.user;
    let mut fields = Fields::default();
    fields.add("since", both(status.since, now));
    fields.add_some("account", status.account.as_ref().map(account));
    fields.add_some(
        "connecting",
        status.connecting.map(|connecting| {
            let waited = relative(connecting.stage_since, now);
            let (attempt, stage) = (connecting.attempt, connecting.stage);
            format!("attempt {attempt}, stage {stage} since {waited}")
        }),
    );
    fields.add_some(
        "QR code",
        status.qr.as_ref().map(|qr| {
            let (number, of) = (qr.number, qr.number + qr.remaining);
            let expires = relative(qr.expires_at, now);
            format!("{number} of {of}, expires {expires}: `wactl qr {user}` shows it")
        }),
    );
    fields.add_some(
        "pair code",
        status.pair_code.as_ref().map(|pair| {
            let code = pair
                .code
                .as_ref()
                .map_or("hidden".into(), |c| dashed(c.reveal()));
            let expires = relative(pair.expires_at, now);
            format!("{code} for {}, expires {expires}", plain(&pair.phone))
        }),
    );
    fields.add_some(
        "expected",
        status
            .expect
            .as_deref()
            .map(|phone| format!("{}: another account is unlinked again", plain(phone))),
    );
    fields.add_some("passkey", status.passkey.as_ref().map(|p| passkey(p, now)));
    fields.add_some("reason", status.reason.map(cause::with_words));
    fields.add_some("error", status.error.as_deref().map(plain));
    fields.add_some("next try", status.retry_at.map(|at| both(at, now)));
    fields.add_some("held until", status.held_until.map(|at| both(at, now)));
    fields.add_some(
        "appeal token",
        status
            .appeal_token
            .as_ref()
            .map(|_| format!("kept: `wactl --json status {user}` shows it")),
    );
    if !status.targets.is_empty() {
        let jids: Vec<_> = status.targets.iter().map(ToString::to_string).collect();
        fields.add("targets", jids.join(", "));
    }
    fields.add_some(
        "last activity",
        status.last_activity.map(|at| both(at, now)),
    );
    for restriction in &status.restrictions {
        fields.add("restricted", notes::restriction(restriction));
    }
    for warning in &status.warnings {
        fields.add("warning", notes::warning(warning, now));
    }
    fields.add_some("proxy", status.proxy.as_ref().map(proxy));
    fields.add("owner", format!("uid {}", status.owner));
    fields.add("next", plain(&status.next_action));
    format!("{user}: {}\n{fields}", phase(status.phase, colour))
}

/// A line for each session.
pub(crate) fn sessions(terminal: &Terminal, sessions: &[Status]) -> String {
    let now = terminal.now();
    let header = ["USER", "PHASE", "SINCE", "ACCOUNT", "TARGETS", "NOTE"];
    let rows = sessions.iter().map(|status| {
        [
            status.user.to_string(),
            status.phase.to_string(),
            relative(status.since, now),
            status
                .account
                .as_ref()
                .map_or_else(none, |a| plain(&a.phone)),
            status.targets.len().to_string(),
            short(&note(status, now)),
        ]
    });
    table(terminal, header, rows)
}

/// The gist, without the account that has a column of its own.
fn note(status: &Status, now: Timestamp) -> String {
    match (status.phase, &status.account) {
        (Phase::Online, Some(account)) => {
            let name = account.name.as_deref().map(plain);
            let words: Vec<_> = name.into_iter().chain(noted(status)).collect();
            words.join("; ")
        }
        _ => gist(status, now),
    }
}

/// A row of a table stays readable: what WhatsApp says may be as long as a page. `status` shows all of it.
fn short(note: &str) -> String {
    match note.char_indices().nth(LONGEST_NOTE) {
        Some((end, _)) => format!("{}…", note[..end].trim_end()),
        None => note.to_owned(),
    }
}

fn none() -> String {
    "-".to_owned()
}

/// The details of the phase in a few words, without secrets.
pub(crate) fn gist(status: &Status, now: Timestamp) -> String {
    let mut words = Vec::new();
    match status.phase {
        Phase::Online => words.extend(status.account.as_ref().map(account)),
        Phase::Connecting => words.extend(status.connecting.map(|connecting| {
            let (attempt, stage) = (connecting.attempt, connecting.stage);
            format!("attempt {attempt}, {stage}")
        })),
        // A newer daemon's phase says nothing to this program; its advice says it to the person.
        Phase::Unknown(_) => words.push(plain(&status.next_action)),
        _ => {}
    }
    if let Some(qr) = &status.qr {
        let (number, of) = (qr.number, qr.number + qr.remaining);
        words.push(format!(
            "QR code {number} of {of}, {} left",
            left(qr.expires_at, now)
        ));
    }
    if let Some(pair) = &status.pair_code {
        words.push(format!(
            "for {}, {} left",
            plain(&pair.phone),
            left(pair.expires_at, now)
        ));
    }
    if let Some(passkey) = &status.passkey {
        words.push(format!(
            "passkey: {}, {} left",
            passkey.step,
            left(passkey.expires_at, now)
        ));
    }
    words.extend(status.reason.map(|reason| reason.to_string()));
    words.extend(status.error.as_deref().map(plain));
    words.extend(
        status
            .retry_at
            .map(|at| format!("next try {}", relative(at, now))),
    );
    words.extend(
        status
            .held_until
            .map(|at| format!("until {}", absolute(at))),
    );
    words.extend(noted(status));
    words.join("; ")
}

/// The restrictions and warnings by their names.
fn noted(status: &Status) -> impl Iterator<Item = String> {
    let restrictions = status
        .restrictions
        .iter()
        .map(|restriction| restriction.kind.to_string());
    let warnings = status
        .warnings
        .iter()
        .map(|warning| warning.kind.to_string());
    restrictions.chain(warnings).map(|name| plain(&name))
}

/// `confirmation, the code is ABCD-1234, expires in 9m 30s`
fn passkey(passkey: &Passkey, now: Timestamp) -> String {
    let code = passkey.code.as_ref().map(|code| plain(code.reveal()));
    let code = code.map_or_else(String::new, |code| format!(", the code is {code}"));
    format!(
        "{}{code}, expires {}",
        passkey.step,
        relative(passkey.expires_at, now)
    )
}

/// `socks5h://proxy.example:1080, with a login, chosen for this session`
pub(crate) fn proxy(proxy: &SessionProxy) -> String {
    let whose = match proxy.source {
        ProxySource::Default => "as the configuration says for all sessions".to_owned(),
        ProxySource::Session => "chosen for this session".to_owned(),
        other => plain(&other.to_string()),
    };
    let login = if proxy.authenticated {
        ", with a login"
    } else {
        ""
    };
    match (&proxy.url, &proxy.error) {
        (_, Some(why)) => format!("cannot be used, {whose}: {}", plain(why)),
        (Some(url), None) => format!("{}{login}, {whose}", plain(url)),
        (None, None) => format!("none, {whose}"),
    }
}

/// `+15550100999 Alice (15550100999:4@s.whatsapp.net)`
pub(crate) fn account(account: &Account) -> String {
    let name = account.name.as_deref().map(plain).unwrap_or_default();
    let gap = if name.is_empty() { "" } else { " " };
    format!(
        "{}{gap}{name} ({})",
        plain(&account.phone),
        plain(&account.jid)
    )
}

/// `ABCDEFGH` as WhatsApp shows it on the phone: `ABCD-EFGH`.
pub(crate) fn dashed(code: &str) -> String {
    let code = plain(code);
    match code.char_indices().nth(4) {
        Some((middle, _)) if code.chars().count() == 8 => {
            format!("{}-{}", &code[..middle], &code[middle..])
        }
        _ => code,
    }
}

fn phase(phase: Phase, colour: bool) -> String {
    if !colour {
        return phase.to_string();
    }
    let code = match phase {
        Phase::Online => 32,
        Phase::Parked | Phase::PurgeFailed | Phase::StoreCorrupt => 31,
        Phase::Disconnected => 0,
        _ => 33,
    };
    format!("\x1b[{code}m{phase}\x1b[0m")
}
