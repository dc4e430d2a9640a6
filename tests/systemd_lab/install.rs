//! The units as a package installs them.

use std::os::unix::fs::PermissionsExt;

use crate::lab::Lab;

#[test]
fn systemd_finds_nothing_wrong_with_the_units_and_the_preset_enables_them() {
    let Some(lab) = Lab::boot() else { return };
    let found = lab.try_sh(
        "systemd-analyze verify --man=no /usr/lib/systemd/system/wasessiond.service \
         /usr/lib/systemd/system/wasessiond.socket 2>&1
         XDG_RUNTIME_DIR=/run systemd-analyze verify --man=no --user /usr/lib/systemd/user/wasessiond.service \
         /usr/lib/systemd/user/wasessiond.socket 2>&1",
    );
    let told = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success() && told.is_empty(), "{told}");
    lab.sh("systemctl preset wasessiond.service wasessiond.socket");
    assert_eq!(
        lab.sh("systemctl is-enabled wasessiond.service wasessiond.socket"),
        "enabled\nenabled\n"
    );
    assert!(lab.sh("journalctl --list-catalog").contains("wasessiond"));
}

/// Mode, owner and group of a path.
fn access(lab: &Lab, path: &str) -> String {
    lab.sh(&format!("stat -c '%a %U %G' {path}"))
        .trim()
        .to_owned()
}

#[test]
fn it_makes_its_own_socket_or_takes_over_systemds_and_both_have_the_same_access() {
    let Some(lab) = Lab::boot() else { return };
    for with_socket in [false, true, false] {
        if with_socket {
            lab.sh("systemctl start wasessiond.socket");
        }
        lab.sh("systemctl start wasessiond.service");
        assert_eq!(lab.show("ActiveState"), "active");
        assert_eq!(lab.show("StatusText"), "no sessions");
        assert_eq!(
            access(&lab, "/var/lib/wasessiond"),
            "700 wasessiond wasession"
        );
        assert_eq!(access(&lab, "/run/wasessiond"), "755 wasessiond wasession");
        assert_eq!(access(&lab, "/etc/wasessiond"), "755 root root");
        let owner = if with_socket { "root" } else { "wasessiond" };
        assert_eq!(
            access(&lab, "/run/wasessiond/control.sock"),
            format!("660 {owner} wasession")
        );
        lab.sh("wactl daemon ping");
        let run = lab.show("InvocationID");
        let journal = lab.journal(&format!("_SYSTEMD_INVOCATION_ID={run}"));
        let taken_over = "took over the control socket /run/wasessiond/control.sock from systemd";
        assert_eq!(journal.contains(taken_over), with_socket, "{journal}");
        // Nobody waits in the queue of a socket whose service is stopped on purpose; but the socket
        // of systemd stays, and would start it again.
        lab.sh("systemctl stop wasessiond.service");
        let there = lab.path("/run/wasessiond/control.sock").exists();
        assert_eq!(there, with_socket);
        lab.sh("systemctl stop wasessiond.socket");
        assert!(!lab.path("/run/wasessiond/control.sock").exists());
    }
}

#[test]
fn the_first_client_starts_it_and_one_that_comes_during_a_restart_waits() {
    let Some(lab) = Lab::boot() else { return };
    lab.sh("systemctl start wasessiond.socket");
    assert_eq!(lab.show("ActiveState"), "inactive");
    lab.sh("wactl daemon ping");
    assert_eq!(lab.show("ActiveState"), "active");
    // These come before the restart, while it stops, while nobody accepts, and after: none is turned
    // away.
    lab.sh(
        "some() { for n in 1 2 3 4 5 6 7 8; do wactl daemon ping & all=\"${all-} $!\"; done; }
        some; systemctl --no-block restart wasessiond.service; some; some; some
        for one in $all; do wait $one; done",
    );
    lab.until_shows("ActiveState", "active");
}

#[test]
fn only_the_group_of_the_socket_may_connect() {
    let Some(lab) = Lab::boot() else { return };
    lab.write(
        "/etc/sysusers.d/people.conf",
        "u alice 1001 - /\nu bob 1002 - /\nm alice wasession\n",
    );
    lab.sh("systemd-sysusers people.conf; systemctl start wasessiond.socket wasessiond.service");
    let list = |who: &str| {
        lab.try_sh(&format!(
            "setpriv --reuid {who} --regid {who} --init-groups wactl --json list"
        ))
    };
    let alice = list("alice");
    assert!(
        alice.status.success(),
        "{}",
        String::from_utf8_lossy(&alice.stderr)
    );
    let bob = list("bob");
    assert_eq!(bob.status.code(), Some(77), "{bob:?}");
    // What she may not do is refused by the daemon, which knows who she is.
    let refused =
        lab.try_sh("setpriv --reuid alice --regid alice --init-groups wactl daemon reload");
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    let entries = lab.entries("PEER_UID=1001");
    assert!(
        entries
            .iter()
            .any(|e| e["PRIORITY"] == "4" && e["MESSAGE"].to_string().contains("reload")),
        "{entries:#?}"
    );
}

#[test]
fn the_process_has_no_privileges_and_its_files_are_private() {
    let Some(lab) = Lab::boot() else { return };
    lab.sh("systemctl start wasessiond.service");
    let pid = lab.show("MainPID");
    let status = lab.sh(&format!("cat /proc/{pid}/status"));
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "Umask:\t0077",
    ] {
        assert!(status.lines().any(|l| l == line), "{line}:\n{status}");
    }
    let limits = lab.sh(&format!("cat /proc/{pid}/limits"));
    let limit = |name: &str| {
        let line = limits
            .lines()
            .find(|l| l.starts_with(name))
            .expect("a limit");
        line[name.len()..]
            .split_whitespace()
            .next()
            .expect("a value")
            .to_owned()
    };
    // A systemd that may not raise its own limit gives what it has.
    let open_files = limit("Max open files");
    let ceiling = lab.sh("ulimit -Hn").trim().to_owned();
    assert!(
        open_files == "65536" || open_files == ceiling,
        "{open_files}"
    );
    assert_eq!(limit("Max core file size"), "0");
    let history = lab.path("/var/lib/wasessiond/lock");
    let mode = std::fs::metadata(history)
        .expect("a lock")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
