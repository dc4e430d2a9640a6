//! The program, over its control socket.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use support::raw::{Keys, RawClient, text};
use wasim::Server;

/// Somebody who writes.
const STRANGER: &str = "15559990001";

const PHONE: &str = "15550001006";

struct Program {
    child: Child,
    control: PathBuf,
    url: String,
    root_key: [u8; 32],
}

impl Program {
    fn start(directory: &Path) -> Self {
        let control = directory.join("run/wasim.sock");
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasim"))
            .args(["serve", "--json", "--listen", "127.0.0.1:0", "--state"])
            .arg(directory.join("state.json"))
            .arg("--control")
            .arg(&control)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let hex = said["root_key"].as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        Self {
            url: said["url"].as_str().unwrap().to_owned(),
            root_key: std::array::from_fn(byte),
            child,
            control,
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasim"))
            .arg("--control")
            .arg(&self.control)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    /// Ends it as a service manager would.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        assert!(!self.control.exists());
    }
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn blocking(
    program: std::sync::Arc<Program>,
    arguments: Vec<String>,
    input: String,
) -> Output {
    let run = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        program.run_with(&arguments, &input)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_linked_inspected_and_removed_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let program = std::sync::Arc::new(Program::start(directory.path()));
    assert_eq!(stdout(&program.run(&["devices"])), "");

    let keys = Keys::generate();
    let registration = keys.registration();
    let mut client = RawClient::connect_to(
        &program.url,
        &program.root_key,
        &keys,
        &registration,
        usize::MAX,
    )
    .await;
    let (refs, _) = client.refs().await;
    let arguments = ["scan", "-", "--phone", PHONE].map(str::to_owned).to_vec();
    let scan = blocking(
        std::sync::Arc::clone(&program),
        arguments,
        keys.qr(&refs[0]),
    );
    let sign = async {
        let success = client.next().await.unwrap();
        client.sign(&keys, &success, &keys.identity).await;
    };
    let (scanned, ()) = tokio::join!(scan, sign);
    assert_eq!(stdout(&scanned), "15550001006:1@s.whatsapp.net\n");
    assert!(
        stdout(&program.run(&["devices", PHONE]))
            .starts_with("15550001006:1@s.whatsapp.net  offline")
    );

    let login = Keys::login(PHONE.parse().unwrap(), 1);
    let mut client =
        RawClient::connect_to(&program.url, &program.root_key, &keys, &login, usize::MAX).await;
    assert_eq!(client.next().await.unwrap().tag, "success");
    assert!(stdout(&program.run(&["devices"])).contains("online"));
    let logins = stdout(&program.run(&["logins", "--json"]));
    assert!(logins.contains("\"stage\":\"online\""), "{logins}");

    let groups = stdout(&program.run(&["groups", PHONE, "--clear", "--add", "One", "Two"]));
    assert_eq!(groups.lines().count(), 2);
    stdout(&program.run(&["raw", PHONE, r#"{"tag":"ib","children":[{"tag":"dirty"}]}"#]));
    let raw = client.next().await.unwrap();
    assert!(raw.get_optional_child("dirty").is_some());
    let faults = ["fault", "delay=login:5", "--device", PHONE, "--times", "2"];
    stdout(&program.run(&faults));
    assert!(stdout(&program.run(&["faults"])).contains("milliseconds: 5"));
    stdout(&program.run(&["clear-faults"]));
    assert_eq!(stdout(&program.run(&["faults"])), "");

    let received = stdout(&program.run(&["received", PHONE]));
    assert_eq!(received, "");
    let seen = stdout(&program.run(&["observations", "--only", "login", "--device", PHONE]));
    let seen: serde_json::Value = serde_json::from_str(seen.trim()).unwrap();
    assert_eq!(
        (&seen["observation"], &seen["connection"]),
        (&"login".into(), &2.into())
    );
    assert!(seen["at"].as_u64() > Some(1_700_000_000_000));
    stdout(&program.run(&["timelock", PHONE, "--for", "60", "--kind", "DEFAULT"]));
    let news = client.next().await.unwrap();
    let update = news.get_optional_child("update").unwrap();
    assert_eq!(
        text(update, "op_name"),
        "NotificationUserReachoutTimelockUpdate"
    );
    let options = r#"{"challenge":"AAAA","rpId":"whatsapp.com"}"#;
    let signed = stdout(&program.run_with(&["sign-passkey", PHONE, "-"], options));
    assert!(signed.contains("clientDataJSON"), "{signed}");

    let file = directory.path().join("notes.txt");
    std::fs::write(&file, b"\x00some notes\xff").unwrap();
    let file = file.to_str().unwrap();
    let said = stdout(&program.run(&["say", STRANGER, PHONE, "look", "--document", file]));
    let said = said.trim();
    let messages = stdout(&program.run(&["messages", "--id", said]));
    let message: serde_json::Value = serde_json::from_str(messages.trim()).unwrap();
    assert_eq!(message["content"]["caption"], "look");
    assert_eq!(message["content"]["file_name"], "notes.txt");
    let fetched = program.run(&["media", said]);
    assert_eq!(fetched.stdout, b"\x00some notes\xff");
    let waits = stdout(&program.run(&["mailbox", PHONE]));
    assert!(waits.starts_with("1 messages"), "{waits}");
    stdout(&program.run(&["lose-media", said, "--status", "404"]));
    assert_eq!(program.run(&["media", said]).status.code(), Some(1));

    stdout(&program.run(&["unlink", PHONE]));
    let error = client.next().await.unwrap();
    assert_eq!(text(&error, "code"), "401");
    let again = program.run(&["unlink", PHONE]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("0 linked devices"));
    std::sync::Arc::into_inner(program).unwrap().stop();
}

#[test]
fn what_is_not_understood_is_2_and_what_cannot_be_done_is_1() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path());
    let codes = [
        (vec!["nonsense"], 2),
        (vec!["unlink"], 2),
        (vec!["listen", "maybe"], 2),
        (vec!["unlink-answer", "refuse"], 2),
        (vec!["unlink", PHONE], 1),
        (vec!["fault", "nonsense"], 1),
        (vec!["scan", "nonsense"], 1),
        (vec!["raw", "#1", "{\"tag\": 1}"], 1),
        (vec!["listen", "off"], 0),
        (vec!["unlink-answer", "refuse=500"], 0),
        (
            vec!["unlink-answer", "freeze", "--device", "#1", "--times", "1"],
            0,
        ),
        (vec!["passkey", PHONE, "on"], 0),
        (vec!["passkey", PHONE, "perhaps"], 2),
        (vec!["sign-passkey", PHONE, "{}"], 1),
        (vec!["timelock", PHONE, "--lift"], 0),
        (
            vec!["chat-limit", PHONE, "--status", "CAPPED", "--quiet"],
            0,
        ),
        (vec!["hosting", PHONE, "account"], 0),
        (vec!["app-state", PHONE, "served"], 0),
        (vec!["phone-seen", PHONE, "--ago", "864000"], 0),
        (vec!["app-state", PHONE, "never"], 2),
        (vec!["phone-speaks", PHONE, "--ago", "864000"], 0),
        (vec!["minimum-version", "2.3000"], 2),
        (vec!["minimum-version", "any"], 0),
        (vec!["client-expiration", "--in", "60"], 0),
        (vec!["refresh-code", "#1"], 1),
        (vec!["say", STRANGER, PHONE, "hello"], 0),
        (vec!["say", STRANGER, PHONE], 1),
        (vec!["say", STRANGER, "x@g.us", "hello"], 1),
        (vec!["say", STRANGER, PHONE, "x", "--react", "NONE"], 1),
        (vec!["say", STRANGER, PHONE, "x", "--trouble", "x"], 2),
        (vec!["messages", "--chat", STRANGER], 0),
        (vec!["media", "NONE"], 1),
        (vec!["lose-media", "NONE"], 1),
        (vec!["receipt", STRANGER, "read", "NONE"], 1),
        (vec!["ask-again", STRANGER, "NONE"], 1),
        (vec!["typing", STRANGER, PHONE], 0),
        (vec!["presence", STRANGER, PHONE, "available"], 0),
        (vec!["mailbox", PHONE], 1),
        (vec!["addressing", PHONE, "lid"], 0),
        (vec!["addressing", PHONE, "x"], 2),
        (vec!["fault", "refuse-message=463", "--times", "1"], 0),
        (vec!["received", "#1"], 1),
        (vec!["--help"], 0),
    ];
    for (arguments, code) in codes {
        let output = program.run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {output:?}");
    }
    let control = program.control.clone();
    program.stop();
    let output = Command::new(env!("CARGO_BIN_EXE_wasim"))
        .args(["--control", control.to_str().unwrap(), "devices"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("wasim serve"));
}

#[tokio::test]
async fn the_control_socket_belongs_to_one_server_and_survives_nonsense() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/wasim.sock");
    let server = Server::start(wasim::Options::default()).await.unwrap();
    let control = wasim::Control::bind(&server, &path).await.unwrap();
    assert!(wasim::Control::bind(&server, &path).await.is_err());

    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(reader).lines();
    for (line, expected) in [
        ("nonsense", "not a command"),
        ("{\"command\":\"nonsense\"}", "not a command"),
        (
            "{\"command\":\"unlink\",\"device\":\"x\"}",
            "no such device",
        ),
        ("{\"command\":\"devices\"}", "\"devices\":[]"),
    ] {
        writer
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        let answer = lines.next_line().await.unwrap().unwrap();
        assert!(answer.contains(expected), "{line}: {answer}");
    }
    drop((lines, writer));
    drop(control);
    // Left behind by a server that died: taken over.
    while wasim::Control::call(&path, &wasim::Command::Info)
        .await
        .is_ok()
    {}
    let control = wasim::Control::bind(&server, &path).await.unwrap();
    control.close().await;
    assert!(!path.exists());
    server.shutdown().await;
}
