//! How long to wait before the next try. Pure: the caller brings the random number.

use std::time::Duration;

use crate::whatsapp::Pace;

/// After a link that was online this long, the count of failures begins anew. A shorter one lowers it.
pub(super) const STABLE_AFTER: Duration = Duration::from_mins(1);

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// Where WhatsApp asked to slow down.
const FIRST_LONG: Duration = Duration::from_mins(1);
const LONGEST_LONG: Duration = Duration::from_mins(15);
/// Where WhatsApp does not accept the client's version: without the jitter, which makes it up to half longer.
const FIRST_OUTDATED: Duration = Duration::from_mins(10);
const LONGEST_OUTDATED: Duration = Duration::from_hours(4);

/// The wait before try number `failures` + 1, `failures` from 1. It doubles, and is shortened by up
/// to half by `dice` (0 to 1), so that a thousand sessions that lost the same server do not come back
/// at once. Where the client is outdated, `dice` makes it longer: it is never less than ten minutes.
pub(super) fn delay(failures: u32, pace: Pace, dice: f64) -> Duration {
    let (first, longest) = match pace {
        // Twice in a row is no longer part of any plan.
        Pace::AtOnce if failures <= 1 => return Duration::ZERO,
        Pace::AtOnce | Pace::Usual => (FIRST, LONGEST),
        Pace::Long => (FIRST_LONG, LONGEST_LONG),
        Pace::Outdated => (FIRST_OUTDATED, LONGEST_OUTDATED),
    };
    let doublings = failures.saturating_sub(1).min(16);
    let full = first.saturating_mul(1 << doublings).min(longest);
    let half = full.mul_f64(dice.clamp(0.0, 1.0) / 2.0);
    match pace {
        Pace::Outdated => full + half,
        Pace::AtOnce | Pace::Usual | Pace::Long => full.saturating_sub(half),
    }
}

/// The count of failures after a link that was online for so long: as much less as it was of the time after
/// which it begins anew. What is left is rounded up, so a link that was hardly there forgives nothing.
pub(super) fn decayed(failures: u32, online: Duration) -> u32 {
    let left = STABLE_AFTER.saturating_sub(online).as_millis();
    let left = u128::from(failures) * left;
    u32::try_from(left.div_ceil(STABLE_AFTER.as_millis())).unwrap_or(failures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_doubles_to_a_bound() {
        let seconds = |failures| delay(failures, Pace::Usual, 0.0).as_secs();
        assert_eq!(
            [1, 2, 3, 4, 9, 10, 50].map(seconds),
            [1, 2, 4, 8, 256, 300, 300]
        );
        assert_eq!(delay(1, Pace::Long, 0.0).as_secs(), 60);
        assert_eq!(delay(u32::MAX, Pace::Long, 0.0).as_secs(), 900);
        assert_eq!(delay(1, Pace::AtOnce, 0.9), Duration::ZERO);
        assert!(delay(2, Pace::AtOnce, 0.9) > Duration::ZERO);
    }

    #[test]
    fn an_outdated_client_waits_minutes_to_hours() {
        let minutes = |dice| {
            [1, 2, 3, 5, 6, u32::MAX].map(|waits| delay(waits, Pace::Outdated, dice).as_secs() / 60)
        };
        assert_eq!(minutes(0.0), [10, 20, 40, 160, 240, 240]);
        assert_eq!(minutes(1.0), [15, 30, 60, 240, 360, 360]);
    }

    #[test]
    fn time_online_lowers_the_count() {
        let table = [
            (6, 0, 6),
            (6, 1, 6),
            (6, 10, 5),
            (6, 35, 3),
            (6, 55, 1),
            (6, 60, 0),
            (6, 3600, 0),
            (1, 59, 1),
            (0, 5, 0),
            (u32::MAX, 0, u32::MAX),
        ];
        for (failures, online, left) in table {
            let decayed = decayed(failures, Duration::from_secs(online));
            assert_eq!(decayed, left, "{failures} failures, {online} s online");
        }
    }

    proptest! {
        #[test]
        fn the_dice_shorten_by_at_most_half(failures in 1u32.., dice in 0.0f64..=1.0) {
            for pace in [Pace::Usual, Pace::Long] {
                let full = delay(failures, pace, 0.0);
                let thrown = delay(failures, pace, dice);
                prop_assert!(thrown <= full && thrown >= full / 2);
            }
            let outdated = delay(failures, Pace::Outdated, dice);
            prop_assert!(outdated >= Duration::from_mins(10) && outdated <= Duration::from_hours(6));
        }

        #[test]
        fn the_longer_online_the_lower_the_count(failures in any::<u32>(), a in 0u64..100, b in 0u64..100) {
            let left = |seconds| decayed(failures, Duration::from_secs(seconds));
            prop_assert!(left(a) <= failures);
            prop_assert!(a > b || left(a) >= left(b));
        }
    }
}
