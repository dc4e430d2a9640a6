//! Sequences of frames against the real connection handler of a real daemon, which lives as long as
//! the process. What a client may say is made of the fuzzer's bytes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wasessiond::blocking::Rooms;
use wasessiond::daemon::access::Peer;
use wasessiond::daemon::allowance::Allowance;
use wasessiond::daemon::connection::serve;
use wasessiond::daemon::source::Source;
use wasessiond::daemon::state::{About, Daemon};
use wasessiond::protocol::codec::Encoding;
use wasessiond::protocol::preface::Hello;
use wasessiond::protocol::{Command, Message, Request, Since, TargetEdit};
use wasessiond::service::environment::Environment;
use wasessiond::service::logging::FilterHandle;
use wasessiond::service::notify::Notifier;
use wasessiond::store::Store;
use wasessiond::supervisor::Supervisor;
use wasessiond::whatsapp::{Gateway, GatewaySettings};

/// No conversation takes longer: the client closes, and the daemon must notice.
const WITHIN: Duration = Duration::from_secs(30);

struct House {
    runtime: Runtime,
    daemon: Daemon,
    _directory: TempDir,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let directory = tempfile::tempdir().expect("a directory");
        let daemon = runtime.block_on(daemon(&directory));
        House {
            runtime,
            daemon,
            _directory: directory,
        }
    })
}

/// A daemon that reaches nobody: where a session connects, nothing listens.
async fn daemon(directory: &TempDir) -> Daemon {
    let store = Store::open(&directory.path().join("state")).expect("a store");
    let to_nobody = GatewaySettings {
        endpoint: Some("ws://127.0.0.1:9/ws/chat".to_owned()),
        version: Some((2, 3000, 1)),
        ..GatewaySettings::default()
    };
    let gateway = Gateway::new(&to_nobody, &Rooms::new());
    let config = directory.path().join("config.toml");
    std::fs::write(&config, "").expect("a configuration");
    let source = Source::new(Some(&config), &Environment::default());
    let rooms = Rooms::new();
    let loaded = source.load(&rooms).await;
    let (in_force, _) = loaded.expect("an empty configuration");
    let settings = in_force.config.settings();
    let supervisor = Supervisor::start(store, gateway.expect("a gateway"), settings).await;
    Daemon::new(
        supervisor.expect("a supervisor"),
        in_force,
        source,
        rooms,
        About {
            started_at: jiff::Timestamp::now(),
            state_directory: directory.path().to_owned(),
        },
        FilterHandle::detached(),
        Arc::new(Notifier::default()),
    )
}

/// A conversation made of these bytes: every request that can be read is answered, with its number, and
/// the next client is served.
pub(crate) fn hold(bytes: &[u8]) {
    let House {
        runtime, daemon, ..
    } = house();
    runtime.block_on(async {
        let ended = timeout(WITHIN, converse(daemon, bytes)).await;
        ended.expect("the conversation ends");
        let ping = converse(daemon, &[1, PING, 0]).await;
        assert_eq!(ping, [Some(0)], "the next client is not served");
    });
}

/// What byte stands for a ping.
const PING: u8 = 9;

/// Says all of it, closes, and returns the numbers of the replies; `None`: the goodbye.
async fn converse(daemon: &Daemon, bytes: &[u8]) -> Vec<Option<u64>> {
    let (first, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let encoding = [Encoding::Json, Encoding::Bincode][usize::from(first & 1)];
    // A quarter of the clients see everything.
    let uid = if first & 6 == 6 { 0 } else { 4711 };
    let (frames, expected) = script(encoding, bytes);
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let peer = Peer {
        uid,
        pid: None,
        groups: [uid].into(),
    };
    let (theirs_read, theirs_write) = tokio::io::split(theirs);
    let served = serve(
        theirs_read,
        theirs_write,
        peer,
        daemon.clone(),
        Allowance::default(),
        CancellationToken::new(),
    );
    let (mut read, mut write) = tokio::io::split(ours);
    let speak = async {
        let client = "fuzz".to_owned();
        let hello = Hello { encoding, client }.to_string();
        // It may close before it has heard everything.
        let _ = write.write_all(&framed(hello.as_bytes())).await;
        let _ = write.write_all(&frames).await;
        let _ = write.shutdown().await;
    };
    let listen = async {
        let mut answer = Vec::new();
        read.read_to_end(&mut answer).await.expect("an answer");
        answer
    };
    let ((), (), answer) = tokio::join!(served, speak, listen);
    let mut answered = Vec::new();
    for frame in unframed(&answer).skip(1) {
        match encoding.decode::<Message>(frame).expect("a message") {
            Message::Reply(reply) => answered.push(Some(reply.id)),
            Message::Closing(_) => answered.push(None),
            _ => {}
        }
    }
    if let Some(expected) = expected {
        let mut expected: Vec<_> = expected.into_iter().map(Some).collect();
        expected.sort_unstable();
        let mut sorted = answered.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected, "each request has its reply");
    }
    answered
}

/// Frames made of bytes, and the numbers of the requests among them, where these are known.
fn script(encoding: Encoding, mut bytes: &[u8]) -> (Vec<u8>, Option<Vec<u64>>) {
    let (mut frames, mut ids) = (Vec::new(), Some(Vec::new()));
    while let [verb, rest @ ..] = bytes {
        let (argument, after) = rest.split_first().unwrap_or((&0, &[]));
        bytes = after;
        let user = || ["alice", "bob", "", "../x"][usize::from(argument % 4)].to_owned();
        let command = match verb % 16 {
            0 => Command::Connect {
                user: user(),
                // A pair code would be waited for.
                phone: (argument & 4 != 0).then(|| "no number".to_owned()),
                expect: (argument & 8 != 0).then(|| "+15550100999".to_owned()),
                proxy: (argument & 16 != 0).then(|| "none".into()),
            },
            1 => Command::Disconnect { user: user() },
            2 => Command::ForceLogout { user: user() },
            3 => Command::Status { user: user() },
            4 => Command::List {
                after: (argument & 8 != 0).then(user),
            },
            5 => Command::Watch {
                users: (0..argument % 3).map(|_| user()).collect(),
                since: (argument & 8 != 0).then(|| Since {
                    epoch: None,
                    seq: u64::from(*argument),
                }),
            },
            6 => Command::History {
                user: (argument & 8 != 0).then(user),
                limit: Some(u32::from(*argument)),
                before: None,
            },
            7 => Command::Targets {
                user: user(),
                edit: TargetEdit::Set(vec!["123@g.us".to_owned()]),
            },
            8 => Command::Info,
            // The bytes themselves, as a frame and as they are. What they mean is not known here: they
            // may be a request, or the end of it all.
            14 | 15 => {
                let (raw, after) = bytes.split_at(bytes.len().min(usize::from(*argument)));
                bytes = after;
                if verb % 16 == 14 {
                    frames.extend(framed(raw));
                } else {
                    frames.extend_from_slice(raw);
                }
                ids = None;
                continue;
            }
            _ => Command::Ping,
        };
        let request = Request {
            id: u64::from(*argument),
            command,
        };
        if let Some(ids) = &mut ids {
            ids.push(request.id);
        }
        frames.extend(framed(&encoding.encode(&request).expect("a request")));
    }
    (frames, ids)
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a length");
    [&length.to_be_bytes(), bytes].concat()
}

/// The frames of what the daemon said, which must be whole.
fn unframed(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*head)).expect("a length");
        let (frame, rest) = rest.split_at_checked(length).expect("a whole frame");
        bytes = rest;
        Some(frame)
    })
}
