//! Durations as people write them: `500ms`, `5s`, `10m`, `2h`, `1d`.

use std::time::Duration;

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Longer than this is a slip of the pen, and would overflow a clock somewhere.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// Reads a duration: one whole number and one unit. Zero is refused: every duration of the
/// configuration is a time to wait, and none of them means anything at zero.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let form =
        "a duration is a number and a unit, like \"500ms\", \"5s\", \"10m\", \"2h\" or \"1d\"";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("{text:?} is not a duration: {form}"));
    };
    if number.is_empty() {
        return Err(format!("{text:?} is not a duration: {form}"));
    }
    let length = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(*scale))
        .map(Duration::from_millis)
        .filter(|length| *length <= LONGEST);
    match length {
        None => Err(format!("{text:?} is too long: the longest is \"3650d\"")),
        Some(Duration::ZERO) => Err(format!(
            "{text:?} is no time at all: it must be longer than zero"
        )),
        Some(length) => Ok(length),
    }
}

/// Writes a duration in the largest unit that holds it exactly.
pub(crate) fn render(length: Duration) -> String {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let exact = UNITS.iter().find(|(_, scale)| millis % scale == 0);
    let (unit, scale) = exact.copied().unwrap_or(("ms", 1));
    format!("{}{unit}", millis / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_back() {
        for (text, millis) in [
            ("1ms", 1),
            ("500ms", 500),
            ("5s", 5_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("3650d", 315_360_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(render(Duration::from_millis(millis)), text);
        }
        assert_eq!(render(Duration::from_mins(90)), "90m");
        assert_eq!(parse("60s").map(render), Ok("1m".to_owned()));
    }

    #[test]
    fn wrong_durations_say_why() {
        for (text, why) in [
            ("", "not a duration"),
            ("s", "not a duration"),
            ("5", "not a duration"),
            ("5 s", "not a duration"),
            ("-5s", "not a duration"),
            ("1.5h", "not a duration"),
            ("5S", "not a duration"),
            ("5sec", "not a duration"),
            ("٥s", "not a duration"),
            ("0s", "longer than zero"),
            ("000d", "longer than zero"),
            ("3651d", "too long"),
            ("18446744073709551615d", "too long"),
            ("99999999999999999999s", "too long"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
