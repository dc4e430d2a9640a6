//! How long to wait before the next try. Pure: the caller brings the random number.

use std::time::Duration;

use crate::whatsapp::Pace;

/// After a link that was online this long, the count of failures begins anew.
pub(super) const STABLE_AFTER: Duration = Duration::from_mins(1);

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// Where WhatsApp asked to slow down.
const FIRST_LONG: Duration = Duration::from_mins(1);
const LONGEST_LONG: Duration = Duration::from_mins(15);

/// The wait before try number `failures` + 1, `failures` from 1. It doubles, and is shortened by up
/// to half by `dice` (0 to 1), so that a thousand sessions that lost the same server do not come back
/// at once.
pub(super) fn delay(failures: u32, pace: Pace, dice: f64) -> Duration {
    let (first, longest) = match pace {
        // Twice in a row is no longer part of any plan.
        Pace::AtOnce if failures <= 1 => return Duration::ZERO,
        Pace::AtOnce | Pace::Usual => (FIRST, LONGEST),
        Pace::Long => (FIRST_LONG, LONGEST_LONG),
    };
    let doublings = failures.saturating_sub(1).min(16);
    let full = first.saturating_mul(1 << doublings).min(longest);
    full.mul_f64(1.0 - dice.clamp(0.0, 1.0) / 2.0)
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

    proptest! {
        #[test]
        fn the_dice_shorten_by_at_most_half(failures in 1u32.., dice in 0.0f64..=1.0) {
            for pace in [Pace::Usual, Pace::Long] {
                let full = delay(failures, pace, 0.0);
                let thrown = delay(failures, pace, dice);
                prop_assert!(thrown <= full && thrown >= full / 2);
            }
        }
    }
}
