//! SIGHUP: everything is read first; what is wrong changes nothing.

use nix::sys::signal::Signal;

use crate::process::{Client, Home};

#[test]
fn a_good_file_is_put_in_force() {
    let home = Home::new();
    home.configure("[log]\nfilter = \"info\"\n");
    let mut running = home.start();
    home.configure("[log]\nfilter = \"debug\"\n[socket]\nmode = \"0600\"\n");
    running.signal(Signal::SIGHUP);
    let line = running.wait_for("the configuration is reloaded");
    assert!(
        line.contains("changed log.filter; a restart is needed for socket.mode"),
        "{line}"
    );
    // The new filter shows what the old one did not.
    Client::json(&home.socket()).ping();
    running.wait_for("connected with json, as \"a test\"");
    running.stop();
}

#[test]
fn a_wrong_file_changes_nothing() {
    let home = Home::new();
    let mut running = home.start();
    let mut client = Client::json(&home.socket());
    home.configure("[log]\nfilter = \"debug\"\n[sessions]\nmaxx = 1\n");
    running.signal(Signal::SIGHUP);
    let line = running.wait_for("the configuration is not reloaded");
    assert!(
        line.contains("config.toml:4:1: [sessions] has no key `maxx`; did you mean `max`?"),
        "{line}"
    );
    client.ping();
    let reply = client.ask(2, "\"reload\"");
    assert_eq!(reply["Err"]["code"], "config_invalid", "{reply}");
    assert!(
        reply["Err"]["message"]
            .to_string()
            .contains("config.toml:4:1"),
        "{reply}"
    );
    home.configure("[sessions]\nmax = 7\n");
    let reply = client.ask(3, "\"reload\"");
    assert_eq!(
        reply["Ok"]["reloaded"]["changed"][0], "sessions.max",
        "{reply}"
    );
    running.stop();
}

#[test]
fn many_at_once_are_taken_one_after_the_other() {
    let home = Home::new();
    let mut running = home.start();
    let mut clients: Vec<_> = (0..8).map(|_| Client::json(&home.socket())).collect();
    for client in &mut clients {
        client.send("{\"id\":1,\"command\":\"reload\"}");
        running.signal(Signal::SIGHUP);
    }
    for client in &mut clients {
        let reply = client.receive().expect("a reply");
        assert!(reply.contains("{\"Ok\":{\"reloaded\""), "{reply}");
    }
    running.wait_for("SIGHUP from pid");
    running.stop();
}
