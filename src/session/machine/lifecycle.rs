//! From the first look at a session to its link: how it begins, connects, closes and stops.

use std::time::Duration;

use super::super::clock::after;
use super::super::pairing::{Pairing, Past};
use super::super::settings::Settings;
use super::super::standing::Standing;
use super::{Close, Course, Effect, Exit, LinkState, Machine, Moment, Origin};
use crate::protocol::{Cause, Connecting, EventKind, Phase, PhoneNumber, Stage, Unlink};
use crate::store::{Desired, Hold, Record};
use crate::whatsapp::{Expected, Pace};

/// How long a link may take to be closed with a goodbye: three seconds for that, as many for the flush,
/// and what a slow disk needs for one write.
const CLOSE_WITHIN: Duration = Duration::from_secs(9);

impl Machine {
    pub(super) fn begin(&mut self, origin: Origin, at: Moment, settings: &Settings) {
        match origin {
            Origin::New { options, past } => {
                self.record.expect = options.expect;
                self.record.proxy = options.proxy;
                self.pairing = Some(Pairing::new(at.monotonic, options.phone, past));
                self.connect(at);
            }
            Origin::Unusable(why) => {
                // Nobody can tell, so they are taken for an account's: only force-logout removes them.
                self.paired = true;
                self.unusable(why, at);
            }
            Origin::Unavailable(why) => {
                self.paired = true;
                self.unread = true;
                // The record, which would say so, cannot be read.
                self.expect_ghost(at);
                self.unavailable(why, at, settings);
            }
            Origin::Stored { paired } => self.begin_stored(paired, at, settings),
            Origin::Failed {
                paired,
                error,
                wait,
                past,
            } => self.begin_after_failure(paired, error, wait, past, at),
        }
    }

    fn begin_stored(&mut self, paired: bool, at: Moment, settings: &Settings) {
        self.paired = paired;
        if paired {
            // A backup was put in the place of what was being paired. The end of that pairing would take it away.
            self.pairing = None;
        }
        self.recall_ghosts(at);
        self.recall_missing_settings();
        if !paired {
            self.log_out(
                Cause::PairingAbandoned,
                None,
                Unlink::NotLinked,
                at,
                settings,
            );
            let why = "the daemon ended in the middle of the pairing";
            self.said(Some(why.to_owned()), None);
        } else if self.record.desired == Desired::Down {
            self.stay_disconnected(at);
        } else {
            self.resume(at);
        }
    }

    fn begin_after_failure(
        &mut self,
        paired: bool,
        error: String,
        wait: Duration,
        past: Past,
        at: Moment,
    ) {
        self.paired = paired;
        self.expect_ghost(at);
        self.recall_missing_settings();
        self.pairing = (!paired).then(|| Pairing::new(at.monotonic, None, past));
        if self.record.desired == Desired::Down {
            return self.stay_disconnected(at);
        }
        // A hold does not end with the task.
        if self.holds(at) {
            return self.resume(at);
        }
        self.end_hold();
        self.failures = 1;
        self.note_trouble(Cause::TaskFailed, &error);
        self.back_off(Cause::TaskFailed, error, wait, at);
        self.publish(EventKind::BackingOff);
    }

    fn stay_disconnected(&mut self, at: Moment) {
        self.enter(Phase::Disconnected, at);
        self.publish(EventKind::Disconnected);
    }

    // ---- connecting -----------------------------------------------------------------------------

    /// Connects, when the last link is closed.
    pub(super) fn connect(&mut self, at: Moment) {
        self.attempts = self.attempts.saturating_add(1);
        self.enter(Phase::Connecting, at);
        self.connecting_at(Stage::Transport, at);
        self.publish(EventKind::Connecting);
        self.open_link();
    }

    /// In phase `connecting`, at this stage.
    pub(super) fn connecting_at(&mut self, stage: Stage, at: Moment) {
        self.connecting = Some(Connecting {
            attempt: self.attempts.max(1),
            stage,
            stage_since: at.now,
        });
    }

    fn open_link(&mut self) {
        if self.link == LinkState::Closed && !self.is_stopping() {
            self.link = LinkState::Opening;
            if let Some(pairing) = &mut self.pairing {
                pairing.can_be_asked = false;
            }
            self.effects.push(Effect::OpenLink(Expected {
                paired: self.paired,
                full_handshake: self.failed_handshakes > 0,
                to_unlink: false,
            }));
        }
    }

