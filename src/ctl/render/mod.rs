//! Text for people. It may change in any release; programs use `--json`.

pub(super) mod cause;
pub(super) mod event;
pub(super) mod fields;
pub(super) mod groups;
pub(super) mod history;
pub(super) mod info;
pub(super) mod live;
pub(super) mod logout;
mod notes;
pub(super) mod qr;
pub(super) mod screen;
pub(super) mod status;
pub(super) mod table;
pub(super) mod time;

/// A string that others chose (names, subjects, WhatsApp's words), fit for a terminal: on one line,
/// and with nothing in it that a terminal obeys or that turns the direction of the text.
pub(super) fn plain(text: &str) -> String {
    let tame = |c: char| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(tame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_speak_to_the_terminal() {
        let name = "Eve\u{1b}[2J\u{9b}31m\u{7}\r\nroot\u{202e}!";
        assert_eq!(
            plain(name),
            "Eve\u{fffd}[2J\u{fffd}31m\u{fffd}  root\u{fffd}!"
        );
        assert_eq!(plain("Zoë 👩‍👩‍👧 अ"), "Zoë 👩‍👩‍👧 अ");
    }
}
