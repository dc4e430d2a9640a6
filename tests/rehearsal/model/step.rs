//! What can happen: commands, what a phone or WhatsApp does, and what becomes of the daemon.

use wasessiond::client::{Client, ClientError, Disconnected, Options};
use wasessiond::protocol::{Cause, EventKind, FailureCode};
use wasim::{Error, Failure, StreamError};

use super::dice::Dice;
use super::{Sequence, note};

/// Makes the steps, their weights and names from one list.
macro_rules! steps {
    ($($step:ident $weight:literal $name:literal;)*) => {
        /// Something that happens.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Step { $($step),* }

        const WEIGHTS: &[(Step, usize)] = &[$((Step::$step, $weight)),*];

        impl Step {
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$step => $name),* }
            }
        }
    };
}

steps! {
    Connect 24 "connect";
    Scan 24 "scan";
    Disconnect 6 "disconnect";
    ForceLogout 6 "force-logout";
    ForceUnwatched 3 "force-logout, unwatched";
    Unlink 6 "unlinked on the phone";
    Replace 4 "replaced";
    Unavailable 5 "503";
    Drop 6 "connection dropped";
    Ban 2 "402";
    Refuse 3 "connections refused";
    Accept 5 "connections accepted";
    Restart 3 "restart";
    Kill 3 "kill -9";
}

impl Step {
    pub(super) fn pick(dice: &mut Dice) -> Self {
        let all = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut left = dice.below(all);
        for &(step, weight) in WEIGHTS {
            if left < weight {
                return step;
            }
            left -= weight;
        }
        Self::Connect
    }
}

impl Sequence {
    pub(super) async fn take(&mut self, user: usize, step: Step) {
        match step {
            Step::Restart => return self.restart(false).await,
            Step::Kill => return self.restart(true).await,
            Step::Refuse => return self.stage.sim.set_listening(false).await.expect("refuse"),
            Step::Accept => return self.stage.sim.set_listening(true).await.expect("accept"),
            Step::ForceUnwatched => return self.force_unwatched(user).await,
            Step::Scan => return self.scan(user).await,
            _ => {}
        }
        let (person, expectation) = &mut self.users[user];
        let (client, name, sim) = (&person.client, person.user.as_str(), &person.sim);
        let device = expectation.device.clone().unwrap_or_default();
        match step {
            Step::Connect => {
                client.connect_session(name, None).await.expect("connect");
            }
            Step::Disconnect => {
                expectation.may_end(&[Cause::PairingAbandoned]);
                match client.disconnect(name).await {
                    Ok(Disconnected::Kept(_)) => {}
                    Ok(Disconnected::Removed(report)) => {
                        assert_eq!(report.entry.cause, Cause::PairingAbandoned);
                    }
                    Err(e) => not_found(&e),
                }
            }
            Step::ForceLogout => {
                expectation.may_end(&[Cause::ForceLogout]);
                match client.force_logout(name).await {
                    Ok(_) => {
                        // The reply comes after the effects.
                        expectation.agrees(person, &self.log).await;
                        assert_eq!(expectation.device, None, "an answered logout");
                    }
                    Err(e) => not_found(&e),
                }
            }
            // It may be gone already, or not connected.
            Step::Unlink => {
                if sim.unlink(&device).await.is_ok() {
                    expectation.may_end(&[Cause::Unlinked, Cause::LoggedOut]);
                    expectation.must_end();
                }
            }
            Step::Replace => {
                // Whether it is heard is uncertain: something else may end the connection first.
                if reached(sim.replace(&device).await) {
                    expectation.may_end(&[Cause::Replaced]);
                }
            }
            Step::Unavailable => {
                reached(sim.stream_error(&device, StreamError::code(503)).await);
            }
            Step::Drop => {
                reached(sim.drop_connection(&device).await);
            }
            Step::Ban => {
                let ban = Failure::temporary_ban(101, 3600);
                if sim.fail_next_login(&device, ban).await.is_ok() {
                    expectation.may_be_held = true;
                    reached(sim.drop_connection(&device).await);
                }
            }
            _ => unreachable!("it was taken above"),
        }
    }

    /// Somebody who wants to be linked and holds the phone to what is shown.
    async fn scan(&mut self, user: usize) {
        self.users[user].0.connect().await;
        self.quiet(user).await;
        let (person, expectation) = &mut self.users[user];
        let shown = person.client.status(&person.user).await.ok();
        let Some(code) = shown.and_then(|status| status.qr?.code) else {
            return note(&self.log, "   no code is shown".to_owned());
        };
        if let Ok(device) = person.sim.scan(code.reveal(), &person.phone).await {
            while !matches!(person.next().await.kind, EventKind::Paired) {}
            expectation.agrees(person, &self.log).await;
            expectation.linked(device);
        }
    }

    /// Whatever comes next meets it: a kill may come between WhatsApp's answer and the removal.
    async fn force_unwatched(&mut self, user: usize) {
        let (person, expectation) = &mut self.users[user];
        expectation.may_end(&[Cause::ForceLogout, Cause::LoggedOut, Cause::Unlinked]);
        let client = Client::connect(person.socket(), Options::default()).await;
        let (client, name) = (client.expect("join"), person.user.clone());
        self.unwatched.push(tokio::spawn(async move {
            let _ = client.force_logout(&name).await;
        }));
    }
}

fn not_found(error: &ClientError) {
    let code = match error {
        ClientError::Failure(failure) => Some(failure.code),
        _ => None,
    };
    assert_eq!(code, Some(FailureCode::NotFound), "{error}");
}

/// Whether the device was connected.
fn reached(told: Result<(), Error>) -> bool {
    match told {
        Ok(()) => true,
        Err(Error::NoSuchDevice(_) | Error::NotConnected(_)) => false,
        Err(other) => panic!("{other}"),
    }
}
