//! A start that works, and what `check` says before one.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use crate::process::{Client, Home, outcome};

#[test]
fn it_answers_in_frames_made_by_hand() {
    let home = Home::new();
    let running = home.start();
    let mut client = Client::json(&home.socket());
    client.ping();
    let info = client.ask(2, "\"info\"");
    assert_eq!(info["Ok"]["info"]["pid"], running.child.id());
    assert_eq!(info["Ok"]["info"]["summary"], "no sessions");
    assert_eq!(
        client.ask(3, "{\"list\":{}}"),
        serde_json::json!({"Ok": {"sessions": {"sessions": [], "next": null}}})
    );
    running.stop();
}

#[test]
fn what_it_makes_is_for_its_own_user() {
    let home = Home::new();
    let running = home.start();
    let mode = |name: &str| {
        let about = std::fs::metadata(home.path(name)).expect(name);
        about.permissions().mode() & 0o777
    };
    assert_eq!(mode("state"), 0o700);
    assert_eq!(mode("state/sessions"), 0o700);
    assert_eq!(mode("state/lock"), 0o600);
    assert_eq!(mode("run"), 0o750);
    assert_eq!(mode("run/control.sock"), 0o660);
    running.stop();
}

#[test]
fn a_dead_socket_is_taken_over() {
    let home = Home::new();
    std::fs::create_dir(home.path("run")).expect("a directory");
    drop(UnixListener::bind(home.socket()).expect("a socket"));
    let running = home.start();
    Client::json(&home.socket()).ping();
    let log = running.stop();
    assert!(log.contains("removing the dead control socket"), "{log}");
}

#[test]
fn it_starts_again_after_it_was_killed() {
    let home = Home::new();
    let mut running = home.start();
    running.child.kill().expect("it is killed");
    running.wait();
    assert!(home.socket().exists(), "nobody removed it");
    let running = home.start();
    Client::json(&home.socket()).ping();
    running.stop();
}

#[test]
fn the_directories_from_systemd_are_used() {
    let home = Home::new();
    let mut command = home.program();
    command.env("RUNTIME_DIRECTORY", home.path("r"));
    command.env("STATE_DIRECTORY", home.path("s"));
    command.env("CONFIGURATION_DIRECTORY", home.path("c"));
    let running = crate::process::start(&mut command);
    Client::json(&home.path("r/control.sock")).ping();
    assert!(home.path("s/sessions").is_dir());
    running.stop();
}

#[test]
fn version_and_help() {
    let home = Home::new();
    let (status, said, _) = outcome(home.program().arg("--version"));
    let suffix = if cfg!(feature = "simulator") {
        " (simulator build)"
    } else {
        ""
    };
    assert_eq!(status, 0);
    assert_eq!(
        said,
        format!("wasessiond {}{suffix}\n", env!("CARGO_PKG_VERSION"))
    );
    let (status, said, _) = outcome(home.program().arg("--help"));
    assert_eq!(status, 0);
    for option in ["--config", "--socket", "--state", "check"] {
        assert!(said.contains(option), "{said}");
    }
}

#[test]
fn check_prints_what_would_be_in_force() {
    let home = Home::new();
    home.configure("[logout]\ndeadline = \"90s\"\n");
    let check = || {
        let mut command = home.program();
        command.arg("check").arg(home.path("config.toml"));
        outcome(&mut command)
    };
    let (status, printed, _) = check();
    assert_eq!(status, 0);
    assert!(
        printed.contains("\n[logout]\n") && printed.contains("deadline = \"90s\""),
        "{printed}"
    );
    // What it prints is a configuration that says the same, but for where each value is from.
    home.configure(&printed);
    let (status, again, told) = check();
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split("  # ").next().unwrap_or(line).to_owned())
            .collect()
    };
    assert_eq!((status, &*told), (0, ""));
    assert_eq!(values(&again), values(&printed));
}

#[test]
fn check_tells_of_admins_that_nobody_is() {
    let home = Home::new();
    home.configure("[access]\nadmins = [\"no-such-user-here\"]\n");
    let (status, _, told) = outcome(home.program().arg("check").arg(home.path("config.toml")));
    assert_eq!(status, 0);
    assert!(told.contains("no user for \"no-such-user-here\""), "{told}");
}

/// Only a simulator build can be made to hang.
#[cfg(feature = "simulator")]
#[test]
fn a_name_service_that_hangs_makes_nobody_an_admin_and_stops_nothing() {
    let home = Home::new();
    home.configure("[access]\nadmins = [\"@root\", \"0\"]\n");
    let mut command = home.daemon();
    command.env("FAILPOINTS", "accounts=pause");
    let running = crate::process::start(&mut command);
    let why = "the group for \"@root\" could not be looked up (the name service did not answer within 5 s)";
    assert!(running.log().contains(why), "{}", running.log());
    let mut asking = Client::json(&home.socket());
    let mut other = Client::json(&home.socket());
    asking.send("{\"id\":1,\"command\":\"reload\"}");
    // The reload waits for the name service, and nobody waits for the reload.
    other.ping();
    home.configure("[sessions]\nmax = 3\n[access]\nadmins = [\"0\"]\n");
    let first = asking.receive().expect("a reply");
    assert!(first.contains("reloaded"), "{first}");
    let second = other.ask(2, "\"reload\"");
    let changed = &second["Ok"]["reloaded"]["changed"];
    assert!(
        changed.to_string().contains("sessions.max") || first.contains("sessions.max"),
        "{second}"
    );
    running.stop();
}