    pub(super) fn opened(&mut self, at: Moment) {
        if self.link == LinkState::Opening {
            self.link = LinkState::Open;
            // From here on the stages are timed, whether or not the link ever reports that it dials.
            self.stage_timed_since = Some(at.monotonic);
        }
    }

    /// Handles a link that could not be opened. Does nothing where the opening was given up meanwhile.
    pub(super) fn not_opened(&mut self, at: Moment, so: impl FnOnce(&mut Self, Moment)) {
        if self.link == LinkState::Opening {
            self.link = LinkState::Closed;
            so(self, at);
        }
    }

    /// Goes to the phase that the record demands: held, parked, or connecting.
    pub(super) fn resume(&mut self, at: Moment) {
        match self.record.hold.clone() {
            Some(hold) if self.holds(at) => self.wait(hold, at),
            _ => {
                self.end_hold();
                self.connect(at);
            }
        }
    }

    pub(super) fn wait(&mut self, hold: Hold, at: Moment) {
        let (phase, kind) = match hold.until {
            Some(_) => (Phase::Held, EventKind::Held),
            None => (Phase::Parked, EventKind::Parked),
        };
        let longest = self.longest_hold(&hold);
        self.enter(phase, at);
        self.retry_due = longest.map(|longest| at.monotonic + longest);
        self.reason = Some(hold.cause);
        self.error = hold.error;
        self.publish(kind);
    }

    /// Ends a hold. The record forgets the hold, so it does not come back when somebody sets the clock back
    /// before the next start.
    fn end_hold(&mut self) {
        if self.record.hold.take().is_some() {
            self.save();
        }
    }

    /// Whether the record says that it must not connect by itself now.
    pub(super) fn holds(&self, at: Moment) -> bool {
        let hold = self.record.hold.as_ref().filter(|hold| !is_obsolete(hold));
        hold.is_some_and(|hold| hold.until.is_none_or(|until| until > at.now))
    }

    /// Whether it is held until a time that WhatsApp has given and that has not come. A person may try earlier
    /// where the daemon chose the time itself.
    pub(super) fn is_held(&self, at: Moment) -> bool {
        let hold = self.record.hold.as_ref();
        let hold = hold.filter(|hold| hold.cause != Cause::AccountLocked);
        let until = hold.and_then(|hold| hold.until);
        until.is_some_and(|until| until > at.now)
    }

    /// Goes to `backing_off`. The caller publishes it.
    pub(super) fn back_off(&mut self, cause: Cause, error: String, wait: Duration, at: Moment) {
        self.enter(Phase::BackingOff, at);
        self.retry_at = Some(after(at.now, wait));
        self.retry_due = Some(at.monotonic + wait);
        self.reason = Some(cause);
        self.error = Some(error);
    }

    // ---- the disk -------------------------------------------------------------------------------

    /// The bytes on the disk are wrong: the session waits for a person.
    pub(super) fn unusable(&mut self, why: String, at: Moment) {
        self.unread = true;
        self.enter(Phase::StoreCorrupt, at);
        self.error = Some(why);
        self.publish(EventKind::StoreCorrupt);
    }

    /// The files cannot be opened now: the session tries again by itself.
    pub(super) fn unavailable(&mut self, why: String, at: Moment, settings: &Settings) {
        self.retry(Cause::StoreFailed, Pace::Usual, why, at, settings);
    }

    /// Another session uses these credentials: this one waits for a person. The record does not say so: which
    /// of two is the copy is decided anew at each start, and nothing is written into a copy.
    pub(super) fn copied(&mut self, why: String, at: Moment) {
        let hold = Hold {
            cause: Cause::CopiedCredentials,
            until: None,
            error: Some(why),
        };
        self.wait(hold, at);
    }

    /// Looks at the disk, if no look is under way.
    pub(super) fn look(&mut self) {
        if !self.looking {
            self.looking = true;
            self.retry_due = None;
            self.effects.push(Effect::Look);
        }
    }

