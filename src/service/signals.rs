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

/// An order from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Stop in good order.
    Stop(Sender),
    /// Read the configuration again.
    Reload(Sender),
}

/// The sender of a signal, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The signal's name.
    pub signal: &'static str,
    /// Pid and uid of the process that sent it, if the kernel says.
    pub process: Option<(i32, u32)>,
}

impl Sender {
    /// The pid, where a process sent it: the kernel itself, for a key pressed on the terminal, has none.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process.map(|(pid, _)| pid).filter(|pid| *pid != 0)
    }

    /// The uid of the process that sent it.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.pid().and(self.process).map(|(_, uid)| uid)
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signal)?;
        match (self.pid(), self.uid()) {
            (Some(pid), Some(uid)) => write!(f, " from pid {pid} of uid {uid}"),
            _ => Ok(()),
        }
    }
}

/// Orders as they come.
#[derive(Debug)]
pub struct Orders<S> {
    stream: S,
    /// A reload that came when only a stop could be carried out. One reads what many asked for.
    kept: Option<Sender>,
}

impl<S: Stream<Item = Order> + Unpin> Orders<S> {
    /// The orders of this stream. Where it ends, nobody is left who could give one.
    pub fn new(stream: S) -> Self {
        Self { stream, kept: None }
    }

    /// Waits for the next order.
    pub async fn next(&mut self) -> Order {
        if let Some(sender) = self.kept.take() {
            return Order::Reload(sender);
        }
        match self.stream.next().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }

    /// Waits for the order to stop, and keeps a reload for later.
    pub async fn stop(&mut self) -> Sender {
        loop {
            match self.stream.next().await {
                Some(Order::Stop(sender)) => return sender,
                Some(Order::Reload(sender)) => self.kept = Some(sender),
                None => std::future::pending().await,
            }
        }
    }
}

/// Takes over the signals of this process. To be called once, inside the runtime.
///
/// # Errors
/// What the operating system says.
pub fn orders() -> io::Result<Orders<impl Stream<Item = Order> + Unpin>> {
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the flag that the first one sets must not be seen by the first one.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
    }
    for signal in [SIGTERM, SIGINT] {
        flag::register(signal, Arc::clone(&stopping))?;
    }
    let signals = SignalsInfo::<WithOrigin>::new([SIGTERM, SIGINT, SIGHUP])?;
    Ok(Orders::new(signals.map(|origin| order(&origin))))
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

    fn sender(signal: &'static str, process: Option<(i32, u32)>) -> Sender {
        Sender { signal, process }
    }

    #[test]
    fn a_sender_reads_well() {
        for (process, text) in [
            (None, "SIGTERM"),
            (Some((0, 0)), "SIGTERM"),
            (Some((7, 1000)), "SIGTERM from pid 7 of uid 1000"),
        ] {
            assert_eq!(sender("SIGTERM", process).to_string(), text);
        }
        assert_eq!(sender("SIGTERM", Some((0, 0))).uid(), None);
        assert_eq!(sender("SIGTERM", Some((7, 0))).uid(), Some(0));
    }

    #[tokio::test]
    async fn reloads_wait_behind_a_stop_and_many_are_one() {
        let (hup, term) = (sender("SIGHUP", None), sender("SIGTERM", None));
        let given = [
            Order::Reload(sender("SIGHUP", Some((1, 1)))),
            Order::Reload(hup.clone()),
            Order::Stop(term.clone()),
            Order::Stop(term.clone()),
        ];
        let mut orders = Orders::new(futures_util::stream::iter(given));
        assert_eq!(orders.stop().await, term);
        assert_eq!(orders.next().await, Order::Reload(hup));
        assert_eq!(orders.next().await, Order::Stop(term));
        let nothing = futures_util::FutureExt::now_or_never(orders.next());
        assert_eq!(nothing, None);
    }
}
