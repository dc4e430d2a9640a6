//! Crowds, and machines with little to give.

#[cfg(feature = "simulator")]
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
#[cfg(feature = "simulator")]
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use crate::process::{Client, DEADLINE, Home, Running, start};

#[test]
fn a_flood_of_connections_disturbs_nobody() {
    let home = Home::new();
    home.configure("[access]\nmax_connections_per_uid = 8\n");
    let running = home.start();
    let mut served = Client::json(&home.socket());
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..2000 {
        let mut client = Client::connect(&home.socket());
        if held.len() < 7 {
            client.send("wasession/1 json");
            assert!(client.receive().expect("a welcome").contains(" ok "));
            held.push(client);
        } else {
            let told = client.receive().expect("a word");
            assert!(
                told.starts_with("wasession/1 error ") && told.contains("limit"),
                "{told}"
            );
            refused += 1;
        }
    }
    assert_eq!(refused, 2000 - 7);
    served.ping();
    let log = running.stop();
    let lines = log
        .lines()
        .filter(|line| line.contains("is refused"))
        .count();
    assert_eq!(lines, 1, "each refusal has its line:\n{log}");
}

/// Starts a daemon that may have so many files open: a hard limit, which it cannot raise.
fn with_files(home: &Home, most: usize) -> Running {
    let daemon = home.daemon();
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")])
        .arg(daemon.get_program());
    limited
        .args(daemon.get_args())
        .env_clear()
        .env("NO_COLOR", "1");
    limited.stderr(std::process::Stdio::piped());
    start(&mut limited)
}

/// How many files a daemon without clients has open.
fn files_of_its_own() -> usize {
    let home = Home::new();
    let running = home.start();
    Client::json(&home.socket()).ping();
    let files = std::fs::read_dir(format!("/proc/{}/fd", running.child.id()));
    let files = files.expect("its files").count();
    running.stop();
    files
}

#[test]
fn without_descriptors_it_waits_and_goes_on() {
    let home = Home::new();
    // Fewer than its clients may take.
    let mut running = with_files(&home, files_of_its_own() + 2);
    let mut served = Client::json(&home.socket());
    let crowd: Vec<_> = (0..60)
        .map(|_| UnixStream::connect(home.socket()))
        .collect();
    let line = running.wait_for("no connection can be accepted");
    assert!(line.contains("LimitNOFILE"), "{line}");
    served.ping();
    drop(crowd);
    running.wait_for("connections are accepted again");
    // It has yet to learn of each one of the crowd that it is gone, and tells nobody when.
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut client = Client::connect(&home.socket());
        let _ = client.try_send("wasession/1 json");
        let told = client.receive().expect("a word");
        if told.contains(" ok ") {
            break client.ping();
        }
        assert!(told.contains("as many connections open"), "{told}");
        assert!(Instant::now() < deadline, "{told}");
    }
    running.stop();
}

#[test]
fn a_crowd_leaves_files_for_the_sessions() {
    let home = Home::new();
    let running = with_files(&home, 80);
    let mut crowd: Vec<_> = (0..60).map(|_| Client::connect(&home.socket())).collect();
    let mut welcome = 0;
    for client in &mut crowd {
        // Who is turned away is told so before it says anything.
        let _ = client.try_send("wasession/1 json");
        let told = client.receive().expect("a word");
        if told.contains(" ok ") {
            welcome += 1;
        } else {
            assert!(
                told.contains("as many connections open as it may have, 20"),
                "{told}"
            );
        }
    }
    assert_eq!(welcome, 20);
    let log = running.stop();
    assert!(!log.contains("no connection can be accepted"), "{log}");
}

/// The threads that a daemon has are enough, if slow: a system that gives no more costs no session its
/// logout. Only a build for rehearsals has sessions that reach nothing.
#[cfg(feature = "simulator")]
#[test]
fn without_new_threads_a_logout_is_carried_out() {
    const UID: u32 = 61_005;
    if !crate::neighbour::are_possible() {
        return;
    }
    let home = Home::new();
    home.open_to_others();
    let program = home.path("wasessiond");
    std::fs::copy(env!("CARGO_BIN_EXE_wasessiond"), &program).expect("a copy others can run");
    for name in ["run", "state"] {
        std::fs::create_dir(home.path(name)).expect("a directory");
        chown(home.path(name), Some(UID), Some(UID)).expect("an owner");
    }
    let daemon = home.daemon();
    let mut command = Command::new(&program);
    command
        .args(daemon.get_args())
        .env_clear()
        .uid(UID)
        .gid(UID);
    command.stderr(std::process::Stdio::piped());
    let running = start(&mut command);
    let mut client = Client::json(&home.socket());
    client.ask(1, "{\"connect\":{\"user\":\"before\"}}");
    // Fewer than there are: the user of the daemon gets no more.
    let limited = Command::new("prlimit")
        .arg(format!("--pid={}", running.child.id()))
        .arg("--nproc=1")
        .status();
    if !limited.is_ok_and(|status| status.success()) {
        crate::skipped::skipped("there is no prlimit to take threads away with");
        return;
    }
    for user in ["before", "after"] {
        let connect = format!("{{\"connect\":{{\"user\":{user:?}}}}}");
        let begun = client.ask(2, connect);
        assert_eq!(begun["Ok"]["status"]["user"], user, "{begun}");
        let gone = client.ask(3, format!("{{\"force_logout\":{{\"user\":{user:?}}}}}"));
        assert!(gone["Ok"]["logged_out"].is_object(), "{gone}");
    }
    let log = running.stop();
    assert!(!log.contains("panic"), "{log}");
}
