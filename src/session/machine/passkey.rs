//! A pairing for which WhatsApp wants a passkey.
//!
//! The challenge comes through the link, a client fetches it and hands in the answer, WhatsApp and the phone
//! check that, and a person compares two codes. What is handed in goes through the link; its result is an
//! input. A link that ends takes the whole with it: WhatsApp binds it to the connection.

use super::super::pairing::PasskeyWanted;
use super::super::passkey::PasskeyInput;
use super::super::settings::Settings;
use super::answers::passkey_failure;
use super::{Answer, Effect, Machine, Moment, Request};
use crate::protocol::{
    Cause, EventKind, Failure, FailureCode, PasskeyChallenge, PasskeyStep, Phase, Redacted, Unlink,
};
use crate::whatsapp::{AskError, PasskeyEvent};

impl Machine {
    /// The passkey that WhatsApp wants over the present link.
    pub(in crate::session) fn passkey(&self) -> Option<&PasskeyWanted> {
        self.pairing.as_ref()?.passkey.as_ref()
    }

    fn passkey_mut(&mut self) -> Option<&mut PasskeyWanted> {
        self.pairing.as_mut()?.passkey.as_mut()
    }

    // ---- what the link reports ------------------------------------------------------------------

    pub(super) fn passkey_event(&mut self, event: PasskeyEvent, at: Moment, settings: &Settings) {
        match event {
            PasskeyEvent::Announced | PasskeyEvent::Challenge(_) if self.is_answered() => {
                let why = "WhatsApp wants another answer of the passkey";
                self.passkey_anew(why.to_owned(), at, settings);
            }
            PasskeyEvent::Announced => self.passkey_wanted(None, at),
            PasskeyEvent::Challenge(challenge) => self.passkey_wanted(Some(challenge), at),
            PasskeyEvent::Confirm { code, skip } => self.passkey_code(code, skip),
            PasskeyEvent::Failed(why) => self.passkey_failed(&why, at, settings),
        }
    }

    /// Whether WhatsApp has taken an answer over the present link.
    fn is_answered(&self) -> bool {
        self.passkey().is_some_and(|passkey| passkey.is_answered)
    }

    /// WhatsApp wants a passkey. The QR code or the pair code has been used, so none is shown any more.
    fn passkey_wanted(&mut self, challenge: Option<Redacted>, at: Moment) {
        let Some(pairing) = &mut self.pairing else {
            return;
        };
        pairing.trouble_has_passed();
        let passkey = pairing
            .passkey
            .get_or_insert_with(|| PasskeyWanted::new(at.now, at.monotonic));
        passkey.step = match &challenge {
            Some(_) => PasskeyStep::Challenge,
            None => PasskeyStep::Announced,
        };
        passkey.challenge = challenge;
        passkey.code = None;
        let phase = if pairing.is_by_code() {
            Phase::AwaitingCode
        } else {
            Phase::AwaitingScan
        };
        if self.phase != phase {
            self.enter(phase, at);
        }
        self.qr = None;
        self.pair_code = None;
        self.error = None;
        self.reason = Some(Cause::PasskeyRequired);
        self.publish(EventKind::Passkey);
    }

    /// The phone has answered. A person compares the codes, unless WhatsApp has proof enough.
    fn passkey_code(&mut self, code: Redacted, skip: bool) {
        let Some(passkey) = self.passkey_mut() else {
            return;
        };
        passkey.is_answered = true;
        if skip {
            passkey.step = PasskeyStep::Linking;
            self.effects.push(Effect::ConfirmPasskey(None));
        } else {
            passkey.step = PasskeyStep::Confirmation;
            passkey.code = Some(code);
        }
        self.publish(EventKind::Passkey);
    }

    /// It failed on the way. The challenge may be answered again while there is time, unless WhatsApp has
    /// taken an answer to it already.
    fn passkey_failed(&mut self, why: &str, at: Moment, settings: &Settings) {
        let why = format!("the passkey was not accepted: {why}");
        if self.is_answered() {
            return self.passkey_anew(why, at, settings);
        }
        let Some(passkey) = self.passkey_mut() else {
            return;
        };
        passkey.step = if passkey.challenge.is_some() {
            PasskeyStep::Challenge
        } else {
            PasskeyStep::Announced
        };
        passkey.code = None;
        self.note_trouble(Cause::PasskeyRequired, &why);
        self.error = Some(why);
        self.publish(EventKind::Passkey);
    }

    /// Begins the pairing anew, over a new link and with a new code: the library carries one answer of a
    /// passkey over a link and refuses every other one, and WhatsApp has taken that one.
    fn passkey_anew(&mut self, why: String, at: Moment, settings: &Settings) {
        let may = self
            .pairing
            .as_mut()
            .is_some_and(|p| p.begin_anew(at.monotonic));
        if !may {
            return self.passkey_lost(why, at, settings);
        }
        self.note_trouble(Cause::PasskeyRequired, &why);
        self.error = Some(format!(
            "{why}. A connection carries one answer only, so the pairing begins anew: scan or enter the new code"
        ));
        self.close_link();
        self.connect(at);
        // What comes of them belongs to the link before.
        let waiting = std::mem::take(&mut self.waiting.passkey);
        self.answer_status(waiting);
    }

