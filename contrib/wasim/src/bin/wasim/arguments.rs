//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use wasim::{Failure, UnlinkAnswer};

use crate::account::AccountVerb;
use crate::chat::ChatVerb;

/// A WhatsApp Web server on this machine, to rehearse against
///
/// Start it with `wasim serve`; the other commands act as the phone, or as WhatsApp, on the running
/// server. JID is a device's JID, the number of a phone with exactly one device, or #N for a
/// connection (see `logins`).
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The control socket
    #[arg(long, global = true, value_name = "SOCKET")]
    pub control: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the server until it is interrupted
    Serve {
        /// Where to listen: a loopback address
        #[arg(long, default_value = "127.0.0.1:8430")]
        listen: SocketAddr,
        /// File that keeps keys, accounts, devices and what waits for them over restarts
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
    },
    /// Scan a QR code with a phone
    Scan {
        /// The text of the code, or - to read it from standard input
        qr: String,
        /// The phone's number
        #[arg(long, default_value = "15550001001")]
        phone: String,
    },
    /// Type on a phone the code that a client shows
    Link {
        /// The phone's number
        phone: String,
        /// The code
        code: String,
    },
    /// List linked devices
    Devices {
        /// Only those of this phone
        phone: Option<String>,
    },
    /// List connections
    Logins,
    /// List the stanzas that a client has sent on its connection
    Received(Which),
    /// List what was observed, oldest first, a JSON object a line
    Observations {
        /// From this position on
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        after: u64,
        /// Only these, such as login or presence
        #[arg(long, value_name = "NAME", num_args = 1..)]
        only: Vec<String>,
        /// Only those about this device (JID) or phone (number)
        #[arg(long, value_name = "JID|PHONE")]
        device: Option<String>,
    },
    /// Remove a device, as on the phone
    Unlink(Which),
    /// Let another client take a device's place
    Replace(Which),
    /// Send a stream error, then close
    StreamError {
        #[command(flatten)]
        which: Which,
        /// The code
        #[arg(long)]
        code: Option<String>,
        /// Add <conflict type="..">
        #[arg(long, value_name = "TYPE")]
        conflict: Option<String>,
        /// Add a child, as JSON or as a bare tag
        #[arg(long, value_name = "JSON|TAG")]
        child: Vec<String>,
        /// Send <xmlstreamend/> after it
        #[arg(long)]
        end_stream: bool,
        /// Leave the socket open
        #[arg(long)]
        keep_open: bool,
    },
    /// Send <xmlstreamend/>, then close
    EndStream {
        #[command(flatten)]
        which: Which,
        /// Leave the socket open
        #[arg(long)]
        keep_open: bool,
    },
    /// Close the WebSocket
    Close(Which),
    /// Close the TCP connection (FIN)
    Drop(Which),
    /// Reset the TCP connection (RST)
    Reset(Which),
    /// Stop reading and writing, socket open
    Freeze(Which),
    /// Read on and answer nothing
    Hang(Which),
    /// Undo freeze and hang
    Resume(Which),
    /// Send any stanza
    Raw {
        #[command(flatten)]
        which: Which,
        /// {"tag": "..", "attrs": {..}, "children": [..], "text": ".."}
        stanza: String,
    },
    /// Give a client that shows a QR code new references
    RenewRefs(Which),
    /// Tell a client that shows a pair code to show another one
    RefreshCode {
        #[command(flatten)]
        which: Which,
        /// Only when the person asks for it
        #[arg(long)]
        force_manual: bool,
    },
    /// Retire the secret in the QR code that a client shows
    RefreshRegistration(Which),
    /// Refuse a device's next login
    FailNext {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        failure: FailureArguments,
    },
    /// Do something wrong
    ///
    /// Faults: http-status=N no-upgrade close-on-accept no-server-hello garbage-server-hello
    /// close-on-hello close-on-ik refuse-ik close-after-handshake refs=N corrupt-hmac
    /// corrupt-account-signature no-device no-restart refuse-pair-code=N close-after-pair-code
    /// no-pair-success no-passkey-options refuse-assertion=N no-continuation corrupt-continuation
    /// fail-login=N no-success ghost-login=MILLISECONDS no-offline no-key-share no-answers no-answer-to=NAMESPACE one-message pieces garble
    /// refuse-message=N lose-message lose-ack ask-again no-delivered spoil-message repeat-message media-status=N
    /// upload-status=N no-media-retry
    /// delay=STAGE:MILLISECONDS (stages: upgrade handshake login refs pair-success restart offline
    /// query ack)
    Fault {
        /// What
        fault: String,
        /// Only to this device (JID) or phone (number)
        #[arg(long, value_name = "JID|PHONE")]
        device: Option<String>,
        /// How often; otherwise until cleared
        #[arg(long, value_name = "N")]
        times: Option<u32>,
    },
    /// List the faults in force
    Faults,
    /// Do nothing wrong any more
    ClearFaults,
    /// List a phone's groups, or change them
    Groups {
        /// The phone's number
        phone: String,
        /// Leave all groups first
        #[arg(long)]
        clear: bool,
        /// Join a new group of this name
        #[arg(long, value_name = "SUBJECT", num_args = 1..)]
        add: Vec<String>,
        /// With these people in it, besides the owner
        #[arg(long, value_name = "PHONE", requires = "add")]
        member: Vec<String>,
        /// With people named by their hidden numbers
        #[arg(long, requires = "add")]
        lid: bool,
    },
    /// Change the name a phone shows to others
    PushName {
        /// The phone's number
        phone: String,
        /// The name
        name: String,
    },
    #[command(flatten)]
    Account(AccountVerb),
    #[command(flatten)]
    Chat(ChatVerb),
    /// How requests to be unlinked are answered
    ///
    /// result, conflict-only, result-then-conflict (as WhatsApp does), refuse=CODE, ignore, close-socket,
    /// reset-socket, freeze, or lose-result (the device is removed and the answer is lost)
    UnlinkAnswer {
        /// How
        #[arg(value_parser = unlink_answer)]
        answer: UnlinkAnswer,
        /// Only those of this device (JID) or phone (number), or on this connection (#N)
        #[arg(long, value_name = "JID|PHONE|#N")]
        device: Option<String>,
        /// Only the next ones, so many
        #[arg(long, value_name = "N")]
        times: Option<u32>,
    },
    /// Accept TCP connections, or refuse them
    Listen {
        /// on or off
        #[arg(value_parser = switch, action = clap::ArgAction::Set)]
        switch: bool,
    },
    /// Say where the server is and what signs its certificate
    Info,
}

