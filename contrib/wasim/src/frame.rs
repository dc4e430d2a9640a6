//! The byte stream inside the WebSocket: an introduction, then frames of a 3-byte length and that
//! many bytes.

use bytes::{Buf as _, BytesMut};
use thiserror::Error;

/// The longest frame that fits its length field.
pub(crate) const MAX_FRAME: usize = 0xff_ffff;

/// What does not belong in the byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("the stream does not begin with WA 6")]
    Introduction,
    #[error("a frame of {0} bytes does not fit")]
    TooLong(usize),
}

/// Puts frames together from messages. A message may hold several frames, or a part of one.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: BytesMut,
    prologue: Option<[u8; 4]>,
}

impl Frames {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// `W A 6 version`, once it has been read: what the Noise handshake is bound to.
    pub(crate) fn prologue(&self) -> Option<[u8; 4]> {
        self.prologue
    }

    /// The next whole frame, if it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.prologue.is_none() && !self.read_introduction()? {
            return Ok(None);
        }
        let Some(length) = length_at(&self.buffer, 0) else {
            return Ok(None);
        };
        if self.buffer.len() < 3 + length {
            return Ok(None);
        }
        self.buffer.advance(3);
        Ok(Some(self.buffer.split_to(length).to_vec()))
    }

    /// Reads past the optional routing (`E D 0 1`, a length, that many bytes) and the `W A 6
    /// version` after it.
    fn read_introduction(&mut self) -> Result<bool, FrameError> {
        let mut start = 0;
        if starts(&self.buffer, b"ED\0\x01")? {
            let Some(length) = length_at(&self.buffer, 4) else {
                return Ok(false);
            };
            start = 7 + length;
        }
        let Some(rest) = self.buffer.get(start..) else {
            return Ok(false);
        };
        if start > 0 && !rest.is_empty() && !b"WA\x06".starts_with(&rest[..rest.len().min(3)]) {
            return Err(FrameError::Introduction);
        }
        let Some(&prologue) = rest.first_chunk::<4>() else {
            return Ok(false);
        };
        if !prologue.starts_with(b"WA\x06") {
            return Err(FrameError::Introduction);
        }
        self.buffer.advance(start + 4);
        self.prologue = Some(prologue);
        Ok(true)
    }
}

/// Whether the stream begins with `routing`; an error when it begins neither with that nor with
/// `WA`.
fn starts(buffer: &[u8], routing: &[u8]) -> Result<bool, FrameError> {
    let begins = |with: &[u8]| with.starts_with(&buffer[..buffer.len().min(with.len())]);
    if begins(b"WA\x06") {
        Ok(false)
    } else if begins(routing) {
        Ok(true)
    } else {
        Err(FrameError::Introduction)
    }
}

fn length_at(buffer: &[u8], at: usize) -> Option<usize> {
    let bytes = buffer.get(at..at + 3)?;
    Some(usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]))
}

/// A frame around `payload`.
pub(crate) fn frame(payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    if payload.len() > MAX_FRAME {
        return Err(FrameError::TooLong(payload.len()));
    }
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let mut out = Vec::with_capacity(3 + payload.len());
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(payload);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(introduction: &[u8], payloads: &[&[u8]]) -> Vec<u8> {
        let mut out = introduction.to_vec();
        for payload in payloads {
            out.extend(frame(payload).unwrap());
        }
        out
    }

    type Read = Result<(Vec<Vec<u8>>, Option<[u8; 4]>), FrameError>;

    fn read(pieces: impl Iterator<Item = Vec<u8>>) -> Read {
        let mut frames = Frames::default();
        let mut out = Vec::new();
        for piece in pieces {
            frames.push(&piece);
            while let Some(frame) = frames.next()? {
                out.push(frame);
            }
        }
        Ok((out, frames.prologue()))
    }

    #[test]
    fn frames_come_out_the_same_however_they_are_cut() {
        let routed = [b"ED\0\x01\0\0\x05route".as_slice(), b"WA\x06\x03"].concat();
        for introduction in [b"WA\x06\x03".to_vec(), routed] {
            let bytes = stream(&introduction, &[b"first", b"", b"third of the frames"]);
            for size in 1..=bytes.len() {
                let (frames, prologue) = read(bytes.chunks(size).map(<[u8]>::to_vec)).unwrap();
                assert_eq!(
                    frames,
                    [b"first".to_vec(), vec![], b"third of the frames".to_vec()]
                );
                assert_eq!(prologue, Some(*b"WA\x06\x03"));
            }
        }
    }

    #[test]
    fn a_stream_that_begins_with_anything_else_is_refused() {
        for bytes in [
            b"GET /".as_slice(),
            b"WB",
            b"WA\x05\x03",
            b"ED\0\x02",
            b"ED\0\x01\0\0\x01xXA",
        ] {
            let result = read(std::iter::once(bytes.to_vec()));
            assert_eq!(result.err(), Some(FrameError::Introduction), "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_that_its_length_cannot_say_is_refused() {
        assert_eq!(
            frame(&vec![0; MAX_FRAME + 1]),
            Err(FrameError::TooLong(MAX_FRAME + 1))
        );
        assert_eq!(frame(&vec![0; MAX_FRAME]).unwrap().len(), MAX_FRAME + 3);
    }
}
