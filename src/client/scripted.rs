//! For tests: the daemon's end of a connection, following a script, and things for it to say.

use std::path::PathBuf;

use futures_util::{SinkExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, DuplexStream, copy_bidirectional, duplex};
use tokio::net::UnixListener;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::protocol::codec::Encoding;
use crate::protocol::fixtures::{bare_entry, bare_status};
use crate::protocol::preface::{Hello, Welcome};
use crate::protocol::{
    Account, Answer, Cause, Command, Event, EventKind, Failure, HistoryEntry, HistoryPage, Message,
    Phase, Qr, Redacted, Removed, Reply, Request, Status, Watching,
};

use super::{Client, Options};

/// The daemon's end.
pub(crate) struct Daemon {
    frames: Framed<DuplexStream, LengthDelimitedCodec>,
    encoding: Encoding,
}

/// A client that is connected to a scripted daemon.
pub(crate) async fn connected(options: Options) -> (Client, Daemon) {
    let (ours, theirs) = duplex(1 << 16);
    let (client, daemon) = tokio::join!(Client::over(ours, options), Daemon::accept(theirs));
    (client.expect("the preface was answered"), daemon)
}

/// A real socket where daemons listen, one after the other.
pub(crate) struct Host {
    listener: UnixListener,
    directory: TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("s")).expect("a socket");
        Self {
            listener,
            directory,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// The daemon's end of the next connection.
    pub(crate) async fn accept(&self) -> Daemon {
        Daemon::accept(self.stream().await).await
    }

    /// Refuses the next connection, and returns what its client said first.
    pub(crate) async fn refuse(&self, why: &str) -> String {
        let mut frames = Framed::new(self.stream().await, LengthDelimitedCodec::new());
        let hello = frames.next().await.expect("a preface").expect("a frame");
        let refusal = Welcome::Error(why.to_owned()).to_string();
        frames.send(Bytes::from(refusal)).await.expect("sent");
        String::from_utf8(hello.to_vec()).expect("text")
    }

    async fn stream(&self) -> DuplexStream {
        let (mut stream, _) = self.listener.accept().await.expect("a client");
        let (ours, mut theirs) = duplex(1 << 16);
        tokio::spawn(async move {
            // However it ends, it has ended.
            let _ = copy_bidirectional(&mut stream, &mut theirs).await;
        });
        ours
    }
}

impl Daemon {
    pub(crate) async fn accept(stream: DuplexStream) -> Self {
        let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
        let hello = frames.next().await.expect("a preface").expect("a frame");
        let hello = Hello::parse(&hello).expect("a good preface");
        let welcome = Welcome::Ok("wasessiond/9.9".to_owned()).to_string();
        frames.send(Bytes::from(welcome)).await.expect("sent");
        Self {
            frames,
            encoding: hello.encoding,
        }
    }

    /// The next request; `None`: the client is gone.
    pub(crate) async fn request(&mut self) -> Option<Request> {
        let frame = self.frames.next().await?.expect("a frame");
        Some(self.encoding.decode(&frame).expect("a request"))
    }

    /// Waits for this command, and returns its number.
    pub(crate) async fn expect(&mut self, command: &Command) -> u64 {
        let request = self.request().await.expect("a request");
        assert_eq!(&request.command, command);
        request.id
    }

    pub(crate) async fn reply(&mut self, id: u64, result: Result<Answer, Failure>) {
        self.send(&Message::Reply(Reply { id, result })).await;
    }

    /// Waits for a question about the history of everybody, or of this user, and answers it.
    pub(crate) async fn tell_history(&mut self, of: Option<&str>, entries: Vec<HistoryEntry>) {
        let request = self.request().await.expect("a question");
        let Command::History { user, .. } = &request.command else {
            panic!("not about the history: {request:?}");
        };
        assert_eq!(user.as_deref(), of);
        self.reply(request.id, Ok(ended_so_far(entries))).await;
    }

    /// Answers a watch: that it has begun, and its state.
    pub(crate) async fn begin_watch(&mut self, id: u64, picture: Picture) {
        let watching = Watching {
            epoch: 5,
            seq: picture.seq,
            gap: picture.gap,
        };
        self.reply(id, Ok(Answer::Watching(watching))).await;
        self.paint(picture).await;
    }

    /// Tells the client that it fell behind, and the state.
    pub(crate) async fn lagged(&mut self, missed: u64, picture: Picture) {
        self.send(&Message::Lagged { missed }).await;
        self.paint(picture).await;
    }

