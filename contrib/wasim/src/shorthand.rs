//! A method for each command, for tests.

mod account;
mod chat;

use std::time::Duration;

use crate::command::{Answer, Command, Connection, Device};
use crate::ending::{Failure, StreamError, UnlinkAnswer};
use crate::fault::FaultRule;
use crate::group::Group;
use crate::observation::{Observation, Seen};
use crate::received::ReceivedStanza;
use crate::stanza::Stanza;
use crate::{Error, Server};

impl Server {
    /// The phone `phone` scans the QR code with the text `qr`. Returns the new device's JID once
    /// the client has proved its keys and was told to come back; it is not online yet.
    ///
    /// # Errors
    ///
    /// [`Error::BadQr`], [`Error::BadPhone`], [`Error::CodeExpired`], [`Error::PasskeyNeeded`],
    /// [`Error::Pairing`] or [`Error::ClientGone`].
    pub async fn scan(&self, qr: &str, phone: &str) -> Result<String, Error> {
        let command = Command::Scan {
            qr: qr.to_owned(),
            phone: phone.to_owned(),
        };
        self.linked(command).await
    }

    /// The person types `code` on the phone `phone`. Returns the new device's JID, as
    /// [`scan`](Self::scan) does.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`], [`Error::CodeExpired`] when no client asked to be linked to this phone,
    /// [`Error::WrongCode`], [`Error::PasskeyNeeded`], [`Error::Pairing`] or [`Error::ClientGone`].
    pub async fn link_by_code(&self, phone: &str, code: &str) -> Result<String, Error> {
        let command = Command::Link {
            phone: phone.to_owned(),
            code: code.to_owned(),
        };
        self.linked(command).await
    }

