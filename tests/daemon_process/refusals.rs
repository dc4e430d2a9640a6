//! Starts that are refused: with the right exit status, and words that help.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::process::{Client, Home, outcome};
use crate::skipped::skipped;

#[test]
fn a_wrong_command_line() {
    let home = Home::new();
    for arguments in [
        vec!["--bogus"],
        vec!["--config"],
        vec!["check", "a", "b"],
        vec!["start"],
    ] {
        let (status, _, told) = outcome(home.program().args(&arguments));
        assert_eq!(status, 2, "{arguments:?}: {told}");
        assert!(told.contains("--help"), "{told}");
    }
}

#[test]
fn a_wrong_configuration() {
    let home = Home::new();
    home.configure("[log]\nfilter = \"info\"\n\n[logout]\ndedline = \"5s\"\nunlink_timeout = 5\n");
    let config = home.path("config.toml");
    let mut check = home.program();
    check.arg("check").arg(&config);
    for mut command in [home.daemon(), check] {
        let (status, printed, told) = outcome(&mut command);
        assert_eq!(status, 78, "{told}");
        assert_eq!(printed, "");
        let file = config.display();
        for line in [
            format!("{file}:5:1: [logout] has no key `dedline`; did you mean `deadline`?"),
            format!("{file}:6:18: `logout.unlink_timeout`: a duration needs a unit"),
        ] {
            assert!(told.contains(&line), "{told}");
        }
    }
    assert!(
        !home.path("state").exists() && !home.socket().exists(),
        "nothing was touched"
    );
}

#[test]
fn a_configuration_that_is_not_there() {
    let home = Home::new();
    let mut command = home.program();
    command.arg("--config").arg(home.path("missing.toml"));
    let (status, _, told) = outcome(&mut command);
    assert_eq!(status, 78, "{told}");
    assert!(told.contains("missing.toml"), "{told}");
}

#[test]
fn a_filter_in_the_environment_that_is_none() {
    let home = Home::new();
    let (status, _, told) = outcome(home.daemon().env("WASESSIOND_LOG", "a=b=c"));
    assert_eq!(status, 78, "{told}");
    assert!(told.contains("WASESSIOND_LOG"), "{told}");
}

#[test]
fn an_endpoint_that_is_not_this_machine() {
    let home = Home::new();
    home.configure("[whatsapp]\nendpoint = \"wss://web.whatsapp.com/ws/chat\"\n");
    let (status, _, told) = outcome(&mut home.daemon());
    assert_eq!(status, 78, "{told}");
    let expected = if cfg!(feature = "simulator") {
        "a loopback address only"
    } else {
        "is for simulator builds"
    };
    assert!(
        told.contains("config.toml:2:12: `whatsapp.endpoint`"),
        "{told}"
    );
    assert!(told.contains(expected), "{told}");
}

#[cfg(feature = "simulator")]
#[test]
fn a_build_for_rehearsals_without_an_endpoint() {
    let home = Home::new();
    home.write("config.toml", "[sessions]\nmax = 3\n");
    let (status, _, told) = outcome(&mut home.daemon());
    assert_eq!(status, 78, "{told}");
    assert!(
        told.contains("`whatsapp.endpoint` is not set, and this is a simulator build"),
        "{told}"
    );
    assert!(
        !home.path("state").exists() && !home.socket().exists(),
        "nothing was touched"
    );
    let check = home.path("config.toml");
    let (status, printed, _) = outcome(home.program().arg("check").arg(check));
    assert_eq!(status, 0);
    assert!(
        printed.contains("without `whatsapp.endpoint` it does not start"),
        "{printed}"
    );
}

#[test]
fn a_configuration_that_somebody_else_could_have_written() {
    let home = Home::new();
    let config = home.path("config.toml");
    for (mode, owner, why) in [
        (0o646, None, "everybody may write to it"),
        (0o644, Some(61_003), "it belongs to uid 61003"),
    ] {
        home.configure("[sessions]\nmax = 3\n");
        std::fs::set_permissions(&config, PermissionsExt::from_mode(mode)).expect("a mode");
        if owner.is_some() && !nix::unistd::geteuid().is_root() {
            skipped("only root can give a file to somebody else");
            continue;
        }
        std::os::unix::fs::chown(&config, owner, None).expect("an owner");
        let mut check = home.program();
        check.arg("check").arg(&config);
        for mut command in [home.daemon(), check] {
            let (status, _, told) = outcome(&mut command);
            assert_eq!(status, 78, "{told}");
            assert!(told.contains(why) && told.contains("config.toml"), "{told}");
        }
    }
}

#[test]
fn a_filter_that_would_silence_everything() {
    let home = Home::new();
    home.configure("[log]\nfilter = \"warning\"\n");
    let (status, _, told) = outcome(&mut home.daemon());
    assert_eq!(status, 78, "{told}");
    let why = "config.toml:2:10: `log.filter`: \"warning\" is no level; did you mean \"warn\"?";
    assert!(told.contains(why), "{told}");
    home.configure("");
    let (status, _, told) = outcome(home.daemon().env("WASESSIOND_LOG", "warning"));
    assert_eq!(status, 78, "{told}");
    assert!(
        told.contains("WASESSIOND_LOG: \"warning\" is no level"),
        "{told}"
    );
}

