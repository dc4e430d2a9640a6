//! Whether a client is gone altogether.

use std::future::{Future, pending};
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;

use tokio::io::{AsyncRead, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tracing::debug;

/// Over when a client is gone.
pub type HangUp = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The half of a client's stream that is read.
pub trait ReadHalf: AsyncRead + Unpin + Send + 'static {
    /// Waits until the client is gone altogether. One that only closed its own half, and reads on, is
    /// not gone.
    fn hang_up(&self) -> HangUp;
}

impl ReadHalf for OwnedReadHalf {
    /// The kernel tells the two apart: it reports the end of one half as `EPOLLRDHUP`, and that of both
    /// as `EPOLLHUP`, which tokio calls "write closed". The stream itself cannot wait for that: it is
    /// almost always writable. On a duplicate, which nobody writes to, that readiness is taken away.
    fn hang_up(&self) -> HangUp {
        match duplicate(self.as_ref()) {
            Ok(stream) => Box::pin(wait_for(stream)),
            Err(error) => {
                debug!("whether a client hangs up cannot be learned: {error}");
                Box::pin(pending())
            }
        }
    }
}

fn duplicate(stream: &UnixStream) -> io::Result<UnixStream> {
    let duplicate = stream.as_fd().try_clone_to_owned()?;
    UnixStream::from_std(duplicate.into())
}

async fn wait_for(stream: UnixStream) {
    while let Ok(ready) = stream.ready(Interest::WRITABLE).await {
        if ready.is_write_closed() {
            return;
        }
        // The next report comes when the client has read something, or is gone.
        let not_ready = || Err(io::ErrorKind::WouldBlock.into());
        let _: io::Result<()> = stream.try_io(Interest::WRITABLE, not_ready);
    }
}

/// The half of a stream in memory, which does not tell.
impl<S> ReadHalf for tokio::io::ReadHalf<S>
where
    S: AsyncRead + Unpin + Send + 'static,
{
    fn hang_up(&self) -> HangUp {
        Box::pin(pending())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_closed_half_is_no_hang_up_and_a_closed_stream_is_one() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("a mode");
        let (read, _write) = UnixStream::from_std(ours).expect("a stream").into_split();
        let mut gone = read.hang_up();
        theirs
            .shutdown(Shutdown::Write)
            .expect("its half is closed");
        let moment = Duration::from_millis(50);
        assert!(timeout(moment, &mut gone).await.is_err(), "it still reads");
        drop(theirs);
        let noticed = timeout(Duration::from_secs(20), gone).await;
        noticed.expect("it is gone");
        // And it is noticed by one who asks afterwards.
        let noticed = timeout(Duration::from_secs(20), read.hang_up()).await;
        noticed.expect("it is gone");
    }
}
