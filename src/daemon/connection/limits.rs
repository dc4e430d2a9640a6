//! The limits of a connection in time and number.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The preface must be here this long after the connection.
pub const PREFACE_WITHIN: Duration = Duration::from_secs(5);

/// A frame must be finished this long after it was begun.
pub const FRAME_WITHIN: Duration = Duration::from_secs(10);

/// The client must read the bytes that were written to it within this time.
pub const READ_WITHIN: Duration = Duration::from_secs(30);

/// Requests of one client that may be under way; then nothing more is read.
pub const MAX_IN_FLIGHT: usize = 32;

/// How long requests that are under way at a stop may still take to be answered, and a client that has
/// just connected to say hello.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

/// How long saying goodbye may take.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Over when the stop began and its grace is used up.
pub(super) async fn grace_of(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(STOP_GRACE).await;
}