    /// The devices linked to `phone`.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn devices(&self, phone: &str) -> Result<Vec<Device>, Error> {
        match self
            .execute(Command::Devices {
                phone: Some(phone.to_owned()),
            })
            .await?
        {
            Answer::Devices { devices } => Ok(devices),
            _ => Ok(Vec::new()),
        }
    }

    /// The connections there are.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn logins(&self) -> Result<Vec<Connection>, Error> {
        match self.execute(Command::Logins).await? {
            Answer::Logins { connections } => Ok(connections),
            _ => Ok(Vec::new()),
        }
    }

    /// The stanzas that a client has sent on its connection, in order: the latest 256.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`], [`Error::Ambiguous`] or [`Error::NotConnected`].
    pub async fn received(&self, device: &str) -> Result<Vec<ReceivedStanza>, Error> {
        let device = device.to_owned();
        match self.execute(Command::Received { device }).await? {
            Answer::Received { stanzas } => Ok(stanzas),
            _ => Ok(Vec::new()),
        }
    }

    /// What was observed since the call of [`position`](Self::position), with its time, as far as the log reaches.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn observations(&self, position: u64) -> Result<Vec<Seen>, Error> {
        let command = Command::Observations {
            after: position,
            only: Vec::new(),
            device: None,
        };
        match self.execute(command).await? {
            Answer::Observations { observations, .. } => Ok(observations),
            _ => Ok(Vec::new()),
        }
    }

    /// The person removes the device on the phone. When it is connected it gets 401
    /// `device_removed`; otherwise it gets 401 at its next login.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`] or [`Error::Ambiguous`].
    pub async fn unlink(&self, device: &str) -> Result<(), Error> {
        self.done(Command::Unlink {
            device: device.to_owned(),
        })
        .await
    }

    /// Another client takes over: `<conflict type="replaced"/>`, and a close. The device stays
    /// linked.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`], [`Error::Ambiguous`] or [`Error::NotConnected`]; likewise for all
    /// that follow.
    pub async fn replace(&self, device: &str) -> Result<(), Error> {
        self.done(Command::Replace {
            device: device.to_owned(),
        })
        .await
    }

    /// Sends a stream error. The device stays linked.
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace), or [`Error::Invalid`] for children that are no stanzas.
    pub async fn stream_error(&self, device: &str, error: StreamError) -> Result<(), Error> {
        self.done(Command::StreamError {
            device: device.to_owned(),
            error,
        })
        .await
    }

    /// Sends `<xmlstreamend/>` and closes, or leaves the socket open.
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace).
    pub async fn end_stream(&self, device: &str, keep_open: bool) -> Result<(), Error> {
        self.done(Command::EndStream {
            device: device.to_owned(),
            keep_open,
        })
        .await
    }

    /// Closes the WebSocket with a close frame.
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace).
    pub async fn close(&self, device: &str) -> Result<(), Error> {
        self.done(Command::Close {
            device: device.to_owned(),
        })
        .await
    }

    /// Closes the TCP connection (FIN) without a WebSocket close.
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace).
    pub async fn drop_connection(&self, device: &str) -> Result<(), Error> {
        self.done(Command::Drop {
            device: device.to_owned(),
        })
        .await
    }

    /// Resets the TCP connection (RST).
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace).
    pub async fn reset(&self, device: &str) -> Result<(), Error> {
        self.done(Command::Reset {
            device: device.to_owned(),
        })
        .await
    }

    /// Stops reading and writing, and keeps the socket open.
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace).
    pub async fn freeze(&self, device: &str) -> Result<(), Error> {
        self.done(Command::Freeze {
            device: device.to_owned(),
        })
        .await
    }

    /// Goes on reading and answers nothing, pings included.
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace).
    pub async fn hang(&self, device: &str) -> Result<(), Error> {
        self.done(Command::Hang {
            device: device.to_owned(),
        })
        .await
    }

    /// Undoes [`freeze`](Self::freeze) and [`hang`](Self::hang).
    ///
    /// # Errors
    ///
    /// As for [`replace`](Self::replace).
    pub async fn resume(&self, device: &str) -> Result<(), Error> {
        self.done(Command::Resume {
            device: device.to_owned(),
        })
        .await
    }

    /// Sends any stanza.
    ///
    /// # Errors
    ///
    /// As for [`stream_error`](Self::stream_error).
    pub async fn send_raw(&self, device: &str, stanza: Stanza) -> Result<(), Error> {
        self.done(Command::SendRaw {
            device: device.to_owned(),
            stanza,
        })
        .await
    }

    /// Refuses the device's next login with `<failure>`.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`] or [`Error::Ambiguous`].
    pub async fn fail_next_login(&self, device: &str, failure: Failure) -> Result<(), Error> {
        self.done(Command::FailNext {
            device: device.to_owned(),
            failure,
        })
        .await
    }

    /// Adds a fault.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn set_fault(&self, rule: impl Into<FaultRule>) -> Result<(), Error> {
        self.done(Command::SetFault { rule: rule.into() }).await
    }

    /// Adds several faults.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn set_faults<R: Into<FaultRule>>(
        &self,
        rules: impl IntoIterator<Item = R>,
    ) -> Result<(), Error> {
        for rule in rules {
            self.set_fault(rule).await?;
        }
        Ok(())
    }

    /// Removes every fault.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn clear_faults(&self) -> Result<(), Error> {
        self.done(Command::ClearFaults).await
    }

    /// Sets the groups that `phone` is in.
    ///
    /// # Errors
    ///
    /// [`Error::BadPhone`], or [`Error::Invalid`] for a JID that is not a group's.
    pub async fn set_groups(&self, phone: &str, groups: Vec<Group>) -> Result<(), Error> {
        self.done(Command::SetGroups {
            phone: phone.to_owned(),
            groups,
        })
        .await
    }

    /// How requests to be unlinked are answered: those of one device or phone, or everyone's.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn on_unlink(&self, device: Option<&str>, answer: UnlinkAnswer) -> Result<(), Error> {
        self.done(Command::OnUnlink {
            device: device.map(str::to_owned),
            answer,
            times: None,
        })
        .await
    }

    /// How the next `times` requests to be unlinked are answered: those of one device, phone or connection, or
    /// everyone's. Afterwards it is again as it was.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn on_next_unlinks(
        &self,
        device: Option<&str>,
        answer: UnlinkAnswer,
        times: u32,
    ) -> Result<(), Error> {
        self.done(Command::OnUnlink {
            device: device.map(str::to_owned),
            answer,
            times: Some(times),
        })
        .await
    }

    /// Refuses TCP connections from now on, or accepts them again on the same port. Connections
    /// there are stay.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] when the port was taken meanwhile.
    pub async fn set_listening(&self, listening: bool) -> Result<(), Error> {
        self.done(Command::SetListening { listening }).await
    }

    /// Waits until the device is up: logged in, and told that nothing is waiting for it. Like
    /// [`wait_for`](Self::wait_for), each time it was is returned once.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`].
    pub async fn wait_online(&self, jid: &str, deadline: Duration) -> Result<(), Error> {
        let up =
            |seen: &Observation| matches!(seen, Observation::Online { jid: who, .. } if who == jid);
        self.wait_for(up, deadline).await.map(drop)
    }

    async fn done(&self, command: Command) -> Result<(), Error> {
        self.execute(command).await.map(drop)
    }

    async fn linked(&self, command: Command) -> Result<String, Error> {
        match self.execute(command).await? {
            Answer::Linked { device } => Ok(device),
            Answer::PasskeyNeeded { connection } => Err(Error::PasskeyNeeded { connection }),
            other => Err(Error::Pairing(format!("unexpected answer {other:?}"))),
        }
    }
}
