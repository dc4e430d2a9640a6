//! The screen of `connect` while it waits.

use jiff::Timestamp;

use crate::ctl::error::Problem;
use crate::ctl::terminal::{Look, Size};
use crate::protocol::{PairCode, Passkey, Phase, Qr, Status};

use super::live::Block;
use super::qr::{Code, QUIET};
use super::status::{dashed, gist};
use super::time::left;
use super::{cause, plain};

/// The picture or text for the person, and below it one line about the state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) body: Block,
    pub(crate) foot: String,
}

/// The line that offers a way out of an error.
pub(crate) const OFFER: &str = "(r)etry, (f)orce-logout, (q)uit? Type a letter and Enter:";

/// The screen for a session on its way.
pub(crate) fn waiting(
    status: &Status,
    now: Timestamp,
    look: Look,
    size: Option<Size>,
) -> Result<Screen, Problem> {
    if let Some(passkey) = &status.passkey {
        return Ok(ask_passkey(status, passkey, now, size));
    }
    match (&status.qr, &status.pair_code) {
        (Some(qr), _) => scan(status, qr, now, look, size),
        (None, Some(pair)) => Ok(enter(pair, now, look)),
        (None, None) => Ok(Screen {
            body: Block::default(),
            foot: summary(status, now),
        }),
    }
}

/// `alice: connecting: attempt 1, handshake`
pub(crate) fn summary(status: &Status, now: Timestamp) -> String {
    let gist = gist(status, now);
    let colon = if gist.is_empty() { "" } else { ": " };
    format!("{}: {}{colon}{gist}", status.user, status.phase)
}

/// The error, and what helps.
pub(crate) fn trouble(status: &Status, now: Timestamp) -> Block {
    let mut lines = vec![format!("{}: {}", status.user, status.phase)];
    lines.extend(
        status
            .reason
            .map(|reason| format!("  {}", cause::with_words(reason))),
    );
    lines.extend(
        status
            .error
            .as_deref()
            .map(|error| format!("  {}", plain(error))),
    );
    if status.phase == Phase::Held {
        let until = status
            .held_until
            .map(|at| format!("  held until {}", super::time::both(at, now)));
        lines.extend(until);
    }
    lines.extend(
        status
            .retry_at
            .map(|at| format!("  next try {}", super::time::both(at, now))),
    );
    lines.push(format!("  {}", plain(&status.next_action)));
    Block::text(lines)
}

fn scan(
    status: &Status,
    qr: &Qr,
    now: Timestamp,
    look: Look,
    size: Option<Size>,
) -> Result<Screen, Problem> {
    let mut body = Block::text(
        [
            "Scan this code with the phone of the account. In WhatsApp:",
            "Settings → Linked devices → Link a device",
            "",
        ]
        .map(str::to_owned),
    );
    if let Some(text) = &qr.code {
        let code = Code::new(text.reveal())?;
        // Beside the code there are the lines above it, the foot, and the line of the cursor.
        let fitting = size.map(|size| code.fitting(size.columns - 1, size.rows.saturating_sub(6)));
        let quiet = fitting.unwrap_or(Some(QUIET)).unwrap_or(2);
        let (columns, rows) = code.size(quiet);
        body.extend(Block {
            lines: code.lines(quiet, look.colour),
            width: columns,
        });
        if fitting == Some(None) {
            let user = &status.user;
            let hint = format!(
                "The terminal is too small: the code needs {} columns and {} rows. \
                 `wactl qr {user} --output qr.png` makes an image.",
                columns + 1,
                rows + 6
            );
            body.extend(Block::text([hint]));
        }
    }
    let last = if qr.remaining == 0 {
        ", the last one"
    } else {
        ""
    };
    let (number, of) = (qr.number, qr.number + qr.remaining);
    let foot = format!(
        "QR code {number} of {of}, {} left{last}",
        left(qr.expires_at, now)
    );
    Ok(Screen { body, foot })
}

/// What WhatsApp wants, what to do, and the code to compare.
fn ask_passkey(status: &Status, passkey: &Passkey, now: Timestamp, size: Option<Size>) -> Screen {
    let mut lines = vec![plain(&status.next_action)];
    if let Some(code) = &passkey.code {
        let spaced: Vec<_> = plain(code.reveal()).chars().map(String::from).collect();
        lines.extend([
            String::new(),
            format!("    {}", spaced.join(" ")),
            String::new(),
        ]);
    }
    lines.extend(status.error.as_deref().map(plain));
    let columns = size.map_or(usize::MAX, |size| size.columns);
    Screen {
        body: Block::text(lines).wrapped(columns),
        foot: format!(
            "{}: passkey: {}, {} left",
            status.user,
            passkey.step,
            left(passkey.expires_at, now)
        ),
    }
}

