//! The daemon's socket beside a bare echo: the same frames over the same kind of socket, to a tokio
//! program that reads a frame, writes one, and knows nothing else. Both servers are processes of their
//! own; the client is the same.
//!
//! ```text
//! cargo bench --features simulator --bench socket             # the figures that count
//! cargo bench --features simulator --bench socket -- 0.1      # a tenth of the work
//! ```

#![allow(
    clippy::panic,
    clippy::match_wild_err_arm,
    clippy::print_stdout,
    reason = "a benchmark prints, and one that fails, fails"
)]

#[path = "../rehearsal/daemon.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod daemon;
mod echo;
mod held;
#[path = "../rehearsal/stage.rs"]
#[allow(dead_code, reason = "shared with the rehearsals")]
mod stage;
mod times;

use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use echo::{Echo, Kind};
use held::Held;
use stage::{PHONE, Stage};
use times::Times;
use wasessiond::protocol::codec::Encoding;
use wasessiond::protocol::preface::Hello;
use wasessiond::protocol::{Answer, Command, Message, Reply, Request, Since, TargetEdit};

/// How often each measurement is taken; the middle one counts, for a machine has other things to do.
const TIMES: usize = 5;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let [word, kind, path, length] = words.as_slice()
        && word == "--echo"
    {
        return echo::serve(kind, Path::new(path), length.parse().expect("a length"));
    }
    let share = words
        .iter()
        .find_map(|word| word.parse().ok())
        .unwrap_or(1.0);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(share));
}

/// So many, for this share of the work.
fn many(whole: u32, share: f64) -> usize {
    let many = (f64::from(whole) * share).max(100.0);
    format!("{many:.0}").parse().expect("a number")
}

async fn run(share: f64) {
    let mut stage = Stage::with("[access]\nmax_connections_per_uid = 1024\n").await;
    let socket = stage.dir.path().join("control.sock");
    println!("| what | encoding | daemon | bare echo | daemon / echo |");
    println!("|---|---|---|---|---|");
    for encoding in [Encoding::Bincode, Encoding::Json] {
        pings(&socket, encoding, share);
    }
    events(&mut stage, &socket, share).await;
    idle(&stage, &socket);
}

// ---- ping -------------------------------------------------------------------------------------------

fn pings(socket: &Path, encoding: Encoding, share: f64) {
    let request = Request {
        id: 1,
        command: Command::Ping,
    };
    let ping = framed(&encoding.encode(&request).expect("a request"));
    let reply = Message::Reply(Reply {
        id: 1,
        result: Ok(Answer::Pong),
    });
    let answer = encoding.encode(&reply).expect("a reply").len();
    let mut echoes = [Kind::Each, Kind::Batch].map(|kind| Echo::start(kind, answer));
    let [each, batch] = &mut echoes;

    let rounds = many(20_000, share);
    let trip = |stream: &mut UnixStream| round_trips(stream, &ping, rounds);
    let (mut ours, mut theirs) = (join(socket, encoding), each.connect());
    let mut pairs: Vec<_> = (0..TIMES)
        .map(|_| (trip(&mut ours), trip(&mut theirs)))
        .collect();
    pairs.sort_by(|a, b| (a.0.rate / a.1.rate).total_cmp(&(b.0.rate / b.1.rate)));
    let (daemon, bare) = &pairs[TIMES / 2];
    row(
        "round trips of `ping` a second",
        encoding,
        daemon.rate,
        bare.rate,
    );
    for share in [50, 99] {
        let (daemon, bare) = (daemon.times.percent(share), bare.times.percent(share));
        row(&format!("its p{share}, ms"), encoding, daemon, bare);
    }

    let requests = many(400_000, share);
    let rate = |stream: &mut UnixStream| pipelined(stream, &ping, answer, requests);
    for (echo, name) in [(each, "each frame flushed"), (batch, "flushed when idle")] {
        let mut theirs = echo.connect();
        let mut pairs: Vec<_> = (0..TIMES)
            .map(|_| (rate(&mut ours), rate(&mut theirs)))
            .collect();
        pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (daemon, bare) = pairs[TIMES / 2];
        let what = format!("pipelined `ping` a second (echo: {name})");
        row(&what, encoding, daemon, bare);
    }
}

