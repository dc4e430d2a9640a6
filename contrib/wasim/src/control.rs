//! The control socket: commands from other processes, one JSON object a line.

use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command::{Answer, Command};
use crate::{Error, Server};

/// The longest line that is read, in bytes: a file may be in it.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// A control socket that is being served. [`close`](Self::close) removes it.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A line from the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Reply {
    Refused { error: String },
    Answer(Answer),
}

impl Control {
    /// Makes the socket (mode 0600, in a directory made 0700 if there is none) and serves
    /// `server`'s commands on it.
    ///
    /// # Errors
    ///
    /// [`Error::Control`] when it cannot be made, or a server that is alive has it.
    pub async fn bind(server: &Server, path: &Path) -> Result<Self, Error> {
        let listener = bind(path).await.map_err(|error| problem(path, error))?;
        let control = Self {
            path: path.to_owned(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (stop, tasks, server) = (control.stop.clone(), control.tasks.clone(), server.clone());
        control.tasks.spawn(async move {
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, _)) => {
                        let (stop, server) = (stop.clone(), server.clone());
                        tasks.spawn(async move {
                            stop.run_until_cancelled(serve(&server, stream)).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!("control socket: {error}");
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
        Ok(control)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stops serving it, and removes it.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        // It may have been removed by someone else.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Sends one command to the server whose control socket is at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Control`] when nobody answers there, [`Error::Remote`] with what the server says
    /// when it will not.
    pub async fn call(path: &Path, command: &Command) -> Result<Answer, Error> {
        let line = exchange(path, command)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                    problem(path, "no server there: start one with `wasim serve`")
                }
                _ => problem(path, error),
            })?;
        match serde_json::from_str(&line) {
            Ok(Reply::Answer(answer)) => Ok(answer),
            Ok(Reply::Refused { error }) => Err(Error::Remote(error)),
            Err(error) => Err(problem(path, error)),
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    match UnixStream::connect(path).await {
        Ok(_) => {
            return Err(std::io::Error::new(
                ErrorKind::AddrInUse,
                "another server is listening there",
            ));
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers one client, line by line.
async fn serve(server: &Server, mut stream: UnixStream) {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        let read = (&mut reader).take(MAX_LINE).read_line(&mut line).await;
        if !matches!(read, Ok(read) if read > 0) {
            return;
        }
        let whole = line.ends_with('\n') || (line.len() as u64) < MAX_LINE;
        let reply = if whole {
            answer(server, &line).await
        } else {
            Reply::Refused {
                error: format!("a line is at most {MAX_LINE} bytes"),
            }
        };
        let mut text =
            serde_json::to_vec(&reply).expect("invariant: answers can be written as JSON");
        text.push(b'\n');
        if writer.write_all(&text).await.is_err() || !whole {
            return;
        }
    }
}

async fn answer(server: &Server, line: &str) -> Reply {
    let command = match serde_json::from_str::<Command>(line) {
        Ok(command) => command,
        Err(error) => {
            let error = format!("not a command: {error}");
            return Reply::Refused { error };
        }
    };
    match server.execute(command).await {
        Ok(answer) => Reply::Answer(answer),
        Err(error) => Reply::Refused {
            error: error.to_string(),
        },
    }
}

async fn exchange(path: &Path, command: &Command) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path).await?;
    let mut text = serde_json::to_vec(command)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line)
}

fn problem(path: &Path, message: impl std::fmt::Display) -> Error {
    Error::Control {
        path: path.to_owned(),
        message: message.to_string(),
    }
}
