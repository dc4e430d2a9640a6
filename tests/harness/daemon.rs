//! For the unit tests of the daemon: a daemon without a socket, and clients that reach it through memory.
//! It is a module of the library, because it needs what other crates do not see.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::access::Peer;
use super::allowance::Allowance;
use super::connection::{HangUp, ReadHalf, codec, serve};
use super::source::Source;
use super::state::{About, Daemon};
use crate::blocking::Rooms;
use crate::protocol::codec::Encoding;
use crate::protocol::preface::{Hello, Welcome};
use crate::protocol::{Answer, Command, MAX_FRAME, Message, Reply, Request};
use crate::service::environment::Environment;
use crate::service::logging::FilterHandle;
use crate::service::notify::Notifier;
use crate::store::Store;
use crate::supervisor::Supervisor;
use crate::whatsapp::{Gateway, GatewaySettings};

/// A user like any other.
pub(crate) const SOMEBODY: u32 = 4711;

pub(crate) struct Harness {
    pub(crate) daemon: Daemon,
    pub(crate) stop: CancellationToken,
    pub(crate) config: std::path::PathBuf,
    _directory: TempDir,
}

impl Harness {
    /// Nothing in these tests may reach WhatsApp: where a session connects, the port is closed.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("state")).expect("a store");
        let settings = GatewaySettings {
            endpoint: cfg!(feature = "simulator").then(|| "ws://127.0.0.1:9/ws/chat".to_owned()),
            version: cfg!(feature = "simulator").then_some((2, 3000, 1)),
            ..GatewaySettings::default()
        };
        let gateway = Gateway::new(&settings, &Rooms::new()).expect("a gateway");
        let config = directory.path().join("config.toml");
        std::fs::write(&config, "").expect("a configuration");
        let source = Source::new(Some(&config), &Environment::default());
        let rooms = Rooms::of_the_caller();
        let (in_force, _) = source.load(&rooms).await.expect("an empty configuration");
        let supervisor = Supervisor::start(store, gateway, in_force.config.settings()).await;
        let about = About {
            started_at: Timestamp::now(),
            state_directory: directory.path().to_owned(),
        };
        let daemon = Daemon::new(
            supervisor.expect("a supervisor"),
            in_force,
            source,
            rooms,
            about,
            FilterHandle::detached(),
            Arc::new(Notifier::default()),
        );
        Self {
            daemon,
            stop: CancellationToken::new(),
            config,
            _directory: directory,
        }
    }

    /// The client's end of a connection with so many bytes of room each way.
    pub(crate) fn stream(&self, uid: u32, room: usize) -> (DuplexStream, JoinHandle<()>) {
        self.stream_with(uid, room, Allowance::default(), &CancellationToken::new())
    }

    fn stream_with(
        &self,
        uid: u32,
        room: usize,
        allowance: Allowance,
        gone: &CancellationToken,
    ) -> (DuplexStream, JoinHandle<()>) {
        let (ours, theirs) = tokio::io::duplex(room);
        let peer = Peer {
            uid,
            pid: Some(1),
            groups: [uid].into(),
        };
        let (read, write) = tokio::io::split(theirs);
        let read = Half {
            read,
            gone: gone.clone(),
        };
        let (daemon, stop) = (self.daemon.clone(), self.stop.clone());
        let served = serve(read, write, peer, daemon, allowance, stop);
        (ours, tokio::spawn(served))
    }

    /// A connection, before anything is said.
    pub(crate) fn connect(&self, uid: u32, room: usize) -> Client {
        self.connect_with(uid, room, Allowance::default())
    }

    /// A connection that is allowed so much.
    pub(crate) fn connect_with(&self, uid: u32, room: usize, allowance: Allowance) -> Client {
        let gone = CancellationToken::new();
        let (stream, served) = self.stream_with(uid, room, allowance, &gone);
        Client {
            gone: gone.drop_guard(),
            stream: Framed::new(stream, codec(MAX_FRAME)),
            encoding: Encoding::Bincode,
            served,
        }
    }

    /// A connection that has said hello.
    pub(crate) async fn client(&self, uid: u32, encoding: Encoding) -> Client {
        let mut client = self.connect(uid, 64 * 1024);
        client.say_hello(encoding).await;
        client
    }
}

pub(crate) struct Client {
    pub(crate) stream: Framed<DuplexStream, LengthDelimitedCodec>,
    pub(crate) encoding: Encoding,
    pub(crate) served: JoinHandle<()>,
    /// Dropped, the daemon learns that the client is gone.
    pub(crate) gone: DropGuard,
}

/// The daemon's half of a stream in memory, which tells when the client is gone.
struct Half {
    read: tokio::io::ReadHalf<DuplexStream>,
    gone: CancellationToken,
}

impl AsyncRead for Half {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, into)
    }
}

impl ReadHalf for Half {
    fn hang_up(&self) -> HangUp {
        Box::pin(self.gone.clone().cancelled_owned())
    }
}

impl Client {
    pub(crate) async fn say_hello(&mut self, encoding: Encoding) {
        self.encoding = encoding;
        let client = "test".to_owned();
        let hello = Hello { encoding, client }.to_string();
        self.send_frame(hello.as_bytes()).await;
        assert!(matches!(self.welcome().await, Welcome::Ok(_)));
    }

    pub(crate) async fn send_frame(&mut self, frame: &[u8]) {
        let frame = Bytes::copy_from_slice(frame);
        self.stream.send(frame).await.expect("it is sent");
    }

    /// Bytes as they are, whatever they mean.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let written = self.stream.get_mut().write_all(bytes).await;
        written.expect("it is sent");
    }

    /// Says that nothing more is sent, and reads on.
    pub(crate) async fn close_half(&mut self) {
        let closed = self.stream.get_mut().shutdown().await;
        closed.expect("its half is closed");
    }

    pub(crate) async fn ask(&mut self, id: u64, command: Command) {
        let request = Request { id, command };
        let frame = self.encoding.encode(&request).expect("a request");
        self.send_frame(&frame).await;
    }

    pub(crate) async fn welcome(&mut self) -> Welcome {
        let frame = self.stream.next().await.expect("a frame").expect("a frame");
        Welcome::parse(&frame).expect("a preface")
    }

    /// The next message; `None`: the daemon closed.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        let frame = self.stream.next().await?.expect("a frame");
        Some(self.encoding.decode(&frame).expect("a message"))
    }

    /// The next reply. What a watch tells of its state may stand before it.
    pub(crate) async fn reply(&mut self) -> Reply {
        loop {
            match self.message().await {
                Some(Message::Reply(reply)) => return reply,
                Some(Message::Present(_) | Message::InSync { .. }) => {}
                other => panic!("not a reply: {other:?}"),
            }
        }
    }

    /// Begins a watch, and waits until its state is here.
    pub(crate) async fn watch(&mut self, id: u64, users: &[&str]) {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        self.ask(id, Command::Watch { users, since: None }).await;
        let reply = self.reply().await;
        assert!(matches!(reply.result, Ok(Answer::Watching(_))), "{reply:?}");
        loop {
            match self.message().await {
                Some(Message::InSync { .. }) => return,
                Some(Message::Present(_)) => {}
                other => panic!("not a state: {other:?}"),
            }
        }
    }

    /// What the daemon says last, when it closes for a reason.
    pub(crate) async fn closing(mut self) -> crate::protocol::Failure {
        let failure = match self.message().await {
            Some(Message::Closing(failure)) => failure,
            other => panic!("not a goodbye: {other:?}"),
        };
        assert_eq!(self.message().await, None, "something after the goodbye");
        self.served.await.expect("the connection ended well");
        failure
    }
}
