//! What a hostile or careless program may try on the socket. Each attack runs in a process of its own,
//! and says what it was answered.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use wasessiond::protocol::codec::Encoding;
use wasessiond::protocol::preface::Hello;

use crate::process::Client;

/// Every attack, what it does, and what a part of its answer must be.
pub(crate) const ATTACKS: [(&str, &str, &str); 18] = [
    (
        "http",
        "200 × a request of HTTP",
        "200 × error this is the control socket",
    ),
    (
        "lengths",
        "200 × a first frame of 4 GiB",
        "200 × error this is the control socket",
    ),
    (
        "terabyte",
        "200 × a string of 1 TiB in 15 bytes of bincode",
        "200 × invalid_request",
    ),
    ("empty", "200 × an empty frame", "200 × invalid_request"),
    ("noise", "200 × 4 KiB of noise after the preface", "200 × "),
    ("nested", "50 × 1 MiB of [[[[", "50 × invalid_request"),
    ("largest", "50 × a ping in a frame of 1 MiB", "50 × pong"),
    (
        "too large",
        "200 × a frame of 1 MiB and a byte",
        "200 × invalid_request",
    ),
    (
        "pipeline",
        "10,000 pings, and only then reading",
        "10000 × pong",
    ),
    (
        "flood",
        "32 connections, pings without end, for 3 s",
        "32 × pong",
    ),
    (
        "lists",
        "32 connections, 10,000 × list, never reading, for 3 s",
        "32 × not answered",
    ),
    (
        "watches",
        "60 connections, 200 × a watch of 1000 names each",
        "60 × watching",
    ),
    (
        "connects",
        "10,000 connections, one after the other",
        "9936 × error uid",
    ),
    (
        "killed",
        "30 connections, everything at once, then SIGKILL",
        "killed",
    ),
    (
        "half frames",
        "60 connections that begin a frame, or send it by the byte",
        "60 × invalid_request",
    ),
    (
        "silence",
        "60 connections that say nothing",
        "60 × error no preface came",
    ),
    (
        "deaf",
        "30 connections that ask and never read",
        "30 × dropped",
    ),
    (
        PINNED,
        "all turns held, 28 connections, 32 × 1 MiB each that must wait, then force-logout",
        "4 × logged_out",
    ),
];

/// The attack that needs sessions which reach nothing.
pub(crate) const PINNED: &str = "pinned";

