//! A client's connection as a stream of stanzas, over WebSocket, frames, encryption and the binary form.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio_websockets::{Message, WebSocketStream};
use wacore_binary::{Node, OwnedNodeRef};

use crate::frame::{FrameError, Frames, frame};
use crate::noise::{Cipher, NoiseError};

/// How long a client may take to read what it is sent before it is given up.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// How long a closed socket is still read from, so that closing it does not reset it.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// How often a connection from which nothing is read is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A piece of a frame that is sent in pieces, in bytes.
const PIECE: usize = 5;

/// Likewise, when the whole server stops.
pub(crate) const SHORT_LINGER: Duration = Duration::from_millis(100);

/// What ends a connection from the client's side.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    WebSocket(#[from] tokio_websockets::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Noise(#[from] NoiseError),
    #[error("not a stanza: {0}")]
    Stanza(String),
    #[error("the client does not read")]
    Stuck,
}

/// How a connection is ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// A WebSocket close, then the end of the TCP connection.
    Close,
    /// The end of the TCP connection (FIN).
    Fin,
    /// A reset (RST).
    Reset,
    /// It is gone already.
    Gone,
}

/// A connection. Reading is cancel-safe; writing is not.
pub(crate) struct Wire {
    socket: WebSocketStream<TcpStream>,
    frames: Frames,
    ciphers: Option<(Cipher, Cipher)>,
    garbled: bool,
    in_pieces: bool,
    /// A frame that waits for the next one, to be sent in one message with it.
    held: Option<Vec<u8>>,
}

impl Wire {
    pub(crate) fn new(socket: WebSocketStream<TcpStream>) -> Self {
        Self {
            socket,
            frames: Frames::default(),
            ciphers: None,
            garbled: false,
            in_pieces: false,
            held: None,
        }
    }

    /// `W A 6 version`, once the first frame has been read.
    pub(crate) fn prologue(&self) -> [u8; 4] {
        self.frames.prologue().unwrap_or(*b"WA\x06\x03")
    }

    /// Encrypts from now on.
    pub(crate) fn encrypt(&mut self, read: Cipher, write: Cipher) {
        self.ciphers = Some((read, write));
    }

    /// Sends nothing from now on that the client can decrypt.
    pub(crate) fn garble(&mut self) {
        self.garbled = true;
    }

    /// The next frame; None when the client has closed.
    pub(crate) async fn next_frame(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        loop {
            if let Some(frame) = self.frames.next()? {
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Reads one message of the WebSocket. False: the client has closed.
    async fn fill(&mut self) -> Result<bool, WireError> {
        // Clients that leave Nagle's algorithm on wait for an acknowledgement between two stanzas;
        // delayed as usual, it costs them 40 ms each time.
        let _ = self.socket.get_ref().set_quickack(true);
        let Some(message) = self.socket.next().await else {
            return Ok(false);
        };
        let message = message?;
        if message.is_binary() {
            self.frames.push(message.as_payload());
        }
        Ok(!message.is_close())
    }

    /// Waits until the client is gone. What it says meanwhile is kept for `next`, or, `unread`, left in
    /// the socket.
    pub(crate) async fn closed(&mut self, unread: bool) {
        if unread {
            closed(self.socket.get_ref()).await;
        } else {
            while matches!(self.fill().await, Ok(true)) {}
        }
    }

    /// The next stanza, or what is none before encryption. None when the client has closed.
    pub(crate) async fn next(&mut self) -> Result<Option<Option<Node>>, WireError> {
        let Some(mut frame) = self.next_frame().await? else {
            return Ok(None);
        };
        let Some((read, _)) = &mut self.ciphers else {
            return Ok(Some(None));
        };
        read.open(&mut frame)?;
        decode(&frame).map(|node| Some(Some(node)))
    }

    /// Sends everything in messages of a few bytes from now on.
    pub(crate) fn cut_in_pieces(&mut self) {
        self.in_pieces = true;
    }

    /// Keeps a frame, to send it in one message with the next one.
    pub(crate) fn hold(&mut self, payload: &[u8]) -> Result<(), WireError> {
        self.held = Some(frame(payload)?);
        Ok(())
    }

    /// Sends a frame as it is.
    pub(crate) async fn send_frame(&mut self, payload: &[u8]) -> Result<(), WireError> {
        let mut bytes = self.held.take().unwrap_or_default();
        bytes.extend(frame(payload)?);
        let most = if self.in_pieces { PIECE } else { bytes.len() };
        for piece in bytes.chunks(most) {
            let message = Message::binary(piece.to_vec());
            tokio::time::timeout(WRITE_DEADLINE, self.socket.send(message))
                .await
                .map_err(|_| WireError::Stuck)??;
        }
        Ok(())
    }

    /// Sends a stanza.
    pub(crate) async fn send(&mut self, node: &Node) -> Result<(), WireError> {
        let mut payload =
            wacore_binary::marshal(node).map_err(|error| WireError::Stanza(error.to_string()))?;
        if let Some((_, write)) = &mut self.ciphers {
            write.seal(&mut payload);
        }
        if self.garbled {
            payload[0] ^= 1;
        }
        self.send_frame(&payload).await
    }

    /// Ends the connection, and waits no longer than `linger` for the client to end it too.
    pub(crate) async fn end(mut self, goodbye: Goodbye, linger: Duration) {
        match goodbye {
            Goodbye::Gone => {}
            Goodbye::Reset => {
                // Without it the socket is closed in order, which is better than nothing.
                let _ = self.socket.get_ref().set_zero_linger();
            }
            Goodbye::Close => {
                let farewell = async {
                    self.socket.close().await?;
                    while let Some(Ok(_)) = self.socket.next().await {}
                    Ok::<(), tokio_websockets::Error>(())
                };
                let _ = tokio::time::timeout(linger, farewell).await;
                drain(self.socket.into_inner(), linger).await;
            }
            Goodbye::Fin => drain(self.socket.into_inner(), linger).await,
        }
    }
}

/// Waits until the peer has ended its half of the connection, whatever lies unread before that.
pub(crate) async fn closed(stream: &TcpStream) {
    loop {
        // What waits to be read makes the socket ready at once, time after time; the end of it sets a
        // flag beside it, and nobody is woken for the flag alone.
        match stream.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(LOOK_AGAIN).await,
            _ => return,
        }
    }
}

/// Says FIN and reads on: a socket closed with unread data would say RST instead.
pub(crate) async fn drain(mut stream: TcpStream, linger: Duration) {
    let rest = async {
        stream.shutdown().await?;
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    let _ = tokio::time::timeout(linger, rest).await;
}

/// Reads a decrypted frame: a flag byte, then the stanza, compressed if the flag says so.
fn decode(frame: &[u8]) -> Result<Node, WireError> {
    let invalid = |error: wacore_binary::BinaryError| WireError::Stanza(error.to_string());
    let plain = wacore_binary::util::unpack(frame).map_err(invalid)?;
    let node = OwnedNodeRef::new(plain.into_owned()).map_err(invalid)?;
    Ok(node.to_owned_node())
}
