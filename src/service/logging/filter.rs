//! Filters: the one that a person writes, and the one that no person can raise.

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;

use crate::service::config::reader::nearest;

/// Targets that a filter may raise above `error`: this program, and libraries that see nothing of
/// WhatsApp but ciphertext.
const OPEN: [&str; 4] = ["wasessiond", "rustls", "mio", "tokio"];

/// Targets that are about single messages. Even their errors name correspondents, and hold parts of keys.
const CLOSED: [&str; 2] = ["wacore_libsignal", "whatsapp_rust::message"];

/// The levels. A filter that is one of them alone shows lines of that level and above.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Words that people write instead of a level, and the level that they mean.
const ALSO_LEVELS: [(&str, &str); 8] = [
    ("warning", "warn"),
    ("err", "error"),
    ("critical", "error"),
    ("fatal", "error"),
    ("notice", "info"),
    ("information", "info"),
    ("verbose", "debug"),
    ("none", "off"),
];

/// Whether a filter can be used. A word that is neither a level nor a part of this program is refused:
/// it would be taken for the name of a part, and everything else would be silent.
///
/// # Errors
/// The words that say why not, and what would be right.
pub fn check_filter(text: &str) -> Result<(), String> {
    let example = "write a level, like \"info\", or parts and their levels, like \"info,wasessiond::session=debug\"";
    EnvFilter::builder()
        .parse(text)
        .map_err(|why| format!("{text:?} is not a filter ({why}): {example}"))?;
    let words = text.split(',').map(str::trim);
    let unknown = words
        .filter(|word| !word.is_empty() && !word.contains(['=', '[']))
        .find(|word| !is_level(word) && !is_open(word));
    let Some(word) = unknown else { return Ok(()) };
    let lower = word.to_lowercase();
    let meant = ALSO_LEVELS
        .iter()
        .find_map(|(also, level)| (*also == lower).then_some(*level))
        .or_else(|| nearest(&lower, LEVELS.into_iter().chain(OPEN)));
    Err(match meant {
        Some(meant) => format!("{word:?} is no level; did you mean {meant:?}?"),
        None => format!("{word:?} is neither a level nor a part of this program: {example}"),
    })
}

fn is_level(word: &str) -> bool {
    let level = |level: &&str| level.eq_ignore_ascii_case(word);
    LEVELS.iter().any(level) || matches!(word, "0" | "1" | "2" | "3" | "4" | "5")
}

fn is_open(target: &str) -> bool {
    OPEN.iter().any(|name| is_part(target, name))
}

fn is_closed(target: &str) -> bool {
    CLOSED.iter().any(|name| is_part(target, name))
}

/// Whether a target is this part of a program, or stands below it.
fn is_part(target: &str, name: &str) -> bool {
    target
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether something may be shown at its level: see the head of [`logging`](super).
pub(super) fn may_be_shown(about: &Metadata<'_>) -> bool {
    // A record of `log` is asked about under its own target too.
    let target = about.target();
    is_open(target) || *about.level() <= Level::ERROR && !is_closed(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_show_something_are_taken() {
        for good in [
            "info",
            "WARN",
            "off",
            "3",
            "wasessiond",
            "info,wasessiond::session=debug",
            "info, tokio",
            "warn,Client=off",
            "wasessiond[session]=debug",
        ] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_word_that_would_silence_everything_is_refused_with_the_one_that_was_meant() {
        for (wrong, meant) in [
            ("warning", "\"warning\" is no level; did you mean \"warn\"?"),
            ("Warning", "did you mean \"warn\"?"),
            ("inof", "did you mean \"info\"?"),
            (
                "debg,wasessiond=info",
                "\"debg\" is no level; did you mean \"debug\"?",
            ),
            ("wasesiond", "did you mean \"wasessiond\"?"),
            ("critical", "did you mean \"error\"?"),
            (
                "hyper",
                "\"hyper\" is neither a level nor a part of this program: write",
            ),
            ("a=b=c", "is not a filter"),
            ("wasessiond=warning", "is not a filter"),
        ] {
            let told = check_filter(wrong).expect_err(wrong);
            assert!(told.contains(meant), "{wrong}: {told}");
        }
    }
}
