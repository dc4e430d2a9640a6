//! The real `wactl` against a daemon's end on a real socket.

#![cfg(feature = "ctl")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command as Process, Stdio};
use std::thread::JoinHandle;

use wasessiond::protocol::codec::Encoding;
use wasessiond::protocol::preface::{Hello, Welcome};
use wasessiond::protocol::{
    Answer, Cause, Command, Event, EventKind, Failure, FailureCode, HistoryEntry, HistoryPage,
    Message, Passkey, PasskeyAction, PasskeyChallenge, PasskeyStep, Phase, Qr, Redacted, Removed,
    Reply, Request, Status, Unlink, Watching,
};

/// The daemon's end of one connection.
struct Daemon {
    stream: UnixStream,
    encoding: Encoding,
}

impl Daemon {
    fn read(stream: &mut UnixStream) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).ok()?;
        Some(frame)
    }

    /// Nobody minds when the client is gone.
    fn write(stream: &mut UnixStream, frame: &[u8]) {
        let length = u32::try_from(frame.len()).expect("short").to_be_bytes();
        let _ = stream.write_all(&[&length, frame].concat());
    }

    fn accept(listener: &UnixListener) -> Self {
        let (mut stream, _) = listener.accept().expect("a client");
        let hello = Self::read(&mut stream).expect("a preface");
        let hello = Hello::parse(&hello).expect("a good preface");
        assert!(hello.client.starts_with("wactl/"), "{}", hello.client);
        let welcome = Welcome::Ok("wasessiond/9.9".to_owned()).to_string();
        Self::write(&mut stream, welcome.as_bytes());
        Self {
            stream,
            encoding: hello.encoding,
        }
    }

    fn request(&mut self) -> Option<Request> {
        let frame = Self::read(&mut self.stream)?;
        Some(self.encoding.decode(&frame).expect("a request"))
    }

    fn send(&mut self, message: &Message) {
        let frame = self.encoding.encode(message).expect("a message");
        Self::write(&mut self.stream, &frame);
    }

    fn reply(&mut self, id: u64, result: Result<Answer, Failure>) {
        self.send(&Message::Reply(Reply { id, result }));
    }

    /// Answers a question about the history: nothing so far.
    fn tell_empty_history(&mut self) {
        let asked = self.request().expect("a question");
        assert!(matches!(asked.command, Command::History { .. }));
        let nothing = HistoryPage {
            entries: Vec::new(),
            next: None,
        };
        self.reply(asked.id, Ok(Answer::History(nothing)));
    }

    /// Answers a watch, of nothing so far.
    fn begin_watch(&mut self, id: u64, seq: u64) {
        let watching = Watching {
            epoch: 5,
            seq,
            gap: false,
        };
        self.reply(id, Ok(Answer::Watching(watching)));
        self.send(&Message::InSync { seq });
    }

    /// Answers a watch and the command to connect.
    fn begin(&mut self, now: Status) {
        let watch = self.request().expect("a watch");
        assert!(matches!(watch.command, Command::Watch { .. }));
        self.begin_watch(watch.id, 41);
        let connect = self.request().expect("a command");
        assert!(matches!(connect.command, Command::Connect { .. }));
        self.reply(connect.id, Ok(Answer::Status(Box::new(now))));
    }
}

