//! Signals, and what they leave behind.

use nix::sys::signal::Signal;

use crate::process::{Client, DEADLINE, Home};
#[cfg(feature = "simulator")]
use crate::process::{Running, start};

#[test]
fn an_orderly_stop() {
    let home = Home::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut running = home.start();
        let mut idle = Client::json(&home.socket());
        let mut watcher = Client::json(&home.socket());
        let watching = watcher.ask(1, "{\"watch\":{\"users\":[],\"since\":null}}");
        assert!(watching["Ok"]["watching"].is_object(), "{watching}");
        let state = watcher.receive().expect("the state, of nobody");
        assert!(state.contains("in_sync"), "{state}");
        running.signal(signal);
        for client in [&mut idle, &mut watcher] {
            let goodbye = client.receive().expect("a goodbye");
            assert!(
                goodbye.contains("\"closing\":{\"code\":\"stopping\""),
                "{goodbye}"
            );
            assert_eq!(client.receive(), None);
        }
        assert_eq!(running.wait().code(), Some(0), "{}", running.log());
        let log = running.log();
        // Who did it is part of the story.
        let sender = format!("on {signal} from pid {} of uid", std::process::id());
        assert!(log.contains(&sender), "{log}");
        assert!(!home.socket().exists(), "its socket is gone");
    }
}

/// Only a simulator build can be made to hang.
#[cfg(feature = "simulator")]
#[test]
fn a_stop_while_the_disk_hangs_under_its_configuration() {
    let home = Home::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut command = home.daemon();
        command.env("FAILPOINTS", "configuration=pause");
        let running = Running::spawn(&mut command);
        running.wait_until_it_takes(&[Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]);
        // Asked for too early, but no reason to end.
        running.signal(Signal::SIGHUP);
        running.signal(signal);
        running.end_well();
    }
    assert!(!home.path("state").exists(), "it did not get that far");
}

/// Sessions neither begin nor end without it, so nobody is served by going on. Only a simulator build
/// can be made to fail.
#[cfg(feature = "simulator")]
#[test]
fn a_supervisor_whose_loop_fails_ends_the_daemon() {
    let home = Home::new();
    home.configure("[whatsapp]\nendpoint = \"ws://127.0.0.1:9/ws/chat\"\nversion = \"2.3000.1\"\n");
    let mut running = start(home.daemon().env("FAILPOINTS", "supervisor=panic"));
    let mut client = Client::json(&home.socket());
    client.ping();
    client.send("{\"id\":2,\"command\":{\"connect\":{\"user\":\"alice\",\"phone\":null}}}");
    assert_eq!(running.wait().code(), Some(70), "{}", running.log());
    let log = running.log();
    assert!(log.contains("wasessiond ends: "), "{log}");
    assert!(log.contains("the supervisor's loop"), "{log}");
    assert!(log.contains("No session is logged out"), "{log}");
    // What is left behind does not keep the next one from starting.
    home.start().stop();
}

/// Only a simulator build can be made to hang.
#[cfg(feature = "simulator")]
#[test]
fn a_stop_while_the_name_service_hangs_under_the_group_of_the_socket() {
    let home = Home::new();
    home.configure("[socket]\ngroup = \"root\"\n");
    let mut command = home.daemon();
    command.env("FAILPOINTS", "accounts=pause");
    let mut running = Running::spawn(&mut command);
    running.wait_for("starts: state in");
    running.signal(Signal::SIGTERM);
    running.end_well();
    assert!(!home.socket().exists(), "it did not get that far");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let home = Home::new();
    let mut running = home.start();
    // A client that does not read keeps an orderly stop waiting for a while.
    let mut client = Client::json(&home.socket());
    client
        .0
        .set_write_timeout(Some(std::time::Duration::from_secs(1)))
        .expect("a timeout");
    let request = b"\0\0\0\x19{\"id\":1,\"command\":\"ping\"}";
    while std::io::Write::write_all(&mut client.0, request).is_ok() {}
    running.signal(Signal::SIGTERM);
    running.wait_for("stopping, on SIGTERM");
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait().code(), Some(130), "{}", running.log());
    assert!(!running.log().contains("stopped"), "{}", running.log());
    // What is left behind does not keep the next one from starting.
    home.start().stop();
}

#[test]
fn a_client_that_does_not_read_cannot_stop_a_stop() {
    let home = Home::new();
    let running = home.start();
    let mut client = Client::json(&home.socket());
    client
        .0
        .set_write_timeout(Some(std::time::Duration::from_secs(1)))
        .expect("a timeout");
    let request = b"\0\0\0\x19{\"id\":1,\"command\":\"ping\"}";
    while std::io::Write::write_all(&mut client.0, request).is_ok() {}
    let begin = std::time::Instant::now();
    running.stop();
    assert!(begin.elapsed() < DEADLINE / 2, "{:?}", begin.elapsed());
}
