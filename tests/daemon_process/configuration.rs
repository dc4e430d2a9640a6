//! Where the daemon finds its configuration, and what `check` tells of it.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::process::{Client, Home, outcome, start};

/// A home with the configuration directories `etc`, `run` and `lib`, the highest first.
struct Layered(Home);

impl Layered {
    fn new(files: &[(&str, &str)]) -> Self {
        let layered = Self(Home::new());
        for (name, text) in files {
            layered.write(name, text);
        }
        layered
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
    }

    fn program(&self) -> Command {
        let directories = ["etc", "run", "lib"].map(|name| self.path(name));
        let mut command = self.0.program();
        command.env(
            "WASESSIOND_CONFIG_PATH",
            std::env::join_paths(directories).expect("a list"),
        );
        command
    }

    fn daemon(&self) -> Command {
        self.0.rehearse("lib");
        let mut command = self.program();
        command.arg("--socket").arg(self.0.socket());
        command.arg("--state").arg(self.path("state"));
        command
    }

    /// What `check` says, with the directories' names alone.
    fn check(&self) -> (i32, String, String) {
        let (status, printed, told) = outcome(self.program().arg("check"));
        let root = format!("{}/", self.path("").display()).replace("//", "/");
        (status, printed.replace(&root, ""), told.replace(&root, ""))
    }
}

#[test]
fn check_tells_the_file_and_line_of_whatever_is_not_at_its_default() {
    let layered = Layered::new(&[
        ("lib/config.toml", "[log]\nfilter = \"debug\"\n"),
        (
            "etc/config.toml",
            "[sessions]\nmax = 5\nidle_after = \"30d\"\n",
        ),
        ("run/config.toml.d/10-x.toml", "[sessions]\nmax = 7\n"),
        ("lib/config.toml.d/10-x.toml", "[sessions]\nmax = 8\n"),
    ]);
    let (status, printed, told) = layered.check();
    assert_eq!((status, &*told), (0, ""));
    for line in [
        "# From etc/config.toml",
        "# From run/config.toml.d/10-x.toml",
        "# Not from lib/config.toml: etc/config.toml stands for it",
        "# Not from lib/config.toml.d/10-x.toml: run/config.toml.d/10-x.toml stands for it",
        "max = 7  # run/config.toml.d/10-x.toml:2",
        "idle_after = \"30d\"  # etc/config.toml:3",
        "filter = \"info\"",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line:?}:\n{printed}");
    }
}

#[test]
fn check_tells_where_it_looked_when_there_is_nothing() {
    let (status, printed, _) = Layered::new(&[]).check();
    assert_eq!(status, 0);
    assert!(
        printed.starts_with(
            "# There is no configuration file: these are the defaults. Looked for \
             etc/config.toml, run/config.toml, lib/config.toml\n"
        ),
        "{printed}"
    );
}

#[test]
fn what_is_wrong_in_several_files_is_told_at_once_with_status_78() {
    let layered = Layered::new(&[
        ("etc/config.toml", "[sessions]\nmaxx = 5\n"),
        ("lib/config.toml.d/10-x.toml", "\n[logout]\ndeadline = 7\n"),
    ]);
    let (status, printed, told) = layered.check();
    assert_eq!((status, &*printed), (78, ""));
    for place in [
        "etc/config.toml:2:1: [sessions] has no key `maxx`",
        "lib/config.toml.d/10-x.toml:3:12: `logout.deadline`",
    ] {
        assert!(told.contains(place), "{told}");
    }
    let (status, _, said) = outcome(&mut layered.daemon());
    assert_eq!(status, 78, "{said}");
    assert!(!layered.path("state").exists(), "nothing was touched");
}

#[test]
fn a_reload_looks_for_files_again() {
    let layered = Layered::new(&[("lib/config.toml", "[sessions]\nmax = 5\n")]);
    let mut running = start(&mut layered.daemon());
    let mut client = Client::json(&layered.0.socket());
    let mut reload = |id| client.ask(id, "\"reload\"");

    // A drop-in that was not there before, by the signal.
    layered.write("run/config.toml.d/10-x.toml", "[sessions]\nmax = 6\n");
    running.signal(Signal::SIGHUP);
    let line = running.wait_for("the configuration is reloaded");
    assert!(line.contains("changed sessions.max"), "{line}");

    // A main file above the vendor's, which said nothing that still counts.
    layered.write("etc/config.toml", "[logout]\nhistory_limit = 9\n");
    let reply = reload(1);
    let changed = &reply["Ok"]["reloaded"]["changed"];
    assert_eq!(changed, &serde_json::json!(["logout.history_limit"]));

    // One wrong drop-in, and nothing of any file is put in force.
    layered.write(
        "lib/config.toml.d/20-x.toml",
        "[sessions]\nmax = \"many\"\n",
    );
    layered.write("etc/config.toml", "");
    let reply = reload(2);
    let message = reply["Err"]["message"].to_string();
    assert!(message.contains("20-x.toml:2:7: `sessions.max`"), "{reply}");

    // Masked it does no harm, and the default is back.
    layered.write("run/config.toml.d/20-x.toml", "");
    let reply = reload(3);
    let changed = &reply["Ok"]["reloaded"]["changed"];
    assert_eq!(changed, &serde_json::json!(["logout.history_limit"]));

    std::fs::remove_file(layered.path("run/config.toml.d/10-x.toml")).expect("removed");
    let reply = reload(4);
    let changed = &reply["Ok"]["reloaded"]["changed"];
    assert_eq!(changed, &serde_json::json!(["sessions.max"]));
    let info = client.ask(5, "\"info\"");
    let files = info["Ok"]["info"]["config_file"].as_str();
    let files = files.expect("its files");
    assert!(
        files.contains("etc/config.toml, ") && files.ends_with("run/config.toml.d/20-x.toml"),
        "{files}"
    );
    running.stop();
}

#[test]
fn a_named_file_is_read_without_drop_ins() {
    let layered = Layered::new(&[
        ("etc/config.toml", "[sessions]\nmax = 5\n"),
        ("etc/config.toml.d/10-x.toml", "[nonsense]\n"),
    ]);
    let mut command = layered.program();
    command.arg("check").arg(layered.path("etc/config.toml"));
    let (status, printed, told) = outcome(&mut command);
    assert_eq!((status, &*told), (0, ""), "{printed}");
    assert!(printed.contains("max = 5  # "), "{printed}");
}

#[test]
fn check_finds_a_socket_that_could_not_be_made() {
    let long = format!("path = \"/{}\"", "x".repeat(107));
    for (line, why) in [
        (
            "group = \"nobodys-group\"",
            "there is no group \"nobodys-group\" on this machine",
        ),
        (&*long, "has 108 bytes, and the kernel takes 107"),
    ] {
        let layered = Layered::new(&[("etc/config.toml", &format!("[socket]\n{line}\n"))]);
        let (status, printed, told) = layered.check();
        assert_eq!((status, &*printed), (78, ""), "{told}");
        assert!(told.contains(why), "{told}");
    }
}
