//! `systemctl reload`: its answer is the daemon's.

use crate::lab::Lab;

const CONFIG: &str = "/etc/wasessiond/config.toml";

#[test]
fn a_reload_ends_when_it_is_done_and_says_what_is_wrong() {
    let Some(lab) = Lab::boot() else { return };
    lab.write(CONFIG, "[sessions]\nmax = 3\n");
    lab.sh("systemctl start wasessiond.socket wasessiond.service");
    let pid = lab.show("MainPID");

    lab.write(CONFIG, "[sessions]\nmax = 5\n[socket]\nmode = \"0600\"\n");
    lab.sh("systemctl reload wasessiond.service");
    let told = "changed sessions.max; a restart is needed for socket.mode";
    assert!(lab.journal("-u wasessiond").contains(told));

    lab.write(CONFIG, "[sessions]\nmaxx = 5\n");
    let refused = lab.try_sh("systemctl reload wasessiond.service");
    assert!(!refused.status.success(), "{refused:?}");
    let why = "config.toml:2:1: [sessions] has no key `maxx`; did you mean `max`?";
    let status = lab.show("StatusText");
    assert!(
        status.starts_with("no sessions. Configuration not reloaded: ") && status.contains(why),
        "{status}"
    );
    // Once by the daemon, as an error, and once by wactl, to whoever asked.
    let journal = lab.entries("-u wasessiond");
    let said = |by: &str| {
        let of = journal.iter().filter(|e| e["SYSLOG_IDENTIFIER"] == by);
        of.filter(|e| e["MESSAGE"].to_string().contains("maxx"))
            .count()
    };
    assert!(
        said("wasessiond") == 1 && said("wactl") >= 1,
        "{journal:#?}"
    );
    let catalog = lab.journal("-x -u wasessiond -p err");
    assert!(
        catalog.contains("The configuration of wasessiond could not be reloaded"),
        "{catalog}"
    );

    // It runs on, with the old one, and a good one is taken again.
    assert_eq!(
        (lab.show("MainPID"), lab.show("ActiveState")),
        (pid, "active".to_owned())
    );
    lab.write(CONFIG, "[sessions]\nmax = 7\n");
    lab.sh("systemctl kill --signal=HUP --kill-who=main wasessiond.service");
    lab.until_shows("StatusText", "no sessions");
    let journal = lab.journal("-u wasessiond");
    let line = journal
        .lines()
        .find(|l| l.contains("(SIGHUP from pid"))
        .expect("the sender");
    assert!(line.contains("of uid 0): changed sessions.max"), "{line}");
}