    async fn paint(&mut self, picture: Picture) {
        for event in picture.replayed {
            self.send(&Message::Replayed(Box::new(event))).await;
        }
        for status in picture.sessions {
            self.send(&Message::Present(Box::new(status))).await;
        }
        self.send(&Message::InSync { seq: picture.seq }).await;
    }

    pub(crate) async fn event(&mut self, event: Event) {
        self.send(&Message::Event(Box::new(event))).await;
    }

    pub(crate) async fn send(&mut self, message: &Message) {
        let frame = self.encoding.encode(message).expect("a message");
        self.raw(frame).await;
    }

    /// Sends a frame with anything in it. Nobody minds when the client has gone.
    pub(crate) async fn raw(&mut self, frame: Vec<u8>) {
        let _ = self.frames.send(Bytes::from(frame)).await;
    }

    /// Sends a JSON object, as a newer daemon may make it: the message, with changes of a newer version.
    pub(crate) async fn newer(&mut self, message: &Message, change: impl FnOnce(&mut Value)) {
        let mut said = serde_json::to_value(message).expect("JSON");
        change(&mut said);
        self.raw(said.to_string().into_bytes()).await;
    }

    /// The encoding of this connection.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Ends the connection.
    pub(crate) async fn close(&mut self) {
        let _ = self.frames.get_mut().shutdown().await;
    }

    /// Takes the framing off: for what is no frame at all.
    pub(crate) fn into_stream(self) -> DuplexStream {
        self.frames.into_inner()
    }
}

/// The time at which every script begins: 2026-11-24 09:12:03 UTC.
pub(crate) fn morning() -> Timestamp {
    "2026-11-24T09:12:03Z".parse().expect("a time")
}

pub(crate) fn after(seconds: i64) -> Timestamp {
    morning() + SignedDuration::from_secs(seconds)
}

pub(crate) fn status(user: &str, phase: Phase) -> Status {
    Status {
        since: morning(),
        next_action: "Nothing to do.".to_owned(),
        owner: 1000,
        ..bare_status(user, phase)
    }
}

pub(crate) fn account() -> Account {
    Account {
        jid: "15550100999:4@s.whatsapp.net".to_owned(),
        phone: "+15550100999".to_owned(),
        name: Some("Alice".to_owned()),
    }
}

pub(crate) fn online(user: &str) -> Status {
    Status {
        account: Some(account()),
        ..status(user, Phase::Online)
    }
}

/// A session with its QR code of this number, of six.
pub(crate) fn with_qr(user: &str, number: u32) -> Status {
    Status {
        qr: Some(Qr {
            code: Some(Redacted::from(format!("2@code-{number},key,key,key"))),
            number,
            remaining: 6 - number,
            expires_at: after(if number == 1 {
                60
            } else {
                40 + 20 * i64::from(number)
            }),
        }),
        next_action: "Scan the QR code.".to_owned(),
        ..status(user, Phase::AwaitingScan)
    }
}

pub(crate) fn entry(user: &str, cause: Cause) -> HistoryEntry {
    HistoryEntry {
        at: morning(),
        account: Some(account()),
        owner: 1000,
        removed: Removed {
            files: 4,
            bytes: 311_296,
            targets: 2,
        },
        ..bare_entry(user, cause)
    }
}

pub(crate) fn event(seq: u64, kind: EventKind, status: Status) -> Event {
    Event {
        seq,
        at: morning(),
        user: status.user.clone(),
        kind,
        status: Some(status),
    }
}

/// The end of a session.
pub(crate) fn ended(seq: u64, entry: HistoryEntry) -> Event {
    Event {
        seq,
        at: morning(),
        user: entry.user.clone(),
        kind: match entry.cause {
            Cause::PairingExpired => EventKind::PairingExpired(Box::new(entry)),
            _ => EventKind::LoggedOut(Box::new(entry)),
        },
        status: None,
    }
}

/// A state as a watch sends it.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) seq: u64,
    pub(crate) sessions: Vec<Status>,
    pub(crate) replayed: Vec<Event>,
    pub(crate) gap: bool,
}

pub(crate) fn picture(seq: u64, sessions: Vec<Status>) -> Picture {
    Picture {
        seq,
        sessions,
        replayed: Vec::new(),
        gap: false,
    }
}

/// All of a history on one page.
pub(crate) fn ended_so_far(entries: Vec<HistoryEntry>) -> Answer {
    Answer::History(HistoryPage {
        entries,
        next: None,
    })
}
