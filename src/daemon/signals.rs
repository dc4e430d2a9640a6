//! Signals, as orders.
//!
//! The first SIGTERM or SIGINT asks for an orderly stop; SIGHUP for a reload. A second SIGTERM or
//! SIGINT ends the process at once, with the status a shell expects: that one acts inside the signal
//! handler, so that it works even when nothing else does any more. What is on the disk is whole at
//! any instant, and the next start finishes what was begun.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::{Stream, StreamExt};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Origin, Process};
use signal_hook_tokio::SignalsInfo;

/// What somebody outside wants of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Stop in good order.
    Stop(Sender),
    /// Read the configuration again.
    Reload(Sender),
}

/// Who sent a signal, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The signal's name.
    pub signal: &'static str,
    /// Pid and uid of the process that sent it, if the kernel says.
    pub process: Option<(i32, u32)>,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signal)?;
        match self.process {
            // The kernel itself, for a key pressed on the terminal.
            Some((0, _)) | None => Ok(()),
            Some((pid, uid)) => write!(f, " from pid {pid} of uid {uid}"),
        }
    }
}

/// Takes over the signals of this process. To be called once, inside the runtime.
///
/// # Errors
/// What the operating system says.
pub fn orders() -> io::Result<impl Stream<Item = Order> + Unpin> {
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the flag that the first one sets must not be seen by the first one.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
    }
    for signal in [SIGTERM, SIGINT] {
        flag::register(signal, Arc::clone(&stopping))?;
    }
    let signals = SignalsInfo::<WithOrigin>::new([SIGTERM, SIGINT, SIGHUP])?;
    Ok(signals.map(|origin| order(&origin)))
}

fn order(origin: &Origin) -> Order {
    let sender = |signal| Sender {
        signal,
        process: origin.process.map(|Process { pid, uid, .. }| (pid, uid)),
    };
    match origin.signal {
        SIGHUP => Order::Reload(sender("SIGHUP")),
        SIGINT => Order::Stop(sender("SIGINT")),
        _ => Order::Stop(sender("SIGTERM")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_reads_well() {
        for (process, text) in [
            (None, "SIGTERM"),
            (Some((0, 0)), "SIGTERM"),
            (Some((7, 1000)), "SIGTERM from pid 7 of uid 1000"),
        ] {
            let sender = Sender {
                signal: "SIGTERM",
                process,
            };
            assert_eq!(sender.to_string(), text);
        }
    }
}
