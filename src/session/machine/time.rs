//! Timers: what is due, and when.

use std::time::Duration;

use jiff::Timestamp;

use super::super::clock::{Due, Monotonic, after};
use super::super::pairing::Pairing;
use super::super::settings::Settings;
use super::{Course, LinkState, Machine, Moment};
use crate::protocol::{Cause, Phase, Stage, Unlink};
use crate::whatsapp::Pace;

/// How long a stage of connecting may take. The library has time-outs of 20 s for the first two stages,
/// and gives up on a silent server after 40 to 50 s. These limits are for the cases in which it does not,
/// and they name the stage.
const fn stage_limit(stage: Stage) -> Duration {
    Duration::from_secs(match stage {
        Stage::Transport | Stage::Handshake | Stage::Login | Stage::Unknown(_) => 25,
        Stage::Sync => 60,
    })
}

impl Machine {
    /// When something is due without any input.
    #[must_use]
    pub fn deadline(&self, settings: &Settings) -> Due {
        if self.course == Course::Ended {
            return Due::default();
        }
        let monotonic = [
            self.phase_ends_at(),
            self.pairing_ends_at(),
            self.save_again_at(),
            self.shows_up_at(settings),
        ];
        let wall = [
            self.phase_ends_at_time(settings),
            self.restriction_ends_at(),
            self.phone_silent_at(),
        ];
        let wall = wall.into_iter().flatten().min();
        Due {
            monotonic: monotonic.into_iter().flatten().min(),
            wall: wall.filter(|_| !self.is_stopping()),
        }
    }

    /// When the phase ends by the time of day.
    fn phase_ends_at_time(&self, settings: &Settings) -> Option<Timestamp> {
        match self.phase {
            Phase::Online => self.idle_at(settings),
            Phase::Held => self.record.hold.as_ref().and_then(|hold| hold.until),
            _ => None,
        }
    }

    fn phase_ends_at(&self) -> Option<Monotonic> {
        if self.is_stopping() && self.logout.is_none() {
            return None;
        }
        match self.phase {
            Phase::Connecting => {
                let limit = stage_limit(self.connecting?.stage);
                Some(self.stage_timed_since? + limit)
            }
            Phase::AwaitingScan | Phase::AwaitingCode if self.passkey().is_some() => None,
            Phase::AwaitingScan | Phase::AwaitingCode => Some(self.code_ends),
            // The time of a hold is a time of day. One that the daemon chose itself has this limit, too.
            Phase::BackingOff | Phase::PurgeFailed | Phase::Held => self.retry_due,
            Phase::LoggingOut => self.logout_ends_at(),
            Phase::Online
            | Phase::Parked
            | Phase::Disconnected
            | Phase::StoreCorrupt
            | Phase::Unknown(_) => None,
        }
    }

    /// The end of a pairing, whatever it waits for. A session that cannot be read is kept for a person, and
    /// one that is being removed has its own times.
    fn pairing_ends_at(&self) -> Option<Monotonic> {
        let pairing = self.pairing.as_ref().filter(|_| !self.paired)?;
        match self.phase {
            Phase::StoreCorrupt | Phase::LoggingOut | Phase::PurgeFailed => None,
            _ if self.is_stopping() => None,
            _ => Some(pairing.ends_at()),
        }
    }

    fn idle_at(&self, settings: &Settings) -> Option<Timestamp> {
        let last = self.record.last_activity.unwrap_or(self.since);
        let last = last.max(self.since);
        settings.idle_after.map(|idle| after(last, idle))
    }

    pub(super) fn due(&mut self, at: Moment, settings: &Settings) {
        if self
            .save_again_at()
            .is_some_and(|time| time <= at.monotonic)
        {
            self.save();
        }
        if self.pairing_is_over(at) {
            return self.pairing_expired(at, settings);
        }
        if !self.is_stopping() {
            self.end_restrictions(at);
            self.warn_of_silent_phone(at);
            self.show_up(at, settings);
        }
        let ends = self.phase_ends_at_time(settings);
        let over = !self.is_stopping() && ends.is_some_and(|time| time <= at.now);
        let passed = self
            .phase_ends_at()
            .is_some_and(|time| time <= at.monotonic);
        match self.phase {
            Phase::Connecting | Phase::AwaitingScan if passed => self.stuck(at, settings),
            Phase::AwaitingCode if passed => self.pairing_expired(at, settings),
            Phase::BackingOff if passed => self.try_again(at),
            Phase::PurgeFailed if passed => self.retry_removal(at, settings),
            Phase::LoggingOut if passed => self.logout_took_too_long(at),
            Phase::Held if passed || over => {
                self.record.hold = None;
                self.save();
                self.connect(at);
            }
            Phase::Online if over => {
                self.disconnect(Some(Cause::Idle), at);
            }
            _ => {}
        }
    }

    /// Tries again at once what failed because WhatsApp could not be reached: another session has reached it.
    /// That may not be true for this one, whose proxy or network may be another, so the session does this
    /// once, and then waits as before until it has been online.
    pub(super) fn reachable(&mut self, at: Moment) {
        let unreached = matches!(
            self.reason,
            Some(
                Cause::Unreachable
                    | Cause::ConnectionLost
                    | Cause::HandshakeFailed
                    | Cause::Silent
                    | Cause::Stuck
                    | Cause::ServerUnavailable
            )
        );
        if self.phase == Phase::BackingOff
            && unreached
            && self.failures > 1
            && !self.way_back.was_told
            && !self.is_stopping()
        {
            self.way_back.was_told = true;
            self.connect(at);
        }
    }

    fn try_again(&mut self, at: Moment) {
        if self.unread {
            self.look();
        } else {
            self.connect(at);
        }
    }

    fn stuck(&mut self, at: Moment, settings: &Settings) {
        let since = self.stage_timed_since;
        let error = match self.connecting {
            Some(connecting) => format!(
                "connecting was stuck at the stage {} for {} s",
                connecting.stage,
                since.map_or(0, |since| at.monotonic.since(since).as_secs())
            ),
            None => "no further QR code came".to_owned(),
        };
        self.retry(Cause::Stuck, Pace::Usual, error, at, settings);
    }

    pub(super) fn pairing_is_over(&self, at: Moment) -> bool {
        self.pairing_ends_at()
            .is_some_and(|end| end <= at.monotonic)
    }

    /// Ends a pairing that nobody finishes any more, and says what kept it from going on.
    pub(super) fn pairing_expired(&mut self, at: Moment, settings: &Settings) {
        let pairing = self.pairing.as_ref();
        let (cause, why) = pairing.map_or((Cause::PairingExpired, None), Pairing::expired);
        self.log_out(cause, None, Unlink::NotLinked, at, settings);
        self.said(why, None);
    }

    /// Whether a link is up that can be asked.
    pub(super) fn can_ask(&self) -> bool {
        self.phase == Phase::Online && self.link == LinkState::Open
    }
}