#[cfg(not(feature = "simulator"))]
#[test]
fn an_endpoint_in_a_build_for_whatsapp_itself() {
    let home = Home::new();
    home.configure("[whatsapp]\nendpoint = \"ws://127.0.0.1:1/ws/chat\"\n");
    let (status, _, told) = outcome(&mut home.daemon());
    assert_eq!(status, 78, "{told}");
}

#[test]
fn a_second_daemon_on_the_same_state() {
    let home = Home::new();
    let first = home.start();
    let mut second = home.program();
    second.arg("--state").arg(home.path("state"));
    second.arg("--socket").arg(home.path("other.sock"));
    let (status, _, told) = outcome(&mut second);
    assert_eq!(status, 75, "{told}");
    assert!(told.contains("held by another wasessiond"), "{told}");
    assert!(told.contains(&first.child.id().to_string()), "{told}");
    Client::json(&home.socket()).ping();
    first.stop();
}

#[test]
fn a_socket_that_a_live_daemon_has() {
    let home = Home::new();
    let first = home.start();
    let mut second = home.program();
    second.arg("--state").arg(home.path("other"));
    second.arg("--socket").arg(home.socket());
    let (status, _, told) = outcome(&mut second);
    assert_eq!(status, 75, "{told}");
    assert!(
        told.contains("a live daemon has the control socket"),
        "{told}"
    );
    Client::json(&home.socket()).ping();
    first.stop();
}

#[test]
fn something_else_at_the_sockets_path() {
    let home = Home::new();
    std::fs::create_dir(home.path("run")).expect("a directory");
    std::fs::write(home.socket(), "precious").expect("a file");
    let (status, _, told) = outcome(&mut home.daemon());
    assert_eq!(status, 73, "{told}");
    assert!(told.contains("is not a socket"), "{told}");
    assert_eq!(
        std::fs::read_to_string(home.socket()).expect("the file"),
        "precious"
    );
}

#[test]
fn a_socket_path_that_is_too_long() {
    let home = Home::new();
    let mut command = home.program();
    command.arg("--state").arg(home.path("state"));
    command.arg("--socket").arg(home.path(&"x".repeat(120)));
    let (status, _, told) = outcome(&mut command);
    assert_eq!(status, 78, "{told}");
    assert!(told.contains("the kernel takes 107"), "{told}");
}

#[test]
fn directories_that_are_not_this_users() {
    let home = Home::new();
    let locked = home.path("locked");
    std::fs::create_dir(&locked).expect("a directory");
    let everybody = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&locked, everybody(0o555)).expect("a mode");
    std::fs::set_permissions(home.path("."), everybody(0o755)).expect("a mode");
    for (state, socket, named) in [
        ("locked/state", "control.sock", "locked/state"),
        ("free/state", "locked/run/control.sock", "locked/run"),
        ("free/state", "locked/control.sock", "locked/control.sock"),
    ] {
        std::fs::create_dir_all(home.path("free")).expect("a directory");
        std::fs::set_permissions(home.path("free"), everybody(0o777)).expect("a mode");
        let mut command = home.program();
        command.arg("--state").arg(home.path(state));
        command.arg("--socket").arg(home.path(socket));
        if nix::unistd::geteuid().is_root() {
            // Root may write everywhere, so somebody else tries.
            command.uid(54_321).gid(54_321);
            if let Err(error) = command.spawn().map(|mut child| child.kill()) {
                skipped(&format!("uid 54321 cannot run the program ({error})"));
                return;
            }
        }
        let (status, _, told) = outcome(&mut command);
        assert_eq!(status, 77, "{told}");
        assert!(told.contains(named), "{told}");
    }
}

/// The journal may not know whose the last datagram of a process was; what is on stderr is the unit's.
#[test]
fn the_last_words_are_on_stderr_also_where_the_log_is_the_journal() {
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        skipped("this machine has a journal, and tests write nothing into it");
        return;
    }
    let home = Home::new();
    home.configure("[log]\nfilter = 5\n");
    let (mut reading, writing) = std::io::pipe().expect("a pipe");
    let about = nix::sys::stat::fstat(&writing).expect("its number");
    let mut command = home.daemon();
    command
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", about.st_dev, about.st_ino),
        )
        .stderr(writing);
    let status = command.status().expect("it runs");
    drop(command);
    let mut told = String::new();
    std::io::Read::read_to_string(&mut reading, &mut told).expect("text");
    assert_eq!(status.code(), Some(78), "{told}");
    let mut plain = told.lines().filter(|line| line.starts_with("wasessiond: "));
    assert!(plain.any(|line| line.contains("`log.filter`")), "{told}");
}