fn row(what: &str, encoding: impl std::fmt::Display, daemon: f64, bare: f64) {
    let digits = if daemon > 1000.0 { 0 } else { 3 };
    println!(
        "| {what} | {encoding} | {daemon:.digits$} | {bare:.digits$} | {:.2} |",
        daemon / bare
    );
}

struct Trips {
    rate: f64,
    times: Times,
}

fn round_trips(stream: &mut UnixStream, ping: &[u8], rounds: usize) -> Trips {
    let mut times = Vec::with_capacity(rounds);
    let began = Instant::now();
    for _ in 0..rounds {
        let began = Instant::now();
        stream.write_all(ping).expect("it is sent");
        receive(stream);
        times.push(began.elapsed());
    }
    Trips {
        rate: per_second(rounds, began.elapsed()),
        times: Times::new(times),
    }
}

/// One thread writes as fast as it is taken, one reads.
fn pipelined(stream: &mut UnixStream, ping: &[u8], answer: usize, requests: usize) -> f64 {
    const AT_ONCE: usize = 100;
    let mut writing = stream.try_clone().expect("a second hand");
    let many = ping.repeat(AT_ONCE);
    let requests = requests.next_multiple_of(AT_ONCE);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..requests / AT_ONCE {
                writing.write_all(&many).expect("it is sent");
            }
        });
        let mut bytes = vec![0; 64 * 1024];
        let mut left = requests * (size_of::<u32>() + answer);
        while left > 0 {
            let read = stream.read(&mut bytes).expect("replies");
            assert!(read > 0 && read <= left, "{read} of {left} bytes");
            left -= read;
        }
    });
    per_second(requests, began.elapsed())
}

fn per_second(many: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(many).expect("a small number")) / time.as_secs_f64()
}

// ---- events -----------------------------------------------------------------------------------------

/// A group of the account.
const CHOIR: &str = "120363000000000001@g.us";

/// How many events are replayed to each watcher.
const EVENTS: u32 = 1000;

/// How long it takes until all of so many watchers have what happened: a thousand past events at once,
/// and one at a time as they happen.
async fn events(stage: &mut Stage, socket: &Path, share: f64) {
    let encoding = Encoding::Bincode;
    let groups = vec![wasim::Group::new(CHOIR, "Choir")];
    stage.sim.set_groups(PHONE, groups).await.expect("groups");
    stage.pair("alice", PHONE).await;
    let events = many(EVENTS, share.min(1.0)).next_multiple_of(2);
    let client = stage.client.clone();
    // Each is an event.
    let edit = async |n: usize| {
        let edit = if n.is_multiple_of(2) {
            TargetEdit::Set(vec![CHOIR.to_owned()])
        } else {
            TargetEdit::Clear
        };
        client.targets("alice", edit).await.expect("target groups");
    };
    for n in 0..events {
        edit(n).await;
    }
    let watch = |since| {
        let command = Command::Watch {
            users: vec!["alice".to_owned()],
            since,
        };
        framed(
            &encoding
                .encode(&Request { id: 1, command })
                .expect("a request"),
        )
    };
    let since = Some(Since {
        epoch: None,
        seq: 0,
    });
    let (messages, bytes) = {
        let mut one = join(socket, encoding);
        one.write_all(&watch(since)).expect("it is sent");
        told(&mut BufReader::new(one), encoding)
    };
    let length = bytes / messages;
    for watchers in [1, 10, 100] {
        let mut ours: Vec<_> = (0..watchers).map(|_| join(socket, encoding)).collect();
        let asked = watch(since);
        let daemon = to_all(&mut ours, &asked, |stream| {
            told_in_full(stream, encoding, messages);
        });
        let echo = Echo::start(Kind::Many(messages), length);
        let mut theirs: Vec<_> = (0..watchers).map(|_| echo.connect()).collect();
        let bare = to_all(&mut theirs, &framed(b"go"), |stream| {
            let mut stream = BufReader::new(stream);
            for _ in 0..messages {
                receive(&mut stream);
            }
        });
        let rate = |time| per_second(messages * watchers, time);
        let what =
            format!("{messages} messages of {length} bytes each to {watchers}: messages a second");
        row(&what, encoding, rate(daemon), rate(bare));
    }
    println!(
        "\nOne event at a time, from the request that causes it until the last watcher has it:"
    );
    for watchers in [1, 10, 100] {
        let mut watching: Vec<_> = (0..watchers).map(|_| join(socket, encoding)).collect();
        for stream in &mut watching {
            stream.write_all(&watch(None)).expect("it is sent");
            told(stream, encoding);
        }
        let mut times = Vec::new();
        for n in 0..50 {
            let began = Instant::now();
            edit(events + n).await;
            for stream in &mut watching {
                receive(stream);
            }
            times.push(began.elapsed());
        }
        let times = Times::new(times);
        let (median, p99) = (times.percent(50), times.percent(99));
        println!("{watchers:>4} watchers: median {median:.2} ms, p99 {p99:.2} ms");
    }
}

