//! What WhatsApp says of the account while the session is online: limits, signs of life of the phone, the
//! account's settings; and the device's own sign of life.

use std::time::Duration;

use jiff::Timestamp;

use super::super::clock::{Monotonic, after};
use super::super::settings::Settings;
use super::{Effect, Machine, Moment};
use crate::protocol::{EventKind, Phase, Restriction, RestrictionKind, Warning, WarningKind};
use crate::whatsapp::{Limit, LimitState, Presence};

const DAY: Duration = Duration::from_hours(24);
/// After this long without a sign of life of the phone a person is warned, and warned again.
const PHONE_SILENT: [Duration; 2] = [DAY.saturating_mul(10), DAY.saturating_mul(12)];
/// After this long without its phone WhatsApp unlinks all devices of an account.
const PHONE_GIVEN_UP: Duration = DAY.saturating_mul(14);
/// What arrived while the session was offline comes within this time, signs of life among it.
const CATCHES_UP: Duration = Duration::from_mins(10);
/// A sign of life is written again after this time: a phone in use gives many.
const PHONE_WRITTEN: Duration = Duration::from_hours(6);
/// How often the device shows up, and how much earlier it may.
const SHOWS_UP: Duration = DAY;
const SHOWS_UP_EARLIER: Duration = Duration::from_hours(1);

impl Machine {
    // ---- limits ---------------------------------------------------------------------------------

    pub(super) fn limit(&mut self, limit: Limit, at: Moment) {
        if !self.paired {
            return;
        }
        let near = match &limit.state {
            LimitState::Near { until, detail } => Some((*until, detail.clone())),
            LimitState::Free | LimitState::Reached { .. } => None,
        };
        let restrictions = &mut self.record.restrictions;
        let standing = restrictions.iter().position(|r| r.kind == limit.kind);
        let reached = match limit.state {
            LimitState::Reached { until, detail } => {
                let lasts = until.is_none_or(|until| until > at.now);
                lasts.then_some((until, detail))
            }
            LimitState::Free | LimitState::Near { .. } => None,
        };
        let changed = match (standing, reached) {
            (Some(index), Some((until, detail))) => {
                let standing = &mut restrictions[index];
                let changed = (standing.until, &standing.detail) != (until, &detail);
                (standing.until, standing.detail) = (until, detail);
                changed
            }
            (None, Some((until, detail))) => {
                restrictions.push(Restriction {
                    kind: limit.kind,
                    since: at.now,
                    until,
                    detail,
                });
                true
            }
            (Some(index), None) => {
                restrictions.remove(index);
                true
            }
            (None, None) => false,
        };
        if changed {
            self.save();
            self.publish(EventKind::Restrictions);
        }
        if limit.kind != RestrictionKind::NewChatLimit {
            return;
        }
        match near {
            Some((due, detail)) => self.warn(
                WarningKind::NewChatLimitNear,
                due,
                format!(
                    "WhatsApp will soon allow the account no new chats ({detail}): begin fewer of them."
                ),
                at,
            ),
            None => self.warning_is_over(WarningKind::NewChatLimitNear),
        }
    }

    /// When the first restriction ends by itself.
    pub(super) fn restriction_ends_at(&self) -> Option<Timestamp> {
        if self.logout.is_some() {
            return None;
        }
        let ends = self.record.restrictions.iter().filter_map(|r| r.until);
        ends.min()
    }

    pub(super) fn end_restrictions(&mut self, at: Moment) {
        if self.restriction_ends_at().is_some_and(|end| end <= at.now) {
            let lasts = |r: &Restriction| r.until.is_none_or(|until| until > at.now);
            self.record.restrictions.retain(lasts);
            self.save();
            self.publish(EventKind::Restrictions);
        }
    }

    // ---- the phone ------------------------------------------------------------------------------

    pub(super) fn phone_heard(&mut self, ago: Duration, at: Moment) {
        let heard = at.now.checked_sub(ago).unwrap_or(at.now);
        let before = self.record.phone_heard;
        if !self.paired || before.is_some_and(|before| heard < before) {
            return;
        }
        self.record.phone_heard = Some(heard);
        let due = before.is_none_or(|before| after(before, PHONE_WRITTEN) <= heard);
        if due || self.phone_warnings > 0 {
            self.save();
        }
        if after(heard, PHONE_SILENT[0]) <= at.now {
            return;
        }
        self.phone_warnings = 0;
        self.warning_is_over(WarningKind::PhoneSilent);
    }

    /// Counts the phone's silence at a login. WhatsApp would not accept a device whose phone it has given
    /// up, so a longer silence only means that nobody was here to hear it.
    fn count_silence_from_login(&mut self, at: Moment) {
        let given_up = |heard: Timestamp| after(heard, PHONE_GIVEN_UP) <= at.now;
        if self.record.phone_heard.is_none_or(given_up) {
            self.record.phone_heard = Some(at.now);
            self.save();
            self.phone_warnings = 0;
            self.warning_is_over(WarningKind::PhoneSilent);
        }
    }

