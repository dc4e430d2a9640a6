//! Faults: what the server does wrong on request, to whom, and how often.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::ending::Failure;

/// A point in the course of a connection at which the server can wait. The connection goes on with
/// everything else meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before the HTTP upgrade is answered.
    Upgrade,
    /// Before the server hello.
    Handshake,
    /// Before `<success>` (or the `<failure>`).
    Login,
    /// Before the QR references are sent.
    Refs,
    /// Before `<pair-success>`.
    PairSuccess,
    /// Between the client's signature and 515.
    Restart,
    /// Before the end of offline delivery is announced.
    Offline,
    /// Before any other request is answered.
    Query,
    /// Before a message of a device's is acknowledged.
    Ack,
}

/// One fault.
#[allow(
    clippy::large_enum_variant,
    reason = "there are a handful of them, and callers should not have to box"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Answer the HTTP upgrade with this status.
    HttpStatus(u16),
    /// Accept the TCP connection and never answer the upgrade.
    NoUpgrade,
    /// Accept the TCP connection and close it at once.
    CloseOnAccept,
    /// Never send a server hello.
    NoServerHello,
    /// Send a server hello that is not one.
    GarbageServerHello,
    /// Close when the client hello arrives.
    CloseOnHello,
    /// Close when an IK client hello arrives; XX goes on working.
    CloseOnIk,
    /// Refuse IK: the client has to fall back to XX.
    RefuseIk,
    /// Close after the handshake, before anything is said.
    CloseAfterHandshake,
    /// Give out this many references instead of the usual six. Zero: none, and silence.
    Refs(usize),
    /// Spoil the HMAC in `<pair-success>`.
    CorruptHmac,
    /// Spoil the account signature in `<pair-success>`.
    CorruptAccountSignature,
    /// Leave the device's JID out of `<pair-success>`.
    NoDevice,
    /// Pair, but never send 515 nor close.
    NoRestart,
    /// Refuse a pair code with this error code, such as 429.
    RefusePairCode(u16),
    /// Close the connection as soon as a pair code was given out.
    CloseAfterPairCode,
    /// Once the phone has scanned or the code is typed: never send `<pair-success>`, nor ask for a passkey. With a
    /// passkey: the same after the ceremony.
    NoPairSuccess,
    /// Ask for a passkey without saying what it has to sign: the client has to fetch that.
    NoPasskeyOptions,
    /// Refuse an assertion of the passkey with this error code, such as 401.
    RefuseAssertion(u16),
    /// Take the assertion of the passkey, and never answer it from the phone.
    NoContinuation,
    /// Answer the assertion of the passkey from the phone with something that is no answer.
    CorruptContinuation,
    /// Refuse the login, or the registration of a client that wants to be linked.
    FailLogin(Failure),
    /// Never answer the login.
    NoSuccess,
    /// Let the login wait this many milliseconds, and conclude it even when its client has given it up meanwhile:
    /// whoever is logged in as the device then gets `<conflict type="replaced"/>`.
    GhostLogin(u64),
    /// Never announce the end of offline delivery.
    NoOffline,
    /// Do not send the app-state keys to a new device.
    NoKeyShare,
    /// Answer nothing after the login, pings included.
    NoAnswers,
    /// Leave requests of this namespace unanswered. While a client is not linked yet: requests with a child of this
    /// name, such as `passkey_prologue`.
    NoAnswerTo(String),
    /// Send the server hello of an IK handshake together with the answer to the login, in one message.
    OneMessage,
    /// Send everything in messages of a few bytes.
    Pieces,
    /// Once the device is online, send nothing that it can decrypt.
    Garble,
    /// Refuse a message with this error code: 463, 475, 479, 421, 404, 503.
    RefuseMessage(u16),
    /// Take a message of a device's and lose it: nobody gets it, and nothing is answered.
    LoseMessage,
    /// Deliver a message of a device's, and never acknowledge it.
    LoseAck,
    /// Whoever gets a message of a device's cannot read it, and asks for it again.
    AskAgain,
    /// Nobody says that a message of a device's was delivered.
    NoDelivered,
    /// Spoil a message to a device: its first copy cannot be read, and what is sent on demand can.
    SpoilMessage,
    /// Send a message to a device twice.
    RepeatMessage,
    /// Answer whoever fetches a file with this HTTP status.
    MediaStatus(u16),
    /// Answer whoever uploads a file with this HTTP status.
    UploadStatus(u16),
    /// Phones do not answer when they are asked to upload a file again.
    NoMediaRetry,
    /// Wait this many milliseconds at a stage.
    Delay {
        /// Where.
        stage: Stage,
        /// How long.
        milliseconds: u64,
    },
}

/// Whom a fault is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every connection.
    #[default]
    Everyone,
    /// One device (its JID), or every device of one phone (its number). It applies from the moment
    /// the server knows who is there: with IK that is the client hello, with XX the end of the
    /// handshake, while pairing the scan or the pair code request.
    Only(String),
}

/// A fault, for whom, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// What to do.
    pub fault: Fault,
    /// To whom.
    #[serde(default)]
    pub target: Target,
    /// How often. None: until cleared.
    #[serde(default)]
    pub times: Option<u32>,
}