/// A device or connection.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// A device's JID, the number of a phone with one device, or #N for a connection
    #[arg(value_name = "JID")]
    pub device: String,
}

/// What a refused login is told.
#[derive(Args, Debug)]
pub struct FailureArguments {
    /// The reason, such as 401 or 403
    #[arg(long)]
    reason: Option<u16>,
    /// Which data centre refuses; empty: it does not say
    #[arg(long, default_value = "odn")]
    location: String,
    /// The kind of a temporary ban
    #[arg(long)]
    code: Option<u32>,
    /// Seconds until a temporary ban is over
    #[arg(long)]
    expire: Option<u64>,
    /// Text for a person
    #[arg(long)]
    message: Option<String>,
    /// Where to read more
    #[arg(long)]
    url: Option<String>,
    /// The one-time token of a locked account
    #[arg(long)]
    appeal_token: Option<String>,
    /// Headline of what WhatsApp shows for a locked account
    #[arg(long)]
    logout_header: Option<String>,
    /// The rest of it
    #[arg(long)]
    logout_subtext: Option<String>,
}

impl From<FailureArguments> for Failure {
    fn from(arguments: FailureArguments) -> Self {
        Self {
            reason: arguments.reason,
            location: Some(arguments.location).filter(|location| !location.is_empty()),
            code: arguments.code,
            expire: arguments.expire,
            message: arguments.message,
            url: arguments.url,
            appeal_token: arguments.appeal_token,
            logout_message_header: arguments.logout_header,
            logout_message_subtext: arguments.logout_subtext,
            ..Self::default()
        }
    }
}

fn unlink_answer(text: &str) -> Result<UnlinkAnswer, String> {
    Ok(match text {
        "result" => UnlinkAnswer::Result,
        "conflict-only" => UnlinkAnswer::ConflictOnly,
        "result-then-conflict" => UnlinkAnswer::ResultThenConflict,
        "ignore" => UnlinkAnswer::Ignore,
        "close-socket" => UnlinkAnswer::CloseSocket,
        "reset-socket" => UnlinkAnswer::ResetSocket,
        "freeze" => UnlinkAnswer::Freeze,
        "lose-result" => UnlinkAnswer::LoseResult,
        other => {
            let code = other
                .strip_prefix("refuse=")
                .and_then(|code| code.parse().ok());
            UnlinkAnswer::Refuse(code.ok_or(
                "result, conflict-only, result-then-conflict, refuse=CODE, ignore, close-socket, reset-socket, \
                 freeze or lose-result",
            )?)
        }
    })
}

pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_refused_login_names_a_data_centre_unless_told_otherwise() {
        let location = |more: &[&str]| {
            let words = ["wasim", "fail-next", "15550001001", "--reason", "403"];
            let words = words.iter().chain(more);
            let Verb::FailNext { failure, .. } = Arguments::try_parse_from(words).unwrap().verb
            else {
                panic!("another verb");
            };
            Failure::from(failure).location
        };
        assert_eq!(location(&[]).as_deref(), Some("odn"));
        assert_eq!(location(&["--location", "rva"]).as_deref(), Some("rva"));
        assert_eq!(location(&["--location", ""]), None);
    }

    #[test]
    fn unlink_answers_are_read() {
        assert_eq!(unlink_answer("refuse=500"), Ok(UnlinkAnswer::Refuse(500)));
        assert_eq!(unlink_answer("result"), Ok(UnlinkAnswer::Result));
        assert!(unlink_answer("refuse").is_err());
    }
}