    pub(super) fn looked(&mut self, standing: Standing, at: Moment, settings: &Settings) {
        if !std::mem::take(&mut self.looking) {
            return;
        }
        // A logout or a stop that was decided meanwhile stands.
        if self.logout.is_some() || self.is_stopping() {
            return;
        }
        let asked = std::mem::take(&mut self.waiting.look);
        match standing {
            Standing::Session { record, paired } => {
                self.unread = false;
                self.record = *record;
                self.paired = paired;
                let is_wanted = |(_, options): &(_, _)| self.contradicts(options).is_none();
                if asked.iter().any(is_wanted) && self.record.desired != Desired::Up {
                    self.record.desired = Desired::Up;
                    self.save();
                }
                self.begin_stored(paired, at, settings);
            }
            Standing::Unusable { record, why } => {
                self.owned_as(record);
                if self.phase != Phase::StoreCorrupt || self.error.as_ref() != Some(&why) {
                    self.unusable(why, at);
                }
            }
            Standing::Unavailable { record, why } => {
                self.owned_as(record);
                self.unavailable(why, at, settings);
            }
            Standing::Nothing => {
                self.waiting
                    .removal
                    .extend(asked.into_iter().map(|(request, _)| request));
                return self.end(Exit::NothingOnDisk);
            }
        }
        for (request, options) in asked {
            if self.logout.is_some() {
                // Half a pairing was found. It is removed, and a new one begins then.
                self.waiting.removal.push(request);
            } else if let Some(failure) = self.contradicts(&options) {
                self.refuse([request], &failure);
            } else {
                self.answer_connect(request, options.phone.is_some());
            }
        }
    }

    /// Takes the owner and the rest of the record, where the record could be read and the credentials not.
    fn owned_as(&mut self, record: Option<Box<Record>>) {
        if let Some(record) = record {
            self.record = *record;
        }
    }

    // ---- closing --------------------------------------------------------------------------------

    /// Closes the link politely.
    pub(super) fn close_link(&mut self) {
        self.close(true, CLOSE_WITHIN);
    }

    pub(super) fn close(&mut self, goodbye: bool, within: Duration) {
        if matches!(self.link, LinkState::Opening | LinkState::Open) {
            let effect = self.begin_close(goodbye, within);
            self.effects.push(effect);
        }
    }

    /// Begins a close, also where an earlier one is under way: then only the result of this one counts.
    pub(super) fn begin_close(&mut self, goodbye: bool, within: Duration) -> Effect {
        self.link = LinkState::Closing;
        self.last_close.0 += 1;
        Effect::CloseLink {
            close: self.last_close,
            goodbye,
            within,
        }
    }

    pub(super) fn closed(
        &mut self,
        close: Close,
        closed: Result<(), String>,
        at: Moment,
        settings: &Settings,
    ) {
        if self.link != LinkState::Closing || close != self.last_close {
            return;
        }
        self.link = LinkState::Closed;
        if self.logout.is_some() {
            return self.closed_for_logout(closed, at, settings);
        }
        // A session that waited to connect does so now. The next link waits for an old one that has not
        // ended.
        if self.phase == Phase::Connecting {
            self.open_link();
        }
    }

    // ---- the stop -------------------------------------------------------------------------------

    /// Stops with the daemon: the link is closed, and nothing is logged out. A logout goes on as far as
    /// there is time.
    pub(super) fn stop(&mut self, at: Moment) {
        self.course = Course::Stopping;
        if self.logout.is_none() {
            self.record_ghosts(at);
            self.close_link();
            self.save();
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.course != Course::Running
    }

    pub(super) fn stop_when_done(&mut self) {
        let busy = match &self.logout {
            Some(logout) => logout.is_busy(),
            None => self.link != LinkState::Closed || self.saving.is_under_way(),
        };
        if self.course == Course::Stopping && !busy {
            self.end(Exit::Stopped);
        }
    }

    /// Begins the time of the pairing anew, for this phone number, or for the one that it had.
    pub(super) fn pair_anew(&mut self, phone: Option<PhoneNumber>, at: Moment) {
        if let Some(pairing) = &mut self.pairing {
            pairing.renew(at.monotonic, phone);
        }
    }
}

/// Whether an earlier version of the daemon wrote a hold for which this one does not wait: it takes these
/// answers for passing ones.
fn is_obsolete(hold: &Hold) -> bool {
    let passes = matches!(
        hold.cause,
        Cause::ClientOutdated | Cause::Refused(Some(429))
    );
    passes && hold.until.is_none()
}
