//! One connection: the preface, and requests with their replies.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::protocol::codec::Encoding;
use crate::protocol::preface::{
    BINCODE_REVISION, Hello, MAX_LEN, PrefaceError, Welcome, spoken_revision,
};
use crate::protocol::{Answer, Command, MAX_FRAME, Request};

use super::feed::Feed;
use super::router::Router;
use super::{ClientError, Options};

/// A connection to the daemon. Clones share it; it closes with the last of them and of its watches.
#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
}

type Writer = FramedWrite<Box<dyn AsyncWrite + Send + Unpin>, LengthDelimitedCodec>;

struct Connection {
    server: String,
    options: Options,
    /// What is spoken on this connection; the options say what was asked for.
    encoding: Encoding,
    /// The socket, where it is one that can be connected to again.
    path: Option<PathBuf>,
    router: Arc<Router>,
    /// Each request writes for itself. A daemon that does not read makes requests wait, and nothing else.
    writer: Mutex<Writer>,
    _reader: AbortOnDropHandle<()>,
}

/// The pause between two attempts when the daemon's queue is full: nothing says when there is room.
const QUEUE_IS_FULL: Duration = Duration::from_millis(10);

/// Connects. When other clients have filled the daemon's queue, it tries again.
async fn open_socket(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_IS_FULL).await,
            result => return result,
        }
    }
}

impl Client {
    /// Connects to the daemon at this socket; see [`socket_path`](super::socket_path). A daemon that
    /// speaks another revision of bincode is connected to again, in JSON.
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`], and what [`Client::over`] says.
    pub async fn connect(path: &Path, options: Options) -> Result<Self, ClientError> {
        let deadline = options.connect_timeout;
        let connecting = async {
            match Self::connect_in(options.encoding, path, options.clone()).await {
                Err(ClientError::OtherRevision(revision)) => {
                    debug!(
                        "the daemon at {} speaks revision {revision} of bincode, and this client \
                         {BINCODE_REVISION}: they speak JSON",
                        path.display()
                    );
                    Self::connect_in(Encoding::Json, path, options).await
                }
                result => result,
            }
        };
        match timeout(deadline, connecting).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout(deadline)),
        }
    }

    async fn connect_in(
        encoding: Encoding,
        path: &Path,
        options: Options,
    ) -> Result<Self, ClientError> {
        let stream = open_socket(path)
            .await
            .map_err(|source| ClientError::NoDaemon {
                path: path.to_owned(),
                source,
            })?;
        Self::begin(stream, encoding, options, Some(path.to_owned())).await
    }

    /// Talks to a daemon over a stream that is already there.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::VersionMismatch`], [`ClientError::OtherRevision`],
    /// [`ClientError::Protocol`] by what the other end says first; [`ClientError::Closed`],
    /// [`ClientError::Timeout`] when it says nothing.
    pub async fn over<S>(stream: S, options: Options) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        Self::begin(stream, options.encoding, options, None).await
    }

    /// Another connection to where this one went.
    pub(crate) async fn connect_again(&self) -> Result<Self, ClientError> {
        let Connection { path, options, .. } = &*self.connection;
        match path {
            Some(path) => Self::connect(path, options.clone()).await,
            None => Err(ClientError::Closed(None)),
        }
    }

    pub(crate) fn can_connect_again(&self) -> bool {
        self.connection.path.is_some()
    }

    async fn begin<S>(
        stream: S,
        encoding: Encoding,
        options: Options,
        path: Option<PathBuf>,
    ) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reader, writer) = tokio::io::split(stream);
        let mut frames = FramedRead::new(reader, codec());
        let mut writer = FramedWrite::new(boxed(writer), codec());

        let preface = preface(&mut frames, &mut writer, encoding, &options.name);
        let server = match timeout(options.connect_timeout, preface).await {
            Ok(server) => server?,
            Err(_) => return Err(ClientError::Timeout(options.connect_timeout)),
        };

        let router = Arc::new(Router::default());
        let reader = tokio::spawn({
            let router = Arc::clone(&router);
            async move { router.run(frames, encoding).await }
        });
        Ok(Self {
            connection: Arc::new(Connection {
                server,
                options,
                encoding,
                path,
                router,
                writer: Mutex::new(writer),
                _reader: AbortOnDropHandle::new(reader),
            }),
        })
    }

    /// What the daemon calls itself: `wasessiond/<version>`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.connection.server
    }

    /// The encoding that is spoken: the one of the [`Options`], or JSON where the daemon speaks another
    /// revision of bincode.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.connection.encoding
    }

    /// Whether anything was answered on this connection. If not, and it ended with
    /// [`FailureCode::Stopping`](crate::protocol::FailureCode::Stopping), the daemon has begun nothing
    /// of what was asked: it can all be asked again.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        self.connection.router.was_answered()
    }

    /// Sends a command and waits for its answer. There is a method for each command; a watch must be
    /// begun with [`Client::watch`], or its events are thrown away.
    ///
    /// # Errors
    /// [`ClientError::Failure`] when the daemon says no; otherwise what is wrong with the connection.
    pub async fn request(&self, command: Command) -> Result<Answer, ClientError> {
        self.ask(command, None).await
    }

    pub(super) fn request_timeout(&self) -> Duration {
        self.connection.options.request_timeout
    }

    pub(super) async fn ask(
        &self,
        command: Command,
        feed: Option<Arc<Feed>>,
    ) -> Result<Answer, ClientError> {
        let Connection {
            options,
            encoding,
            router,
            writer,
            ..
        } = &*self.connection;
        let mut ticket = router.register(feed)?;
        let request = Request {
            id: ticket.id,
            command,
        };
        let frame = encode(*encoding, &request)?;
        let exchange = async {
            // When writing fails, the daemon is gone: the reader finds its last message and the end.
            let _ = writer.lock().await.send(frame).await;
            ticket.reply().await
        };
        match timeout(options.request_timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout(options.request_timeout)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.connection.server)
            .finish_non_exhaustive()
    }
}

