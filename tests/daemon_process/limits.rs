//! Crowds, and machines with little to give.

use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::process::{Client, Home, start};

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

#[test]
fn without_descriptors_it_waits_and_goes_on() {
    let home = Home::new();
    let daemon = home.daemon();
    // A hard limit, which the daemon cannot raise.
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""])
        .arg(daemon.get_program());
    limited
        .args(daemon.get_args())
        .env_clear()
        .env("NO_COLOR", "1");
    limited.stderr(std::process::Stdio::piped());
    let mut running = start(&mut limited);
    let mut served = Client::json(&home.socket());
    let crowd: Vec<_> = (0..60)
        .map(|_| UnixStream::connect(home.socket()))
        .collect();
    let line = running.wait_for("no connection can be accepted");
    assert!(line.contains("LimitNOFILE"), "{line}");
    served.ping();
    drop(crowd);
    running.wait_for("connections are accepted again");
    Client::json(&home.socket()).ping();
    running.stop();
}
