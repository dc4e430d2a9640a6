//! Reaches the first of several addresses that answers, as RFC 8305 has it: directly, or through a proxy.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::deadline::Deadline;

/// How long an address may leave its attempt unanswered before the next one is tried beside it.
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// The same through a proxy, whose answer takes the way to the proxy and the proxy's own attempt.
pub(super) const NEXT_THROUGH_PROXY_AFTER: Duration = Duration::from_secs(1);
/// How long one address may take: the system repeats an unanswered attempt after 1, 3 and 7 s.
const ADDRESS_WITHIN: Duration = Duration::from_secs(8);
/// How many failures are told. A name may have any number of addresses.
const TOLD: usize = 4;

/// The addresses in the order in which they are tried: the families take turns, so that a family that is
/// dead costs one attempt, not all of its addresses. Within a family the resolver's order stays.
pub(super) fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let of = |first: bool| {
        let mut of_family = addresses.iter().copied();
        std::iter::from_fn(move || of_family.find(|a| (a.is_ipv6() == first_is_v6) == first))
    };
    let (mut first, mut other) = (of(true), of(false));
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(first.next());
        order.extend(other.next());
    }
    order
}

/// Connects to the first of these addresses that answers.
///
/// # Errors
/// What became of each address, in words.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    deadline: Deadline,
) -> Result<TcpStream, String> {
    let won = first(addresses, NEXT_AFTER, deadline, attempt).await;
    won.map_err(|failures| told(addresses, &failures))
}

/// The result of the first of these attempts that succeeds. An attempt is made as soon as the one before it
/// has failed, or has gone unanswered for `next_after`. The attempts that lose are dropped.
///
/// # Errors
/// The failures, in the order in which they came. An address without one has not answered by the deadline.
pub(super) async fn first<T, E, F>(
    addresses: &[SocketAddr],
    next_after: Duration,
    deadline: Deadline,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<T, Vec<(SocketAddr, E)>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = interleaved(addresses).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    let mut next = waiting.next();
    let mut next_at = Instant::now();
    let racing = async {
        loop {
            let due = async {
                match next {
                    Some(address) => {
                        sleep_until(next_at).await;
                        address
                    }
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((address, result)) = attempts.next() => match result {
                    Ok(won) => return Some(won),
                    Err(error) => {
                        failures.push((address, error));
                        next_at = Instant::now();
                    }
                },
                address = due => {
                    let result = attempt(address);
                    attempts.push(async move { (address, result.await) });
                    next = waiting.next();
                    next_at = Instant::now() + next_after;
                }
                else => return None,
            }
            if next.is_none() && attempts.is_empty() {
                return None;
            }
        }
    };
    if let Some(Some(won)) = deadline.limit(racing).await {
        return Ok(won);
    }
    drop(attempts);
    Err(failures)
}

async fn attempt(address: SocketAddr) -> Result<TcpStream, String> {
    let connected = Deadline::within(ADDRESS_WITHIN).limit(TcpStream::connect(address));
    let result = connected.await;
    result
        .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| why(&error))
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "does not answer".to_owned(),
        io::ErrorKind::ConnectionRefused => "refuses the connection".to_owned(),
        _ => format!("cannot be reached ({error})"),
    }
}