    /// The end of a pairing that needed a passkey, because its link ended.
    pub(super) fn passkey_lost(&mut self, why: String, at: Moment, settings: &Settings) {
        self.log_out(
            Cause::PasskeyRequired,
            None,
            Unlink::NotLinked,
            at,
            settings,
        );
        self.said(Some(why), None);
    }

    // ---- what a client asks ---------------------------------------------------------------------

    /// Does a step. Only step `challenge` hands the challenge out: in a later one it is answered already.
    pub(super) fn passkey_asked(&mut self, request: Request, input: PasskeyInput, at: Moment) {
        let due = self.passkey().filter(|_| self.has_link());
        let due = due.map(|passkey| passkey.step);
        match (input, due) {
            (PasskeyInput::Challenge, Some(PasskeyStep::Challenge)) => self.tell_challenge(request),
            (PasskeyInput::Assert(assertion), Some(PasskeyStep::Challenge)) => {
                self.touch(at);
                self.passkey_goes_on(PasskeyStep::Checking);
                self.waiting.passkey.push(request);
                self.effects.push(Effect::AnswerPasskey(request, assertion));
            }
            (PasskeyInput::Confirm, Some(PasskeyStep::Confirmation)) => {
                self.touch(at);
                self.passkey_goes_on(PasskeyStep::Linking);
                self.waiting.passkey.push(request);
                self.effects.push(Effect::ConfirmPasskey(Some(request)));
            }
            _ => {
                let failure = self.not_awaited();
                self.refuse([request], &failure);
            }
        }
    }

    fn tell_challenge(&mut self, request: Request) {
        let Some((Some(options), expires_at)) = self
            .passkey()
            .map(|passkey| (passkey.challenge.clone(), passkey.expires_at))
        else {
            let failure = self.not_awaited();
            return self.refuse([request], &failure);
        };
        let challenge = PasskeyChallenge {
            options,
            expires_at,
        };
        self.answer(request, Answer::Passkey(Box::new(challenge)));
    }

    fn passkey_goes_on(&mut self, step: PasskeyStep) {
        if let Some(passkey) = self.passkey_mut() {
            passkey.step = step;
            passkey.code = None;
            self.error = None;
            self.publish(EventKind::Passkey);
        }
    }

    /// Takes the result of [`Effect::AnswerPasskey`] and of [`Effect::ConfirmPasskey`].
    pub(super) fn passkey_answered(
        &mut self,
        request: Option<Request>,
        result: Result<(), AskError>,
        at: Moment,
        settings: &Settings,
    ) {
        let waits = request.is_some_and(|request| self.waiting.passkey.contains(&request));
        self.waiting
            .passkey
            .retain(|waiting| Some(*waiting) != request);
        let step = self.passkey().map(|passkey| passkey.step);
        let waited = (waits || request.is_none())
            && matches!(step, Some(PasskeyStep::Checking | PasskeyStep::Linking));
        let Err(error) = result else {
            if waits {
                self.passkey_taken(step, at, settings);
                self.answer_status(request);
            }
            return;
        };
        let failure = passkey_failure(&self.user, &error);
        // Without an answer nobody knows whether WhatsApp has taken it.
        if error == AskError::Timeout
            && waited
            && let Some(passkey) = self.passkey_mut()
        {
            passkey.is_answered = true;
        }
        if waited {
            self.passkey_failed(&error.to_string(), at, settings);
        }
        if waits {
            self.refuse(request, &failure);
        }
    }

    /// WhatsApp has taken what was handed in.
    fn passkey_taken(&mut self, step: Option<PasskeyStep>, at: Moment, settings: &Settings) {
        if let Some(passkey) = self.passkey_mut() {
            passkey.is_answered = true;
        }
        // Another challenge, or a failure, came before this.
        if matches!(step, Some(PasskeyStep::Announced | PasskeyStep::Challenge)) {
            let why = "WhatsApp wants another answer of the passkey";
            self.passkey_anew(why.to_owned(), at, settings);
        }
    }

    /// Why a step of a passkey is not due now.
    fn not_awaited(&self) -> Failure {
        let status = self.status();
        let user = &self.user;
        let message = match self.passkey().map(|passkey| passkey.step) {
            None => format!(
                "WhatsApp wants no passkey for the session of {user} now ({}). {}",
                status.phase, status.next_action
            ),
            Some(step) => format!(
                "this is not the step that the pairing of {user} waits for ({step}). {}",
                status.next_action
            ),
        };
        Failure::new(FailureCode::NotAwaited, message)
    }
}