/// Carries out the attack of this name, and tells what was answered how often.
pub(crate) fn carry_out(name: &str, socket: &Path) -> String {
    let mut told = Told::default();
    let mut many = |times: usize, attack: &dyn Fn(&Path) -> String| {
        for _ in 0..times {
            told.count(attack(socket));
        }
    };
    match name {
        "http" => many(200, &|s| {
            first(s, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        }),
        "lengths" => many(200, &|s| first(s, &[0xff; 8])),
        "terabyte" => {
            // Request 1, `connect`, a user's name of 2^40 bytes.
            let frame = [&[1, 3, 253], (1_u64 << 40).to_le_bytes().as_slice()].concat();
            many(200, &|s| after(s, Encoding::Bincode, &framed(&frame)));
        }
        "empty" => many(200, &|s| after(s, Encoding::Json, &framed(b""))),
        "noise" => many(200, &|s| after(s, Encoding::Bincode, &noise(4096))),
        "nested" => many(50, &|s| {
            after(s, Encoding::Json, &framed(&vec![b'['; 1 << 20]))
        }),
        "largest" => {
            let mut ping = br#"{"id":1,"command":"ping"}"#.to_vec();
            ping.resize(1 << 20, b' ');
            many(50, &|s| after(s, Encoding::Json, &framed(&ping)));
        }
        "too large" => many(200, &|s| {
            after(s, Encoding::Json, &(1_u32 << 20 | 1).to_be_bytes())
        }),
        "pipeline" => pipeline(socket, &mut told),
        "flood" => together(socket, 32, &mut told, |client| {
            flood(client, &framed(PING), Duration::from_secs(3), true)
        }),
        "lists" => together(socket, 32, &mut told, |client| {
            let list = framed(br#"{"id":1,"command":{"list":{"after":null}}}"#);
            flood(client, &list, Duration::from_secs(3), false)
        }),
        "watches" => together(socket, 60, &mut told, watches),
        "connects" => connects(socket, &mut told),
        "killed" => {
            everything_at_once(socket);
            raise(Signal::SIGKILL).expect("its end");
        }
        "half frames" => together(socket, 60, &mut told, half_frame),
        "silence" => silence(socket, &mut told),
        "deaf" => together(socket, 30, &mut told, deaf),
        PINNED => pinned(socket, &mut told),
        _ => panic!("there is no attack {name:?}"),
    }
    told.to_text()
}

const PING: &[u8] = br#"{"id":1,"command":"ping"}"#;

#[derive(Default)]
struct Told(BTreeMap<String, usize>);

impl Told {
    fn count(&mut self, told: String) {
        *self.0.entry(told).or_default() += 1;
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for (told, times) in &self.0 {
            let _ = write!(text, "{times} × {told}; ");
        }
        text.trim_end_matches("; ").to_owned()
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a length");
    [&length.to_be_bytes(), bytes].concat()
}

/// Noise that is the same each time.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// What a connection is told to these first bytes.
fn first(socket: &Path, bytes: &[u8]) -> String {
    let mut client = Client::connect(socket);
    let _ = client.0.write_all(bytes);
    last_word(&mut client)
}

/// What a connection is told to these bytes after a good preface.
fn after(socket: &Path, encoding: Encoding, bytes: &[u8]) -> String {
    let mut client = Client::connect(socket);
    let hello = Hello {
        encoding,
        client: String::new(),
    };
    client.send(&hello.to_string());
    client.receive().expect("a welcome");
    let _ = client.0.write_all(bytes);
    let _ = client.0.shutdown(Shutdown::Write);
    last_word(&mut client)
}

/// The last frame before the end, in a word or two. In bincode, whatever is readable in it.
fn last_word(client: &mut Client) -> String {
    let mut last = "nothing".to_owned();
    loop {
        let mut head = [0; 4];
        if client.0.read_exact(&mut head).is_err() {
            return last;
        }
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(head)).expect("a length")];
        client.0.read_exact(&mut frame).expect("a whole frame");
        last = in_short(&String::from_utf8_lossy(&frame));
    }
}

fn in_short(frame: &str) -> String {
    if let Some(rest) = frame.strip_prefix("wasession/1 ") {
        let words: Vec<_> = rest.split([' ', ':']).take(7).collect();
        return words.join(" ");
    }
    for word in [
        "pong",
        "watching",
        "invalid_request",
        "invalid_argument",
        "stopping",
        "logged_out",
    ] {
        if frame.contains(word) {
            return word.to_owned();
        }
    }
    // The failure's code is a number in bincode; what is said with it is in words.
    if frame.contains("The connection is closed") {
        return "invalid_request".to_owned();
    }
    format!("{frame:.40}")
}

fn welcome(socket: &Path) -> Client {
    let mut client = Client::connect(socket);
    client.say_hello();
    client
}

/// So many connections at a time, each on a thread.
fn together(socket: &Path, many: usize, told: &mut Told, attack: impl Fn(Client) -> String + Sync) {
    let clients: Vec<_> = (0..many).map(|_| welcome(socket)).collect();
    let attack = &attack;
    std::thread::scope(|scope| {
        let all: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || attack(client)))
            .collect();
        for one in all {
            told.count(one.join().expect("an attacker"));
        }
    });
}

fn pipeline(socket: &Path, told: &mut Told) {
    let mut client = welcome(socket);
    let mut writing = client.0.try_clone().expect("a second hand");
    // The kernel holds a part of it; the rest waits until reading begins.
    let writer = std::thread::spawn(move || writing.write_all(&framed(PING).repeat(10_000)));
    for _ in 0..10_000 {
        told.count(in_short(&client.receive().expect("a reply")));
    }
    writer.join().expect("a writer").expect("it is sent");
}

/// Sends the same over and over; reading or not.
fn flood(mut client: Client, frame: &[u8], time: Duration, reading: bool) -> String {
    let until = Instant::now() + time;
    let many = frame.repeat(1000);
    if reading {
        let mut writing = client.0.try_clone().expect("a second hand");
        let mut told = "nothing".to_owned();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while Instant::now() < until && writing.write_all(&many).is_ok() {}
                let _ = writing.shutdown(Shutdown::Write);
            });
            while let Some(reply) = client.receive() {
                told = in_short(&reply);
            }
        });
        return told;
    }
    let short = Some(Duration::from_millis(100));
    client.0.set_write_timeout(short).expect("a time-out");
    let mut sent = 0;
    while Instant::now() < until && sent < 10_000 {
        if client.0.write_all(&many).is_ok() {
            sent += 1000;
        }
    }
    "not answered".to_owned()
}

fn watches(mut client: Client) -> String {
    let names: Vec<_> = (0..1000).map(|n| format!("user-{n}")).collect();
    let watch = serde_json::json!({"id": 1, "command": {"watch": {"users": names, "since": null}}});
    let frame = framed(watch.to_string().as_bytes());
    let mut writing = client.0.try_clone().expect("a second hand");
    let mut told = "nothing".to_owned();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..200 {
                if writing.write_all(&frame).is_err() {
                    return;
                }
            }
            let _ = writing.shutdown(Shutdown::Write);
        });
        while let Some(reply) = client.receive() {
            if reply.contains("watching") {
                told = in_short(&reply);
            }
        }
    });
    told
}