fn codec() -> LengthDelimitedCodec {
    // The default is eight times as much.
    LengthDelimitedCodec::builder()
        .max_frame_length(MAX_FRAME)
        .new_codec()
}

fn boxed<S>(writer: WriteHalf<S>) -> Box<dyn AsyncWrite + Send + Unpin>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    Box::new(writer)
}

fn encode(encoding: Encoding, request: &Request) -> Result<Bytes, ClientError> {
    encoding
        .encode(request)
        .map(Bytes::from)
        .map_err(|error| ClientError::Protocol(error.to_string()))
}

async fn preface<S: AsyncRead>(
    frames: &mut FramedRead<ReadHalf<S>, LengthDelimitedCodec>,
    writer: &mut Writer,
    encoding: Encoding,
    name: &str,
) -> Result<String, ClientError> {
    let hello = Hello {
        encoding,
        client: short(name),
    };
    // When writing fails, too, what the daemon said before explains more.
    let _ = writer.send(Bytes::from(hello.to_string())).await;
    let frame = match frames.next().await {
        Some(Ok(frame)) => frame,
        Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(ClientError::Protocol(error.to_string()));
        }
        Some(Err(_)) | None => return Err(ClientError::Closed(None)),
    };
    match Welcome::parse(&frame) {
        Ok(Welcome::Ok(server)) => Ok(server),
        Ok(Welcome::Error(why)) => Err(match spoken_revision(&why) {
            Some(revision) => ClientError::OtherRevision(revision),
            None => ClientError::Refused(why),
        }),
        Err(PrefaceError::Version(version)) => Err(ClientError::VersionMismatch(version)),
        Err(_) => Err(ClientError::Protocol(
            "this is not the control socket of a wasessiond".to_owned(),
        )),
    }
}

/// A name that fits into the preface, on one line.
fn short(name: &str) -> String {
    let mut short = String::new();
    for c in name.chars().filter(|c| !c.is_control()) {
        if short.len() + c.len_utf8() > MAX_LEN / 2 {
            break;
        }
        short.push(c);
    }
    short
}
