//! The bare echo: tokio and its length-delimited frames, in a process of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt, StreamExt};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// What it does with a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Answers it, and flushes.
    Each,
    /// Answers it, and flushes when no other frame is there.
    Batch,
    /// Answers it with so many frames.
    Many(usize),
}

/// A running one.
pub(crate) struct Echo {
    child: Child,
    socket: PathBuf,
    _directory: TempDir,
}

impl Echo {
    /// One that answers with frames of this length.
    pub(crate) fn start(kind: Kind, length: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("echo.sock");
        let kind = match kind {
            Kind::Each => "each".to_owned(),
            Kind::Batch => "batch".to_owned(),
            Kind::Many(frames) => frames.to_string(),
        };
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--echo", &kind])
            .arg(&socket)
            .arg(length.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("an echo");
        let mut said = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        let read = BufReader::new(stdout).read_line(&mut said);
        assert!(read.is_ok_and(|bytes| bytes > 0), "the echo does not start");
        Self {
            child,
            socket,
            _directory: directory,
        }
    }

    pub(crate) fn connect(&self) -> StdStream {
        StdStream::connect(&self.socket).expect("it listens")
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the echo, until it is killed. The runtime is of the daemon's kind.
pub(crate) fn serve(kind: &str, socket: &Path, length: usize) {
    let kind = match kind {
        "each" => Kind::Each,
        "batch" => Kind::Batch,
        frames => Kind::Many(frames.parse().expect("a number of frames")),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = UnixListener::bind(socket).expect("a socket");
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(echo(stream, kind, Bytes::from(vec![0; length])));
        }
    });
}

async fn echo(stream: UnixStream, kind: Kind, answer: Bytes) {
    let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
    if let Kind::Batch = kind {
        let (sink, frames) = frames.split();
        let _ = frames
            .map(|frame| frame.map(|_| answer.clone()))
            .forward(sink)
            .await;
        return;
    }
    while let Some(Ok(_)) = frames.next().await {
        let many = if let Kind::Many(frames) = kind {
            frames
        } else {
            1
        };
        for _ in 0..many {
            if frames.feed(answer.clone()).await.is_err() {
                return;
            }
        }
        if SinkExt::<Bytes>::flush(&mut frames).await.is_err() {
            return;
        }
    }
}
