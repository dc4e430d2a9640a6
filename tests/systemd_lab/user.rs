//! A user's own daemon, run by the user's own systemd.

use crate::lab::Lab;

#[test]
fn a_user_runs_an_own_daemon_with_the_users_own_systemd() {
    let Some(lab) = Lab::boot() else { return };
    lab.sh("echo 'carol:x:7001:7001::/home/carol:/bin/sh' >>/etc/passwd
        echo 'carol:x:7001:' >>/etc/group
        mkdir -m 700 /home/carol
        chown carol: /home/carol
        systemctl start user@7001.service");
    let carol = |script: &str| {
        lab.sh(&format!(
            "setpriv --reuid carol --regid carol --init-groups \
             env HOME=/home/carol XDG_RUNTIME_DIR=/run/user/7001 sh -euc '{script}'"
        ))
    };
    for with_socket in [false, true] {
        if with_socket {
            carol("systemctl --user start wasessiond.socket");
        } else {
            carol("systemctl --user start wasessiond.service");
        }
        carol("wactl daemon ping");
        let access = carol(
            "stat -c %a:%U /run/user/7001/wasessiond /run/user/7001/wasessiond/control.sock /home/carol/.local/state/wasessiond",
        );
        let socket = if with_socket { "600" } else { "660" };
        assert_eq!(access, format!("700:carol\n{socket}:carol\n700:carol\n"));
        let info = carol("wactl --json daemon info");
        assert!(
            info.contains("/home/carol/.local/state/wasessiond"),
            "{info}"
        );
        carol("systemctl --user restart wasessiond.service; wactl daemon ping");
        carol(
            "mkdir -p ~/.config/wasessiond; echo \"[sessions]\" >~/.config/wasessiond/config.toml
            systemctl --user reload wasessiond.service",
        );
        let pid = carol("systemctl --user show --value -p MainPID wasessiond.service");
        let status = lab.sh(&format!("cat /proc/{}/status", pid.trim()));
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(status.lines().any(|l| l == line), "{line}:\n{status}");
        }
        carol(
            "systemctl --user stop wasessiond.socket wasessiond.service
            test ! -e /run/user/7001/wasessiond/control.sock",
        );
    }
}
