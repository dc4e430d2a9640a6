//! A WhatsApp Web server on loopback, to rehearse against: no phone, no account at risk.
//!
//! It speaks the protocol that WhatsApp's own server speaks to linked devices: WebSocket, Noise
//! (XX, IK and the fallback) under a certificate chain of its own, binary stanzas, pairing by QR
//! code and by pair code with a simulated phone, the requests a client makes to get online, groups,
//! and every way WhatsApp has of ending a session, on demand.
//!
//! ```no_run
//! # async fn example() -> Result<(), wasim::Error> {
//! use std::time::Duration;
//! use wasim::{Observation, Options, Server};
//!
//! let server = Server::start(Options::default()).await?;
//! // Point a client at server.url(), take the text of the QR code it shows, and:
//! # let qr = "";
//! let device = server.scan(qr, "15550001001").await?;
//! let up = |seen: &Observation| matches!(seen, Observation::Online { jid, .. } if *jid == device);
//! server.wait_for(up, Duration::from_secs(10)).await?;
//! server.unlink(&device).await?;
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A client has to be told to trust [`Server::root_key`], or not to check the server's certificate.
//!
//! # Conversations
//!
//! People talk with the devices: [`Server::say`] lets a contact, or the account's own phone, say something, and
//! [`Server::wait_heard`] waits for what a device sent, as the contact could decrypt it. What is said waits for a device until
//! the device has acknowledged it. Files are served over plain HTTP on the server's own port.
//!
//! ```no_run
//! # async fn example(server: wasim::Server) -> Result<(), wasim::Error> {
//! # use std::time::Duration;
//! let (contact, account) = ("15559990001", "15550001001");
//! server.say_text(contact, account, "are you there?").await?;
//! let answer = server.wait_heard(contact, Duration::from_secs(10)).await?;
//! assert_eq!(answer.content, Some(wasim::Content::text("yes")));
//! # Ok(())
//! # }
//! ```
//!
//! # The control socket
//!
//! The program `wasim serve` takes the same [`Command`]s over a Unix socket, one JSON object a
//! line, and answers each with one line: an [`Answer`], or `{"error": ".."}`.
//!
//! ```text
//! > {"command":"devices"}
//! < {"answer":"devices","devices":[]}
//! > {"command":"scan","qr":"2@..,..","phone":"15550001001"}
//! < {"answer":"linked","device":"15550001001:1@s.whatsapp.net"}
//! > {"command":"unlink","device":"15550001001"}
//! < {"answer":"done"}
//! ```

mod account;
mod app_state;
mod certificate;
mod command;
mod connection;
mod content;
mod control;
mod conversation;
mod crypto;
mod describe;
mod ending;
mod error;
mod execute;
mod fault;
mod frame;
mod group;
mod handshake;
mod hearing;
mod journal;
mod listener;
mod mailbox;
mod media;
mod media_server;
mod noise;
mod observation;
mod options;
mod order;
mod party;
mod passkey;
mod peer;
mod person;
mod qr;
mod received;
mod refusal;
mod retry;
mod saying;
mod server;
mod settings;
mod shared;
mod shorthand;
mod speech;
mod stanza;
mod state;
mod store;
mod thanks;
mod upgrade;
mod vote;
mod wire;
mod world;

pub use command::{Answer, Command, Connection, Device};
pub use content::{Content, MediaKind};
pub use control::Control;
pub use conversation::ChatMessage;
pub use ending::{Failure, StreamError, UnlinkAnswer};
pub use error::Error;
pub use fault::{Fault, FaultRule, Stage, Target};
pub use group::Group;
pub use observation::{Observation, Seen};
pub use options::Options;
pub use person::Addressing;
pub use received::ReceivedStanza;
pub use saying::{Receipt, Saying, Trouble, Typing};
pub use server::Server;
pub use settings::{AppState, ChatLimit, Hosting, Timelock};
pub use stanza::Stanza;
