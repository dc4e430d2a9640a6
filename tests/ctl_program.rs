//! The real `wactl`, where no daemon is.

#![cfg(feature = "ctl")]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn wactl(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wactl"));
    command
        .args(words)
        .env_remove("WASESSIOND_SOCKET")
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    wactl(words).output().expect("wactl runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// A directory with a socket in it that nobody listens on.
fn stale_socket() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(path).expect("bound"));
    directory
}

#[test]
fn no_daemon_is_69_and_names_the_socket() {
    for verb in [
        &["list"][..],
        &["connect", "alice"],
        &["disconnect", "alice"],
        &["force-logout", "alice", "--yes"],
        &["status", "alice"],
        &["watch"],
        &["history"],
        &["qr", "alice"],
        &["groups", "alice"],
        &["targets", "alice"],
        &["daemon", "ping"],
    ] {
        let output = run(&[&["--socket", "/nowhere/control.sock"], verb].concat());
        assert_eq!(output.status.code(), Some(69), "{verb:?}");
        assert_eq!(text(&output.stdout), "");
        let says = "wactl: no daemon: there is no socket /nowhere/control.sock. ";
        assert!(
            text(&output.stderr).starts_with(says),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_stale_socket_is_told_apart() {
    let directory = stale_socket();
    let socket = directory.path().join("control.sock");
    let output = wactl(&["list"])
        .env("WASESSIOND_SOCKET", &socket)
        .output()
        .expect("wactl runs");
    assert_eq!(output.status.code(), Some(69));
    let says = format!("wactl: no daemon: nobody listens on {}. ", socket.display());
    assert!(
        text(&output.stderr).starts_with(&says),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_users_own_socket_comes_before_the_systems() {
    let directory = tempfile::tempdir().expect("a directory");
    let own = directory.path().join("wasessiond");
    std::fs::create_dir(&own).expect("made");
    drop(std::os::unix::net::UnixListener::bind(own.join("control.sock")).expect("bound"));
    let output = wactl(&["list"])
        .env("XDG_RUNTIME_DIR", directory.path())
        .output()
        .expect("wactl runs");
    assert!(text(&output.stderr).contains(own.to_str().expect("text")));
}

#[test]
fn an_error_is_an_object_where_objects_are_wanted() {
    let output = run(&["--json", "--socket", "/nowhere/control.sock", "list"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(69), ""));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an object");
    assert_eq!(
        (&object["schema"], &object["error"]["code"]),
        (&1.into(), &"no_daemon".into())
    );

    let output = run(&["--json", "status", "../alice"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), ""));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an object");
    assert_eq!(object["error"]["code"], "usage");
}

#[test]
fn a_wrong_command_line_is_2_before_anything_is_asked() {
    for words in [
        &[][..],
        &["conect", "alice"],
        &["status"],
        &["status", "../alice"],
        &["connect", "alice", "--phone", "0151"],
        &["targets", "alice", "--set", "bob"],
        // Nobody is there to ask.
        &["force-logout", "alice"],
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty(), "{words:?}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
    let output = run(&["force-logout", "alice"]);
    assert!(
        text(&output.stderr).contains("--yes"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn help_tells_the_exit_statuses() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for line in [
        "\n   69  no daemon there",
        "\n    4  logged out",
        "WASESSIOND_SOCKET",
    ] {
        assert!(help.contains(line), "{line}: {help}");
    }
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = text(&output.stdout);
        for verb in ["force-logout", "targets", "--socket"] {
            let known = script.contains(verb) || script.contains(verb.trim_start_matches('-'));
            assert!(known, "{shell}: {verb}");
        }
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    for words in [&["completions", "bash"][..], &["--help"]] {
        let mut child = wactl(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wactl starts");
        // The reader goes before the first byte.
        drop(child.stdout.take());
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut said).expect("text");
        let status = child.wait().expect("it ends");
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let full = std::fs::File::create("/dev/full").expect("opened");
    let output = wactl(&["completions", "bash"]).stdout(full).output();
    let output = output.expect("wactl runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("cannot be written"),
        "{}",
        text(&output.stderr)
    );
}