    /// When to warn of the phone's silence the next time. It is only known while the session is online.
    pub(super) fn phone_silent_at(&self) -> Option<Timestamp> {
        if self.phase != Phase::Online {
            return None;
        }
        let silence = PHONE_SILENT.get(self.phone_warnings)?;
        let silent = after(self.record.phone_heard?, *silence);
        Some(silent.max(after(self.since, CATCHES_UP)))
    }

    pub(super) fn warn_of_silent_phone(&mut self, at: Moment) {
        let before = self.phone_warnings;
        while self.phone_silent_at().is_some_and(|time| time <= at.now) {
            self.phone_warnings += 1;
        }
        let Some(heard) = self
            .record
            .phone_heard
            .filter(|_| self.phone_warnings > before)
        else {
            return;
        };
        let due = after(heard, PHONE_GIVEN_UP);
        let days = at.now.duration_since(heard).as_hours() / 24;
        let text = format!(
            "Nothing was heard of the account's phone for {days} days: open WhatsApp on it. After 14 days \
             WhatsApp unlinks all devices of the account."
        );
        self.warn(WarningKind::PhoneSilent, Some(due), text, at);
    }

    // ---- the account's settings -----------------------------------------------------------------

    pub(super) fn settings_came(&mut self, complete: bool, at: Moment) {
        if !self.paired {
            return;
        }
        if complete {
            if self.record.settings_missing.take().is_some() {
                self.save();
            }
            self.warning_is_over(WarningKind::AppStateMissing);
        } else {
            if self.record.settings_missing.is_none() {
                self.record.settings_missing = Some(at.now);
                self.save();
            }
            self.warn_of_missing_settings();
        }
    }

    /// A session that had this warning before the daemon started has it still. It is told with the phase in
    /// which the session begins.
    pub(super) fn recall_missing_settings(&mut self) {
        self.warnings.extend(self.missing_settings());
    }

    fn warn_of_missing_settings(&mut self) {
        if let Some(warning) = self.missing_settings() {
            self.raise(warning);
        }
    }

    fn missing_settings(&self) -> Option<Warning> {
        self.record.settings_missing.map(|since| {
            let text = "The account's settings did not come after the pairing, so its name is not known. The \
                        session works. Opening WhatsApp on the phone may help; they are asked for at each \
                        login.";
            Warning {
                kind: WarningKind::AppStateMissing,
                since,
                due: None,
                text: text.to_owned(),
            }
        })
    }

    // ---- warnings -------------------------------------------------------------------------------

    fn warn(&mut self, kind: WarningKind, due: Option<Timestamp>, text: String, at: Moment) {
        let standing = self.warnings.iter().find(|warning| warning.kind == kind);
        let since = standing.map_or(at.now, |standing| standing.since);
        self.raise(Warning {
            kind,
            since,
            due,
            text,
        });
    }

    fn raise(&mut self, warning: Warning) {
        if self.warnings.contains(&warning) {
            return;
        }
        self.warnings
            .retain(|standing| standing.kind != warning.kind);
        self.warnings.push(warning);
        self.publish(EventKind::Warnings);
    }

    fn warning_is_over(&mut self, kind: WarningKind) {
        let before = self.warnings.len();
        self.warnings.retain(|warning| warning.kind != kind);
        if self.warnings.len() < before {
            self.publish(EventKind::Warnings);
        }
    }

    /// Another account has other limits, another phone, other settings.
    pub(super) fn forget_the_account(&mut self) {
        self.record.restrictions.clear();
        self.record.settings_missing = None;
        self.record.showed_up = None;
        self.warnings.clear();
        self.phone_warnings = 0;
    }

    // ---- showing up -----------------------------------------------------------------------------

    pub(super) fn account_is_online(&mut self, at: Moment) {
        self.count_silence_from_login(at);
        let since = self
            .record
            .showed_up
            .map(|last| at.now.duration_since(last));
        // A time in the future is that of a clock that was set back since.
        let since = since.and_then(|since| Duration::try_from(since).ok());
        let left = since.map_or(Duration::ZERO, |since| SHOWS_UP.saturating_sub(since));
        let jitter = SHOWS_UP_EARLIER.mul_f64(at.jitter);
        let wait = if left.is_zero() {
            jitter
        } else {
            left.saturating_sub(jitter)
        };
        self.shows_up_at = Some(at.monotonic + wait);
    }

    /// When to show up the next time.
    pub(super) fn shows_up_at(&self, settings: &Settings) -> Option<Monotonic> {
        let quiet = settings.presence == Presence::Unavailable;
        self.shows_up_at.filter(|_| quiet && self.can_ask())
    }

    pub(super) fn show_up(&mut self, at: Moment, settings: &Settings) {
        let due = self.shows_up_at(settings);
        if due.is_none_or(|time| time > at.monotonic) {
            return;
        }
        let jitter = SHOWS_UP_EARLIER.mul_f64(at.jitter);
        self.shows_up_at = Some(at.monotonic + SHOWS_UP.saturating_sub(jitter));
        self.record.showed_up = Some(at.now);
        self.save();
        self.effects.push(Effect::ShowUp);
    }
}
