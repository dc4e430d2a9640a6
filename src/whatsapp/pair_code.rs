//! Asking WhatsApp for pair codes, one request at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use whatsapp_rust::Client;
use whatsapp_rust::pair_code::{PairCodeOptions, PairCodeRejection, PairError};
use whatsapp_rust::request::IqError;
use whatsapp_rust::wacore::pair_code::PairCodeUtils;

use super::ending::Ending;
use super::event::{CodeRequest, PairCodeRefused};
use super::scope::Scope;
use super::signal::{Signal, Signals};
use crate::protocol::{Cause, PhoneNumber};

/// The requests of one link for pair codes. Clones are the same.
///
/// The library's own events do not say to which request they belong, so the request itself reports what came of
/// it. A later request ends the one before: the code of that one is for a phone that nobody means any more.
#[derive(Clone)]
pub(super) struct PairCodes {
    signals: Signals,
    /// Ends the last request.
    last: Arc<Mutex<CancellationToken>>,
    /// Held while a request is under way. The next one waits until the one before is dropped, which would
    /// otherwise withdraw the code of its successor.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl PairCodes {
    pub(super) fn new(signals: Signals) -> Self {
        Self {
            signals,
            last: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Asks for a code for this phone. What came of it is sent as a signal, unless another request follows.
    pub(super) fn ask(
        &self,
        client: &Arc<Client>,
        scope: &Scope,
        request: CodeRequest,
        phone: &PhoneNumber,
    ) {
        let own = self.supersede();
        let (client, codes) = (Arc::clone(client), self.clone());
        let options = PairCodeOptions {
            phone_number: phone.digits().to_owned(),
            ..PairCodeOptions::default()
        };
        scope.run(async move {
            let asked = async {
                let _turn = codes.turn.lock().await;
                // The library gives no second code while one is live.
                client.cancel_pair_code().await;
                let began = Instant::now();
                (client.pair_with_code(options).await, began)
            };
            let Some((answer, began)) = own.run_until_cancelled(asked).await else {
                return;
            };
            let signal = match answer {
                // The time of a code begins before WhatsApp is asked for it.
                Ok(code) => Some(Signal::PairCode {
                    request,
                    code: code.into(),
                    valid_for: PairCodeUtils::code_validity().saturating_sub(began.elapsed()),
                }),
                Err(error) => failed(request, &error),
            };
            if let Some(signal) = signal {
                codes.signals.send(signal);
            }
        });
    }

    /// Ends the request before, and returns what ends the next one.
    fn supersede(&self) -> CancellationToken {
        let own = CancellationToken::new();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *last, own.clone()).cancel();
        own
    }
}

/// What it means that a request has brought no code. `None`: nothing that the link does not report by itself.
fn failed(request: CodeRequest, error: &PairError) -> Option<Signal> {
    match error {
        error if error.lost_the_flow_to_another_request() => None,
        // WhatsApp did not refuse it, so it is a trouble of the link, and the next link asks again.
        PairError::RequestFailed(IqError::Timeout) => Some(Signal::Failed(Ending::retry(
            Cause::Stuck,
            "WhatsApp did not answer the request for a pair code in time",
        ))),
        PairError::RequestFailed(failed) if !matches!(failed, IqError::ServerError { .. }) => None,
        refused => {
            let refusal = PairCodeRefused {
                rate_limited: refused
                    .rejection()
                    .is_some_and(PairCodeRejection::is_throttled),
                retry_after: refused.backoff(),
                error: refused.to_string(),
            };
            Some(Signal::PairCodeRefused(request, refusal))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use whatsapp_rust::pair_code::PairCodeError;

    fn server_error(code: u16, text: &str, backoff: Option<u32>) -> PairError {
        PairError::RequestFailed(IqError::ServerError {
            code,
            text: text.to_owned(),
            error_type: None,
            backoff,
        })
    }

    /// Only what WhatsApp says is a refusal. A connection that breaks says so itself.
    #[test]
    fn a_request_without_an_answer_is_not_refused() {
        let request = CodeRequest(7);
        for silent in [
            PairError::RequestFailed(IqError::NotConnected),
            PairError::RequestFailed(IqError::InternalChannelClosed),
            PairError::PairCode(PairCodeError::Cancelled),
        ] {
            assert!(failed(request, &silent).is_none(), "{silent}");
        }
        let timeout = PairError::RequestFailed(IqError::Timeout);
        let Some(Signal::Failed(ending)) = failed(request, &timeout) else {
            panic!("the link goes on");
        };
        assert_eq!(
            ending.verdict,
            Ending::retry(Cause::Stuck, String::new()).verdict
        );
        for (code, text, backoff, rate_limited) in [
            (429, "rate-overlimit", Some(60), true),
            (452, "feature-not-available", None, false),
        ] {
            let error = server_error(code, text, backoff);
            let Some(Signal::PairCodeRefused(CodeRequest(7), why)) = failed(request, &error) else {
                panic!("{error} is a refusal");
            };
            assert_eq!(why.rate_limited, rate_limited, "{error}");
            let wait = backoff.map(|seconds| Duration::from_secs(seconds.into()));
            assert_eq!(why.retry_after, wait);
            assert!(why.error.contains(text), "{}", why.error);
        }
    }

    #[test]
    fn a_request_ends_the_one_before() {
        let (signals, _received) = Signals::channel();
        let codes = PairCodes::new(signals);
        let first = codes.supersede();
        let second = codes.clone().supersede();
        assert!(first.is_cancelled() && !second.is_cancelled());
    }
}