/// Starts `wactl` with these words, on a socket where the daemon's end does what the script says.
fn start(
    words: &[&str],
    script: impl FnOnce(Daemon) + Send + 'static,
) -> (Child, JoinHandle<()>, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("control.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    let daemon = std::thread::spawn(move || script(Daemon::accept(&listener)));
    let wactl = Process::new(env!("CARGO_BIN_EXE_wactl"))
        .arg("--socket")
        .arg(&socket)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("wactl starts");
    (wactl, daemon, directory)
}

/// Runs it to its end: the exit status, what it wrote, what it said.
fn run(words: &[&str], script: impl FnOnce(Daemon) + Send + 'static) -> (i32, String, String) {
    let (wactl, daemon, _directory) = start(words, script);
    let output = wactl.wait_with_output().expect("it ends");
    daemon.join().expect("the script was followed");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let exit = output.status.code().expect("an exit status");
    (exit, text(output.stdout), text(output.stderr))
}

fn status(phase: Phase) -> Status {
    let now = "2026-11-24T09:12:03Z".parse().expect("a time");
    Status {
        user: "alice".parse().expect("a user id"),
        phase,
        since: now,
        next_action: "Nothing to do.".to_owned(),
        owner: 1000,
        account: None,
        connecting: None,
        qr: (phase == Phase::AwaitingScan).then(|| Qr {
            code: Some(Redacted::from("2@code,key,key,key")),
            number: 1,
            remaining: 5,
            expires_at: now,
        }),
        pair_code: None,
        retry_at: None,
        held_until: None,
        reason: None,
        error: None,
        targets: vec![],
        last_activity: None,
        restrictions: vec![],
        warnings: vec![],
        appeal_token: None,
        passkey: None,
        proxy: None,
        expect: None,
    }
}

fn event(seq: u64, kind: EventKind, phase: Phase) -> Message {
    let status = status(phase);
    Message::Event(Box::new(Event {
        seq,
        at: status.since,
        user: status.user.clone(),
        kind,
        status: Some(status),
    }))
}

#[test]
fn a_session_is_brought_online() {
    let (exit, out, talk) = run(&["connect", "alice"], |mut daemon| {
        daemon.begin(status(Phase::AwaitingScan));
        daemon.send(&event(42, EventKind::Online, Phase::Online));
        let confirm = daemon.request().expect("a last question");
        daemon.reply(
            confirm.id,
            Ok(Answer::Status(Box::new(status(Phase::Online)))),
        );
        assert_eq!(daemon.request(), None);
    });
    assert_eq!(exit, 0, "{talk}");
    assert!(out.contains("█▀") && !out.contains('\u{1b}'), "{out}");
    assert!(
        out.ends_with("alice: online as an account not known yet\n"),
        "{out}"
    );
    assert!(talk.starts_with("QR code 1 of 6, "), "{talk}");
}

#[test]
fn no_session_is_3() {
    let (exit, out, talk) = run(&["status", "alice"], |mut daemon| {
        let id = daemon.request().expect("a request").id;
        let no = Failure::new(FailureCode::NotFound, "alice has no session.");
        daemon.reply(id, Err(no));
    });
    assert_eq!((exit, out.as_str()), (3, ""));
    assert_eq!(talk, "wactl: alice has no session.\n");
}

#[test]
fn another_protocol_is_76() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("control.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .expect("sent");
        // Until the client has seen enough.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let output = Process::new(env!("CARGO_BIN_EXE_wactl"))
        .arg("list")
        .env("WASESSIOND_SOCKET", &socket)
        .output()
        .expect("wactl runs");
    daemon.join().expect("the script was followed");
    assert_eq!(output.status.code(), Some(76));
}

#[test]
fn a_reader_that_has_enough_ends_the_watch() {
    let (mut wactl, daemon, _directory) = start(&["--json", "watch"], |mut daemon| {
        daemon.tell_empty_history();
        let id = daemon.request().expect("a watch").id;
        daemon.begin_watch(id, 0);
        // Until the client goes, which it notices when it writes.
        let mut seq = 0;
        daemon.stream.set_nonblocking(true).expect("set");
        while daemon.stream.read(&mut [0]).map_err(|e| e.kind())
            == Err(std::io::ErrorKind::WouldBlock)
        {
            seq += 1;
            daemon.send(&event(seq, EventKind::Online, Phase::Online));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    let mut lines = BufReader::new(wactl.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert_eq!(
        first,
        r#"{"schema":1,"watching":{"epoch":5,"seq":0,"gap":false,"sessions":[]}}"#
    );
    let second = lines.next().expect("a line").expect("text");
    assert!(second.contains(r#""event":"online""#), "{second}");
    drop(lines);
    let output = wactl.wait_with_output().expect("it ends");
    daemon.join().expect("the script was followed");
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn ctrl_c_leaves_the_session_alone() {
    let (wactl, daemon, _directory) = start(&["connect", "alice"], |mut daemon| {
        daemon.begin(status(Phase::Connecting));
        assert_eq!(daemon.request(), None, "something was asked after Ctrl-C");
    });
    let pid = wactl.id().to_string();
    let mut wactl = wactl;
    let mut talk = BufReader::new(wactl.stderr.take().expect("a pipe"));
    let mut line = String::new();
    talk.read_line(&mut line).expect("text");
    assert_eq!(line, "alice: connecting\n");
    let killed = Process::new("kill").args(["-INT", &pid]).status();
    assert!(killed.expect("kill runs").success());
    let mut rest = String::new();
    talk.read_to_string(&mut rest).expect("text");
    assert_eq!(wactl.wait().expect("it ends").code(), Some(130));
    assert!(
        rest.starts_with("wactl: the session of alice goes on in the daemon"),
        "{rest}"
    );
    daemon.join().expect("the script was followed");
}

/// WhatsApp wants a passkey: `connect` says what is asked and what to do, and shows the code to compare.
#[test]
fn connect_says_what_a_passkey_needs() {
    let wants = |step: PasskeyStep, code: Option<&str>| {
        let now = status(Phase::AwaitingScan);
        Status {
            qr: None,
            reason: Some(Cause::PasskeyRequired),
            next_action: format!("Do what {step} needs."),
            passkey: Some(Passkey {
                step,
                code: code.map(Redacted::from),
                expires_at: now.since,
            }),
            ..now
        }
    };
    let (exit, out, talk) = run(&["connect", "alice"], move |mut daemon| {
        daemon.begin(wants(PasskeyStep::Challenge, None));
        let compared = wants(PasskeyStep::Confirmation, Some("ABCD-1234"));
        daemon.send(&Message::Event(Box::new(Event {
            seq: 42,
            at: compared.since,
            user: compared.user.clone(),
            kind: EventKind::Passkey,
            status: Some(compared),
        })));
        let mut ended = status(Phase::LoggingOut);
        ended.reason = Some(Cause::PasskeyRequired);
        let entry = HistoryEntry {
            at: ended.since,
            user: ended.user.clone(),
            cause: Cause::PasskeyRequired,
            account: None,
            owner: 1000,
            requested_by: None,
            unlink: Unlink::NotLinked,
            removed: Removed::default(),
            text: Some("the connection was lost".to_owned()),
            appeal_token: None,
            restrictions: vec![],
            linked_at: None,
        };
        daemon.send(&Message::Event(Box::new(Event {
            seq: 43,
            at: ended.since,
            user: ended.user.clone(),
            kind: EventKind::LoggedOut(Box::new(entry)),
            status: None,
        })));
        let asked = daemon.request().expect("a last question");
        let gone = Failure::new(FailureCode::NotFound, "alice has no session.");
        daemon.reply(asked.id, Err(gone));
    });
    assert_eq!(exit, 4, "{talk}");
    assert!(out.contains("Do what challenge needs."), "{out}");
    assert!(out.contains("A B C D - 1 2 3 4"), "{out}");
    assert!(talk.contains("alice: passkey: challenge, "), "{talk}");
    let end = "wactl: alice is not linked: WhatsApp wants a passkey for the pairing. the connection was lost";
    assert!(talk.contains(end), "{talk}");
}

/// The challenge goes to the standard output as it came, and the answer comes from a file.
#[test]
fn a_passkey_is_fetched_answered_and_confirmed() {
    const CHALLENGE: &str = r#"{ "challenge": "AQID",  "rpId": "whatsapp.com" }"#;
    fn action(daemon: &mut Daemon) -> (u64, PasskeyAction) {
        match daemon.request() {
            Some(Request {
                id,
                command: Command::Passkey { user, action },
            }) if user == "alice" => (id, action),
            other => panic!("{other:?}"),
        }
    }
    fn tell(mut daemon: Daemon) {
        let (id, asked) = action(&mut daemon);
        assert_eq!(asked, PasskeyAction::Challenge);
        let challenge = PasskeyChallenge {
            options: CHALLENGE.into(),
            expires_at: "2026-11-24T09:12:03Z".parse().expect("a time"),
        };
        daemon.reply(id, Ok(Answer::Passkey(challenge)));
    }
    let (exit, out, talk) = run(&["passkey", "alice"], tell);
    assert_eq!((exit, out), (0, format!("{CHALLENGE}\n")), "{talk}");
    let (exit, out, talk) = run(&["--json", "passkey", "alice"], tell);
    assert_eq!(exit, 0, "{talk}");
    assert_eq!(
        out,
        "{\"schema\":1,\"user\":\"alice\",\"step\":\"challenge\",\"options\":{\"challenge\":\"AQID\",\"rpId\":\"whatsapp.com\"},\"expires_at\":\"2026-11-24T09:12:03Z\"}\n"
    );

    // In a later step the error says which one it is, with the code to compare.
    let later = |mut daemon: Daemon| {
        let (id, _) = action(&mut daemon);
        let not_now = Failure::new(FailureCode::NotAwaited, "compare the codes");
        daemon.reply(id, Err(not_now));
        let asked = daemon.request().expect("a question");
        let comparing = Status {
            passkey: Some(Passkey {
                step: PasskeyStep::Confirmation,
                code: Some("ABCD-1234".into()),
                expires_at: "2026-11-24T09:12:03Z".parse().expect("a time"),
            }),
            ..status(Phase::AwaitingScan)
        };
        daemon.reply(asked.id, Ok(Answer::Status(Box::new(comparing))));
    };
    let (exit, out, talk) = run(&["passkey", "alice"], later);
    assert_eq!((exit, out.as_str()), (1, ""));
    assert_eq!(talk, "wactl: compare the codes\nThe code is ABCD-1234\n");
    let (exit, out, _) = run(&["--json", "passkey", "alice"], later);
    assert_eq!(exit, 1);
    assert!(out.contains("\"step\":\"confirmation\""), "{out}");

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("answer.json");
    std::fs::write(&file, "{\"rawId\":\"AQ\"}\n").expect("written");
    let file = file.to_str().expect("text");
    let words = ["passkey", "alice", "--assertion", file];
    let (exit, _, talk) = run(&words, |mut daemon| {
        let (id, asked) = action(&mut daemon);
        assert_eq!(asked, PasskeyAction::Assert("{\"rawId\":\"AQ\"}".into()));
        daemon.reply(
            id,
            Ok(Answer::Status(Box::new(status(Phase::AwaitingScan)))),
        );
    });
    assert_eq!(exit, 0, "{talk}");
    let (exit, _, talk) = run(&["passkey", "alice", "--confirm"], |mut daemon| {
        let (id, asked) = action(&mut daemon);
        assert_eq!(asked, PasskeyAction::Confirm);
        let early = Failure::new(FailureCode::NotAwaited, "not now");
        daemon.reply(id, Err(early));
    });
    assert_eq!((exit, talk.as_str()), (1, "wactl: not now\n"));
    let words = ["passkey", "alice", "--assertion", "/nowhere/answer.json"];
    let (exit, _, talk) = run(&words, |mut daemon| assert_eq!(daemon.request(), None));
    assert_eq!(exit, 1);
    assert!(talk.contains("/nowhere/answer.json"), "{talk}");
}