/// Reads a watch up to the end of its state: how many messages, of how many bytes in all.
fn told(stream: &mut impl Read, encoding: Encoding) -> (usize, usize) {
    let (mut messages, mut bytes) = (0, 0);
    loop {
        let frame = receive(stream);
        (messages, bytes) = (messages + 1, bytes + frame.len());
        if let Ok(Message::InSync { .. }) = encoding.decode(&frame) {
            return (messages, bytes);
        }
    }
}

fn told_in_full(stream: &mut UnixStream, encoding: Encoding, messages: usize) {
    let mut stream = BufReader::new(stream);
    for _ in 1..messages {
        receive(&mut stream);
    }
    let last = encoding.decode(&receive(&mut stream)).expect("a message");
    assert!(matches!(last, Message::InSync { .. }), "{last:?}");
}

/// Asks on all connections, and reads on all: how long it takes until the last has everything.
fn to_all(
    streams: &mut [UnixStream],
    ask: &[u8],
    read: impl Fn(&mut UnixStream) + Sync,
) -> Duration {
    let read = &read;
    let began = Instant::now();
    std::thread::scope(|scope| {
        for stream in streams {
            scope.spawn(move || {
                stream.write_all(ask).expect("it is sent");
                read(stream);
            });
        }
    });
    began.elapsed()
}

// ---- idle -------------------------------------------------------------------------------------------

fn idle(stage: &Stage, socket: &Path) {
    const IDLE: u32 = 900;
    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let before = Held::by(pid);
    let connections: Vec<_> = (0..IDLE).map(|_| join(socket, Encoding::Bincode)).collect();
    let with = Held::by(pid);
    println!(
        "\n{IDLE} idle connections: {} each\nwithout: {before}\nwith:    {with}",
        with.each(&before, IDLE)
    );
    drop(connections);
}

// ---- frames -----------------------------------------------------------------------------------------

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a length");
    [&length.to_be_bytes(), bytes].concat()
}

fn receive(stream: &mut impl Read) -> Vec<u8> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).expect("a frame");
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(head)).expect("a length")];
    stream.read_exact(&mut frame).expect("a whole frame");
    frame
}

/// A connection that is welcome.
fn join(socket: &Path, encoding: Encoding) -> UnixStream {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    let client = "a benchmark".to_owned();
    let hello = framed(Hello { encoding, client }.to_string().as_bytes());
    stream.write_all(&hello).expect("it is sent");
    assert!(receive(&mut stream).starts_with(b"wasession/1 ok "));
    stream
}