/// What became of each address. One without a failure was not answered by the deadline.
fn told(addresses: &[SocketAddr], failures: &[(SocketAddr, String)]) -> String {
    if addresses.is_empty() {
        return "it has no address".to_owned();
    }
    let mut told: Vec<_> = interleaved(addresses)
        .into_iter()
        .map(|address| {
            let failure = failures.iter().find(|(failed, _)| *failed == address);
            let why = failure.map_or("does not answer", |(_, why)| why);
            format!("{} {why}", address.ip())
        })
        .collect();
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    if more > 0 {
        told.push(format!("{more} more addresses neither"));
    }
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use nix::sys::socket::{Backlog, listen};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// An address of this machine that never answers: its queue of new connections is full, and the
    /// system drops the packets of all others.
    struct Silent {
        _listener: std::net::TcpListener,
        _queued: Vec<std::net::TcpStream>,
        address: SocketAddr,
    }

    impl Silent {
        fn new() -> Self {
            let any = (Ipv4Addr::LOCALHOST, 0);
            let listener = std::net::TcpListener::bind(any).expect("bound");
            // A second call makes the queue shorter.
            let shortest = Backlog::new(0).expect("a length");
            listen(&listener, shortest).expect("listening");
            let address = listener.local_addr().expect("an address");
            let mut queued = Vec::new();
            let full = Duration::from_millis(300);
            while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, full) {
                queued.push(stream);
                assert!(queued.len() < 64, "the queue does not become full");
            }
            Self {
                _listener: listener,
                _queued: queued,
                address,
            }
        }
    }

    async fn refused() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        listener.local_addr().expect("an address")
    }

    fn v6_that_is_dead() -> SocketAddr {
        // A range for documentation: nothing routes it.
        "[2001:db8::1]:9".parse().expect("an address")
    }

    #[test]
    fn the_families_take_turns() {
        let v4 = |n: u8| SocketAddr::from(([127, 0, 0, n], 1));
        let v6 = |n: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, n], 1));
        for (given, order) in [
            (vec![], vec![]),
            (vec![v4(1), v4(2)], vec![v4(1), v4(2)]),
            (
                vec![v6(1), v6(2), v6(3), v4(1), v4(2)],
                vec![v6(1), v4(1), v6(2), v4(2), v6(3)],
            ),
            (
                vec![v4(1), v4(2), v6(1), v4(3)],
                vec![v4(1), v6(1), v4(2), v4(3)],
            ),
        ] {
            assert_eq!(interleaved(&given), order);
        }
    }

    #[tokio::test]
    async fn an_address_that_never_answers_costs_a_quarter_of_a_second() {
        let silent = Silent::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let alive = listener.local_addr().expect("an address");
        let began = Instant::now();
        let stream = connect(&[silent.address, alive], Deadline::within(SOON)).await;
        let stream = stream.expect("the one that lives");
        assert_eq!(stream.peer_addr().expect("a peer"), alive);
        let took = began.elapsed();
        assert!(took >= NEXT_AFTER && took < ADDRESS_WITHIN, "{took:?}");
    }

    #[tokio::test]
    async fn after_a_refusal_the_next_is_tried_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let alive = listener.local_addr().expect("an address");
        let addresses = [refused().await, refused().await, refused().await, alive];
        let began = Instant::now();
        let stream = connect(&addresses, Deadline::within(SOON)).await;
        assert_eq!(
            stream.expect("the last").peer_addr().expect("a peer"),
            alive
        );
        // Three pauses would be three quarters of a second.
        assert!(began.elapsed() < NEXT_AFTER * 3, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_dead_ipv6_holds_up_no_ipv4() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let alive = listener.local_addr().expect("an address");
        let dead = v6_that_is_dead();
        let stream = connect(&[dead, dead, alive], Deadline::within(SOON)).await;
        assert_eq!(stream.expect("IPv4").peer_addr().expect("a peer"), alive);
    }

    #[tokio::test]
    async fn the_late_answer_of_the_first_counts_too() {
        let silent = Silent::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let alive = listener.local_addr().expect("an address");
        // The second one fails at once; the first one stays in the race.
        let addresses = [silent.address, refused().await, alive];
        let stream = connect(&addresses, Deadline::within(SOON)).await;
        assert_eq!(
            stream.expect("the last").peer_addr().expect("a peer"),
            alive
        );
    }

    #[tokio::test]
    async fn what_became_of_each_address_is_told() {
        let silent = Silent::new();
        let short = Deadline::within(NEXT_AFTER * 2);
        let told = connect(&[silent.address, refused().await], short).await;
        assert_eq!(
            told.expect_err("nobody answers"),
            "127.0.0.1 does not answer, 127.0.0.1 refuses the connection"
        );
        let began = Instant::now();
        let told = connect(&[refused().await], Deadline::within(SOON)).await;
        assert_eq!(
            told.expect_err("refused"),
            "127.0.0.1 refuses the connection"
        );
        assert!(began.elapsed() < NEXT_AFTER, "{:?}", began.elapsed());
        let none = connect(&[], Deadline::within(SOON)).await;
        assert_eq!(none.expect_err("none"), "it has no address");
        let many = vec![refused().await; 9];
        let told = connect(&many, Deadline::within(SOON)).await;
        let told = told.expect_err("refused");
        assert!(told.ends_with("5 more addresses neither"), "{told}");
    }

    #[tokio::test]
    async fn one_address_has_a_limit_of_its_own() {
        let silent = Silent::new();
        let began = Instant::now();
        let told = connect(&[silent.address], Deadline::within(ADDRESS_WITHIN * 2)).await;
        assert_eq!(told.expect_err("silent"), "127.0.0.1 does not answer");
        assert!(
            began.elapsed() < ADDRESS_WITHIN * 2,
            "{:?}",
            began.elapsed()
        );
    }
}