fn enter(pair: &PairCode, now: Timestamp, look: Look) -> Screen {
    let code = pair
        .code
        .as_ref()
        .map_or_else(|| "hidden".into(), |code| dashed(code.reveal()));
    let spaced = code.chars().map(String::from).collect::<Vec<_>>().join(" ");
    let bar = "─".repeat(spaced.chars().count() + 4);
    let (bold, normal) = if look.colour {
        ("\x1b[1m", "\x1b[0m")
    } else {
        ("", "")
    };
    let mut body = Block::text([
        format!("On the phone with {}, in WhatsApp:", plain(&pair.phone)),
        "Settings → Linked devices → Link a device → Link with phone number instead".to_owned(),
        "and enter".to_owned(),
        String::new(),
        format!("    ┌{bar}┐"),
    ]);
    body.extend(Block {
        lines: vec![format!("    │  {bold}{spaced}{normal}  │")],
        width: spaced.chars().count() + 10,
    });
    body.extend(Block::text([format!("    └{bar}┘"), String::new()]));
    Screen {
        body,
        foot: format!("{} left", left(pair.expires_at, now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::scripted::{after, morning, status, with_qr};
    use crate::protocol::{Cause, Connecting, Redacted, Stage};

    fn shown(status: &Status, look: Look) -> Screen {
        let size = Size {
            columns: 80,
            rows: 50,
        };
        waiting(status, morning(), look, Some(size)).expect("a screen")
    }

    #[test]
    fn a_qr_code_comes_with_its_number_and_time() {
        let screen = shown(&with_qr("alice", 2), Look::default());
        assert_eq!(screen.foot, "QR code 2 of 6, 1m 20s left");
        assert_eq!(
            screen.body.lines[1],
            "Settings → Linked devices → Link a device"
        );
        let code = Code::new("2@code-2,key,key,key").expect("a code");
        assert_eq!(screen.body.lines[3..], code.lines(QUIET, false));
        let last = shown(&with_qr("alice", 6), Look::default());
        assert_eq!(last.foot, "QR code 6 of 6, 2m 40s left, the last one");
    }

    #[test]
    fn a_small_terminal_is_told_so() {
        let size = Size {
            columns: 25,
            rows: 50,
        };
        let screen = waiting(&with_qr("alice", 1), morning(), Look::default(), Some(size));
        let body = screen.expect("a screen").body;
        assert!(
            body.lines.last().expect("a hint").contains("too small"),
            "{body:?}"
        );
    }

    #[test]
    fn a_pair_code_is_easy_to_read() {
        let pairing = Status {
            pair_code: Some(PairCode {
                code: Some(Redacted::from("ABCDEFGH")),
                phone: "+15550100999".to_owned(),
                expires_at: after(150),
            }),
            ..status("alice", Phase::AwaitingCode)
        };
        let screen = shown(&pairing, Look::default());
        let expected = "\
On the phone with +15550100999, in WhatsApp:
Settings → Linked devices → Link a device → Link with phone number instead
and enter

    ┌─────────────────────┐
    │  A B C D - E F G H  │
    └─────────────────────┘
";
        assert_eq!(screen.body.lines.join("\n"), expected);
        assert_eq!(screen.foot, "2m 30s left");
        let colour = Look {
            colour: true,
            ..Look::default()
        };
        let bold = shown(&pairing, colour).body;
        assert_eq!(bold.lines[5], "    │  \x1b[1mA B C D - E F G H\x1b[0m  │");
        assert_eq!(bold.width, screen.body.width);
    }

    #[test]
    fn the_rest_is_one_line() {
        let connecting = Status {
            connecting: Some(Connecting {
                attempt: 2,
                stage: Stage::Handshake,
                stage_since: morning(),
            }),
            ..status("alice", Phase::Connecting)
        };
        let screen = shown(&connecting, Look::default());
        assert_eq!(screen.foot, "alice: connecting: attempt 2, handshake");
        assert!(screen.body.lines.is_empty());
    }

    #[test]
    fn trouble_is_told_with_what_helps() {
        let held = Status {
            reason: Some(Cause::TemporaryBan),
            held_until: Some(after(3600)),
            next_action: "Wait.".to_owned(),
            ..status("alice", Phase::Held)
        };
        let expected = "\
alice: held
  temporary_ban (WhatsApp refuses the account for a time)
  held until 2026-11-24 10:12:03Z (in 1h)
  Wait.";
        assert_eq!(trouble(&held, morning()).lines.join("\n"), expected);
    }
}