impl FaultRule {
    /// Only for this device (JID) or phone (number).
    #[must_use]
    pub fn only(mut self, who: &str) -> Self {
        self.target = Target::Only(who.to_owned());
        self
    }

    /// Only the next `times` times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            target: Target::Everyone,
            times: None,
        }
    }
}

impl FromStr for Fault {
    type Err = Error;

    /// Reads `no-success`, `http-status=503`, `delay=login:500`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such fault or its value does not fit.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::Invalid(format!(
                "{text:?} is not a fault (see `wasim fault --help`)"
            ))
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let json = match (name, value) {
            ("delay", Some(value)) => {
                let (stage, milliseconds) = value.split_once(':').ok_or_else(invalid)?;
                let milliseconds: u64 = milliseconds.parse().map_err(|_| invalid())?;
                let stage = stage.replace('-', "_");
                serde_json::json!({ "delay": { "stage": stage, "milliseconds": milliseconds } })
            }
            ("fail-login", Some(value)) => {
                let reason: u16 = value.parse().map_err(|_| invalid())?;
                return Ok(Self::FailLogin(Failure::reason(reason)));
            }
            ("no-answer-to", Some(value)) => return Ok(Self::NoAnswerTo(value.to_owned())),
            (name, Some(value)) => {
                let number: u64 = value.parse().map_err(|_| invalid())?;
                serde_json::json!({ name.replace('-', "_"): number })
            }
            (name, None) => serde_json::Value::String(name.replace('-', "_")),
        };
        serde_json::from_value(json).map_err(|_| invalid())
    }
}

/// The rules in force, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultRule>,
}

/// The known identity of a connection, for the choice of faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    /// The phone number, once known.
    pub phone: Option<String>,
    /// The device's JID, once known.
    pub device: Option<String>,
}

impl Faults {
    pub(crate) fn add(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// The first fault in force that `wanted` maps to something, counted as used.
    pub(crate) fn take<T>(&mut self, who: &Who, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let found = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.applies_to(who))
            .find_map(|(index, rule)| wanted(&rule.fault).map(|value| (index, value)));
        let (index, value) = found?;
        if let Some(times) = &mut self.rules[index].times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.rules.remove(index);
            }
        }
        Some(value)
    }
}

impl FaultRule {
    fn applies_to(&self, who: &Who) -> bool {
        match &self.target {
            Target::Everyone => self.times != Some(0),
            Target::Only(name) => {
                self.times != Some(0)
                    && (who.device.as_ref() == Some(name) || who.phone.as_ref() == Some(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_people_write_them() {
        let cases = [
            ("no-success", Fault::NoSuccess),
            ("close-on-ik", Fault::CloseOnIk),
            ("http-status=503", Fault::HttpStatus(503)),
            ("refs=2", Fault::Refs(2)),
            ("refuse-assertion=401", Fault::RefuseAssertion(401)),
            ("no-continuation", Fault::NoContinuation),
            ("ghost-login=500", Fault::GhostLogin(500)),
            ("no-answer-to=abt", Fault::NoAnswerTo("abt".to_owned())),
            ("one-message", Fault::OneMessage),
            ("refuse-message=463", Fault::RefuseMessage(463)),
            ("lose-ack", Fault::LoseAck),
            ("media-status=410", Fault::MediaStatus(410)),
            (
                "delay=ack:50",
                Fault::Delay {
                    stage: Stage::Ack,
                    milliseconds: 50,
                },
            ),
            ("fail-login=403", Fault::FailLogin(Failure::reason(403))),
            (
                "delay=pair-success:250",
                Fault::Delay {
                    stage: Stage::PairSuccess,
                    milliseconds: 250,
                },
            ),
        ];
        for (text, fault) in cases {
            assert_eq!(text.parse::<Fault>().unwrap(), fault, "{text}");
        }
        for text in [
            "",
            "nonsense",
            "http-status",
            "http-status=x",
            "no-success=1",
            "delay=1",
            "refs=-1",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_is_for_whom_it_says_and_as_often() {
        let mut faults = Faults::default();
        let jid = "15550001001:1@s.whatsapp.net";
        faults.add(FaultRule::from(Fault::NoSuccess).only(jid).times(2));
        faults.add(FaultRule::from(Fault::NoOffline).only("15550001001"));
        let device = |device: &str| Who {
            phone: Some("15550001001".to_owned()),
            device: Some(device.to_owned()),
        };
        let mut is = |who: &Who, wanted: &Fault| {
            let found = faults.take(who, |fault| (fault == wanted).then_some(()));
            found.is_some()
        };
        let (ours, other) = (device(jid), device("15550001001:2@s.whatsapp.net"));
        assert!(!is(&Who::default(), &Fault::NoSuccess));
        assert!(!is(&other, &Fault::NoSuccess));
        assert!(is(&ours, &Fault::NoSuccess));
        assert!(is(&ours, &Fault::NoSuccess));
        assert!(!is(&ours, &Fault::NoSuccess));
        assert!(is(&other, &Fault::NoOffline) && is(&other, &Fault::NoOffline));
    }
}