/// The connections that a uid may have, unless the configuration says otherwise.
const LIMIT: usize = 64;

/// Connects over and over; keeps what it gets, up to the limit.
fn connects(socket: &Path, told: &mut Told) {
    let mut kept = Vec::new();
    for _ in 0..10_000 {
        let mut client = Client::connect(socket);
        if kept.len() < LIMIT {
            client.say_hello();
            told.count("ok".to_owned());
            kept.push(client);
        } else {
            told.count(last_word(&mut client));
        }
    }
}

fn half_frame(mut client: Client) -> String {
    let frame = framed(&[b' '; 255]);
    let _ = client.0.write_all(&frame[..2]);
    let short = Some(Duration::from_millis(500));
    client.0.set_read_timeout(short).expect("a time-out");
    let mut answer = Vec::new();
    for byte in &frame[2..] {
        let mut some = [0; 4096];
        match client.0.read(&mut some) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&some[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let _ = client.0.write_all(&[*byte]);
            }
            Err(_) => break,
        }
    }
    in_short(&String::from_utf8_lossy(&answer))
}

fn silence(socket: &Path, told: &mut Told) {
    let mut clients: Vec<_> = (0..60).map(|_| Client::connect(socket)).collect();
    for client in &mut clients {
        told.count(last_word(client));
    }
}

/// Asks until nothing is taken any more, and then waits to be dropped, without reading.
fn deaf(mut client: Client) -> String {
    let many = framed(br#"{"id":1,"command":"info"}"#).repeat(100);
    let short = Some(Duration::from_secs(1));
    client.0.set_write_timeout(short).expect("a time-out");
    let began = Instant::now();
    loop {
        match client.0.write(&many) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return "dropped".to_owned(),
        }
        if began.elapsed() > Duration::from_secs(50) {
            return "not dropped".to_owned();
        }
    }
}

/// Begins everything there is, and leaves half of a frame as the last word.
fn everything_at_once(socket: &Path) {
    let watch = framed(br#"{"id":1,"command":{"watch":{"users":[],"since":null}}}"#);
    let list = framed(br#"{"id":2,"command":{"list":{"after":null}}}"#);
    let gone = framed(br#"{"id":3,"command":{"force_logout":{"user":"nobody"}}}"#);
    let mut all = [watch, list, gone, framed(PING)].concat().repeat(100);
    all.extend_from_slice(&[0, 0]);
    for _ in 0..30 {
        let mut client = welcome(socket);
        let _ = client.0.write_all(&all);
        // It stays open until the process ends.
        std::mem::forget(client);
    }
}

/// Holds every turn that a uid has, with pair codes that do not come while WhatsApp cannot be reached,
/// and then sends as much as it can of what must wait for a turn.
fn pinned(socket: &Path, told: &mut Told) {
    let mut holders: Vec<_> = (0..4).map(|_| welcome(socket)).collect();
    for (nth, client) in holders.iter_mut().enumerate() {
        for id in 0..32 {
            let phone = format!("+1555010000{nth}");
            let connect = serde_json::json!({"connect": {"user": user(nth), "phone": phone}});
            client.send(&serde_json::json!({"id": id, "command": connect}).to_string());
        }
    }
    let jids = vec!["1203630123456789012@g.us"; (1 << 20) / 32];
    let targets = serde_json::json!({"targets": {"user": user(0), "edit": {"set": jids}}});
    let frame = framed(
        serde_json::json!({"id": 1, "command": targets})
            .to_string()
            .as_bytes(),
    );
    let mut pinning: Vec<_> = (0..28).map(|_| welcome(socket)).collect();
    std::thread::scope(|scope| {
        for client in &mut pinning {
            let frame = &frame;
            scope.spawn(move || {
                let short = Some(Duration::from_secs(2));
                client.0.set_write_timeout(short).expect("a time-out");
                // It goes on until nothing is taken any more.
                (0..32)
                    .take_while(|_| client.0.write_all(frame).is_ok())
                    .count();
            });
        }
    });
    // The way out of all this does not wait behind it.
    let mut way_out = welcome(socket);
    for nth in 0..4 {
        let command = serde_json::json!({"force_logout": {"user": user(nth)}});
        way_out.send(&serde_json::json!({"id": nth, "command": command}).to_string());
        told.count(in_short(&way_out.receive().expect("a reply")));
    }
}

fn user(nth: usize) -> String {
    format!("pinned-{nth}")
}
