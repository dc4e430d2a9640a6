//! Errors, for callers of the library and of the control socket.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why the server could not start, or could not carry out a command.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The address to listen on can be reached from another machine.
    #[error("{0} is not a loopback address: wasim serves this machine only")]
    NotLoopback(SocketAddr),
    /// The address could not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The state file is there and cannot be read, or was written by a newer version.
    #[error("state file {path}: {message}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The control socket could not be made, reached or understood.
    #[error("control socket {path}: {message}")]
    Control {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// No device, phone or connection goes by this name.
    #[error("{0}: no such device (see `devices` and `logins`)")]
    NoSuchDevice(String),
    /// A phone number was given for a device, and the phone has not exactly one.
    #[error("{phone} has {count} linked devices: name one by its JID")]
    Ambiguous {
        /// The phone.
        phone: String,
        /// How many devices it has.
        count: usize,
    },
    /// The device is linked and has no connection now.
    #[error("{0} is not connected")]
    NotConnected(String),
    /// The text is not what a client puts in a QR code.
    #[error("not a WhatsApp QR code: {0}")]
    BadQr(String),
    /// Not a phone number: digits only, with the country code.
    #[error("{0:?} is not a phone number (7 to 15 digits, with the country code)")]
    BadPhone(String),
    /// The code has been used, has been replaced, or belongs to a connection that is gone.
    #[error("this code is not valid any more: no waiting client shows it")]
    CodeExpired,
    /// The typed code is not the one the client shows.
    #[error("wrong code: the client answered with something this code cannot open")]
    WrongCode,
    /// The account wants the owner's passkey: the pairing goes on between the client and WhatsApp.
    #[error(
        "the account needs its owner's passkey: the pairing goes on on connection #{connection}"
    )]
    PasskeyNeeded {
        /// The connection of the client.
        connection: u64,
    },
    /// The client refused to be paired, or proved the wrong keys.
    #[error("pairing failed: {0}")]
    Pairing(String),
    /// No message that fits has this id.
    #[error("{0}: no such message (see `messages`)")]
    NoSuchMessage(String),
    /// The file of a message could not be fetched or opened.
    #[error("the file of {id} cannot be read: {problem}")]
    BadMedia {
        /// The message.
        id: String,
        /// Why not.
        problem: String,
    },
    /// A stanza or fault could not be built from what was given.
    #[error("invalid: {0}")]
    Invalid(String),
    /// Nothing fitting was observed in time.
    #[error("nothing fitting was observed within {0:?}")]
    Deadline(Duration),
    /// The client went away, or did not answer in time.
    #[error("the client went away before it answered")]
    ClientGone,
    /// The server has been shut down.
    #[error("the server has been shut down")]
    Stopped,
    /// What another process answered over the control socket.
    #[error("{0}")]
    Remote(String),
}
