//! The Debian package in a running system: it is installed, upgraded, removed, installed again and
//! purged while sessions are online and somebody follows them. What is in it, and what it does to a root
//! directory without a systemd, is tested in `tests/shipped`.

use std::process::Command;

use wasessiond::protocol::{Cause, Phase, TargetEdit};

use crate::debian::{NEWER, Packages, run};
use crate::follower::{Follower, Picture};
use crate::lab::Lab;
use crate::skipped::skipped;
use crate::stage::{SOCKET, Stage};

const CONFIGURATION: &str = "/etc/wasessiond/config.toml";
const LOCAL: &str = "/etc/wasessiond/config.toml.d/50-local.toml";
const UNITS: [&str; 2] = ["wasessiond.socket", "wasessiond.service"];

/// With what apt is told where nobody is there to ask.
const UPGRADE: &str = "dpkg --force-confdef --force-confold -i /opt/2.deb";

/// Users and their phones.
const PEOPLE: [(&str, &str); 5] = [
    ("ann", "15550001001"),
    ("ben", "15550001002"),
    ("cara", "15550001003"),
    // Disconnected.
    ("dora", "15550001004"),
    // Unlinked on the phone.
    ("eve", "15550001005"),
];

// Making the packages takes most of the time, so it is done once, where there is a use for them.
#[test]
fn the_debian_package_keeps_every_session_and_a_purge_leaves_nothing() {
    let Some(one) = Lab::bare(&[]) else { return };
    let Some(packages) = Packages::make() else {
        return;
    };
    if !put(&packages, &one) {
        return;
    }
    let other = Lab::bare(&[]).expect("another one");
    put(&packages, &other);
    std::thread::scope(|scope| {
        scope.spawn(|| in_its_network(its_whole_life(one)));
        scope.spawn(|| in_its_network(as_the_administrator_left_it(other)));
    });
}

/// In a runtime of this thread, which moves into the network of a lab.
fn in_its_network(what: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(what);
}

/// Puts the packages into `/opt`, with a package database to install them in. `false`: this machine has
/// none to take it from, which was said.
fn put(packages: &Packages, lab: &Lab) -> bool {
    // dpkg looks whether what the package depends on is there. The programs in the lab are the machine's,
    // so their packages are, too.
    let depends = run(Command::new("dpkg-deb")
        .arg("--field")
        .args([&packages.old])
        .arg("Depends"));
    let names = depends
        .split(',')
        .filter_map(|one| one.split_whitespace().next());
    let asked = Command::new("dpkg-query")
        .arg("--status")
        .args(names)
        .output();
    let asked = asked.expect("dpkg-query runs");
    if !asked.status.success() {
        let why = String::from_utf8_lossy(&asked.stderr);
        skipped(&format!(
            "the Debian package is not tested with a systemd: {why}"
        ));
        return false;
    }
    lab.write(
        "/var/lib/dpkg/status",
        &String::from_utf8_lossy(&asked.stdout),
    );
    // The images of containers have a policy that no package may start a service.
    lab.sh("mkdir /var/lib/dpkg/info /var/lib/dpkg/updates; rm -f /usr/sbin/policy-rc.d");
    for (package, place) in [(&packages.old, "/opt/1.deb"), (&packages.new, "/opt/2.deb")] {
        std::fs::copy(package, lab.path(place)).expect("copied");
    }
    true
}

/// `[is-enabled, ActiveState]` of the socket and of the service.
fn units(lab: &Lab) -> [[String; 2]; 2] {
    UNITS.map(|unit| {
        let enabled = lab.try_sh(&format!("systemctl is-enabled {unit}"));
        let enabled = String::from_utf8_lossy(&enabled.stdout).trim().to_owned();
        [enabled, lab.show_of(unit, "ActiveState")]
    })
}

fn assert_no_unit_failed(lab: &Lab) {
    let failed = lab.sh("systemctl --failed --plain --no-legend");
    assert_eq!(failed, "");
}

fn assert_nothing_runs(lab: &Lab) {
    let running = lab.sh("pgrep -a wasessiond || test $? = 1");
    assert_eq!(running, "");
    assert!(!lab.path(SOCKET).exists());
}

/// What a run of the daemon is known by.
fn run_of(lab: &Lab) -> (String, String) {
    (lab.show("InvocationID"), lab.show("MainPID"))
}

/// The program of the daemon that runs; one that was replaced is called deleted.
fn program(lab: &Lab) -> String {
    let pid = lab.show("MainPID");
    lab.sh(&format!("readlink /proc/{pid}/exe"))
}

// ---- its whole life -----------------------------------------------------------------------------

async fn its_whole_life(lab: Lab) {
    installs(&lab);
    // Changes the configuration file of the package.
    lab.sh("systemctl stop wasessiond.socket wasessiond.service");
    let mut stage = Stage::with(lab, "# mine", "").await;
    let picture = people(&mut stage).await;
    let linked = linked(&stage).await;
    let mut follower = Follower::of(&stage.client).await;
    assert_eq!(follower.picture(), picture);

    upgrades(&mut stage, &mut follower, &picture).await;
    removes(&stage).await;
    installs_again(&stage, &mut follower, &picture).await;
    // Nobody scanned anything since, so these are the same devices, with the same keys.
    assert_eq!(self::linked(&stage).await, linked);
    purges(&stage).await;
}

fn installs(lab: &Lab) {
    lab.sh("dpkg -i /opt/1.deb");
    let both = ["enabled", "active"].map(str::to_owned);
    assert_eq!(units(lab), [both.clone(), both]);
    assert_eq!(lab.show("StatusText"), "no sessions");
    lab.sh("wactl daemon ping");
    let catalog = lab.sh("journalctl --list-catalog");
    assert!(catalog.contains("wasessiond is ready"), "{catalog}");
    assert_no_unit_failed(lab);
    assert_eq!(lab.journal("-p warning -u wasessiond"), "");
}

/// Three online, one of them with a target group; one disconnected; one ended.
async fn people(stage: &mut Stage) -> Picture {
    let mut picture = Picture::new();
    for (user, phone) in PEOPLE {
        let device = stage.pair(user, phone).await;
        picture.insert(user.to_owned(), (Phase::Online, device, Vec::new()));
    }
    let groups = stage.client.groups("ann").await.expect("groups");
    let group = groups.first().expect("a group").jid.clone();
    let chosen = TargetEdit::Add(vec![group.to_string()]);
    let chosen = stage.client.targets("ann", chosen).await;
    assert_eq!(chosen.expect("targets"), std::slice::from_ref(&group));
    picture.get_mut("ann").expect("ann").2 = vec![group.to_string()];

    stage.client.disconnect("dora").await.expect("disconnect");
    stage.phase("dora", Phase::Disconnected).await;
    picture.get_mut("dora").expect("dora").0 = Phase::Disconnected;

    let (_, device, _) = picture.remove("eve").expect("eve");
    stage.sim.unlink(&device).await.expect("unlink");
    assert_eq!(stage.ended("eve").await.cause, Cause::Unlinked);
    picture
}

/// Every linked device, and when it was linked. The simulator takes it for the same one only if it
/// knows the keys.
async fn linked(stage: &Stage) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for (_, phone) in PEOPLE {
        let devices = stage.sim.devices(phone).await.expect("devices");
        all.extend(devices.into_iter().map(|one| (one.jid, one.linked_at)));
    }
    all
}

async fn upgrades(stage: &mut Stage, follower: &mut Follower, picture: &Picture) {
    let before = (units(&stage.lab), run_of(&stage.lab));
    let mine = stage.lab.sh(&format!("cat {CONFIGURATION}"));
    stage.lab.run(UPGRADE).await;
    follower.until_back(&stage.lab, picture).await;
    let lab = &stage.lab;
    assert_eq!(
        lab.sh("dpkg-query -W -f '${Version} ${Status}' wasessiond"),
        "2 install ok installed"
    );

    // Another run, of the new program, after an orderly stop of the old one.
    let (units_before, (old, _)) = &before;
    let (new, _) = run_of(lab);
    assert_eq!(units(lab), *units_before);
    assert_ne!(new, *old);
    assert_eq!(program(lab), "/usr/bin/wasessiond\n");
    assert_eq!(lab.show("NRestarts"), "0");
    let told: Vec<_> = lab
        .entries("-u wasessiond")
        .iter()
        .filter_map(|entry| {
            let run = entry["_SYSTEMD_INVOCATION_ID"].as_str()?;
            let what = match entry["MESSAGE_ID"].as_str()? {
                "27eebf3a21f848e9a93197f2a64e0664" => "ready",
                "ec8ffa08076942c8a9f1ed7b670244b2" => "stops",
                _ => return None,
            };
            (run == new || run == old).then(|| (run.to_owned(), what))
        })
        .collect();
    let of = |run: &String, what| (run.clone(), what);
    let expected = [of(old, "ready"), of(old, "stops"), of(&new, "ready")];
    assert_eq!(told, expected);
    assert_eq!(lab.journal("-p warning -u wasessiond"), "");

    // The configuration is the administrator's, with the newer one beside it.
    assert_eq!(lab.sh(&format!("cat {CONFIGURATION}")), mine);
    let beside = lab.sh(&format!("cat {CONFIGURATION}.dpkg-dist"));
    assert!(beside.ends_with(NEWER), "{beside}");

    stage.join().await;
    let history = stage.client.history(None, None).await.expect("history");
    let ended: Vec<_> = history.iter().map(|e| (e.user.as_str(), e.cause)).collect();
    assert_eq!(ended, [("eve", Cause::Unlinked)]);
}

const STATE: &str = "cd /var/lib/wasessiond; ls -1 . sessions; md5sum history.jsonl; cat /etc/wasessiond/config.toml";

async fn removes(stage: &Stage) {
    let lab = &stage.lab;
    let before = lab.sh(STATE);
    let said = lab.run("dpkg -r wasessiond").await;
    assert!(said.contains("The sessions are kept"), "{said}");
    assert_nothing_runs(lab);
    assert_no_unit_failed(lab);
    assert_eq!(lab.show("ActiveState"), "inactive");
    assert!(!lab.path("/usr/bin/wasessiond").exists());
    assert_eq!(lab.sh(STATE), before);
}

async fn installs_again(stage: &Stage, follower: &mut Follower, picture: &Picture) {
    let lab = &stage.lab;
    lab.run("dpkg -i /opt/2.deb").await;
    let both = ["enabled", "active"].map(str::to_owned);
    assert_eq!(units(lab), [both.clone(), both]);
    follower.until_back(lab, picture).await;
    let history = lab.sh("wactl --json history");
    assert!(history.contains("eve"), "{history}");
}

async fn purges(stage: &Stage) {
    let lab = &stage.lab;
    let said = lab.run("dpkg --purge wasessiond").await;
    assert!(
        said.contains("The credentials of these users are gone too: ann ben cara dora\n"),
        "{said}"
    );
    assert_nothing_is_left(lab);
}

fn assert_nothing_is_left(lab: &Lab) {
    assert_nothing_runs(lab);
    assert_no_unit_failed(lab);
    // Units that systemd still knows something of, too.
    let units = lab.sh("systemctl list-units --all --plain --no-legend 'wasession*'
        systemctl list-unit-files --no-legend 'wasession*' || true");
    assert_eq!(units, "");
    // What was changed below /usr is in /over. The directory below /etc/xdg is the lab's own (boot.sh).
    let left = lab.sh(
        "find / /run /tmp -xdev '(' -path /opt -o -path /etc/xdg/wasessiond ')' -prune \
            -o -name '*wasession*' -print",
    );
    assert_eq!(left, "");
    let catalog = lab.sh("journalctl --list-catalog");
    assert!(!catalog.contains("wasessiond"), "{catalog}");
}

// ---- other installations ------------------------------------------------------------------------

/// With one of the units disabled, stopped, failed or masked.
async fn as_the_administrator_left_it(lab: Lab) {
    lab.sh("dpkg -i /opt/2.deb; systemctl stop wasessiond.socket wasessiond.service");
    let mut stage = Stage::with(lab, "", "").await;
    let device = stage.pair("ann", "15550001001").await;
    let picture = Picture::from([("ann".to_owned(), (Phase::Online, device, Vec::new()))]);
    let mut follower = Follower::of(&stage.client).await;
    let lab = &stage.lab;

    one_unit_is_enough(lab, &mut follower, &picture).await;
    what_is_stopped_stays_stopped(lab).await;
    what_failed_is_tried_again(lab, &mut follower, &picture).await;
    what_is_about_to_start_is_started_anew(lab, &mut follower, &picture).await;
    what_is_masked_goes_too(lab).await;
}

/// Only the service, which makes the socket itself; then only the socket, whose first client starts the
/// service.
async fn one_unit_is_enough(lab: &Lab, follower: &mut Follower, picture: &Picture) {
    let [socket, service] = UNITS;
    for (one, other) in [(service, socket), (socket, service)] {
        let alone = format!(
            "systemctl stop {socket} {service}
            systemctl enable {one}; systemctl disable {other}; systemctl start {one}"
        );
        lab.run(&alone).await;
        follower.until_back(lab, picture).await;
        let before = (units(lab), run_of(lab));
        lab.run(UPGRADE).await;
        follower.until_back(lab, picture).await;
        assert_eq!(units(lab), before.0);
        assert_ne!(run_of(lab), before.1);
        assert_eq!(program(lab), "/usr/bin/wasessiond\n");
    }
}

async fn what_is_stopped_stays_stopped(lab: &Lab) {
    lab.run("systemctl enable wasessiond.socket wasessiond.service; systemctl stop wasessiond.socket wasessiond.service")
        .await;
    let stopped = ["enabled", "inactive"].map(str::to_owned);
    lab.run(UPGRADE).await;
    assert_eq!(units(lab), [stopped.clone(), stopped]);
    assert_nothing_runs(lab);
}

/// An upgrade with a configuration that is wrong; then one that may have put it right.
async fn what_failed_is_tried_again(lab: &Lab, follower: &mut Follower, picture: &Picture) {
    lab.run("systemctl start wasessiond.socket wasessiond.service")
        .await;
    follower.until_back(lab, picture).await;
    lab.write(LOCAL, "nonsense\n");
    let said = lab.run(UPGRADE).await;
    let why = "wasessiond did not start. Why: wasessiond check";
    assert!(said.contains(why), "{said}");
    // Clients come until systemd has had enough.
    lab.run(
        "until systemctl is-failed wasessiond.socket; do wactl daemon ping || true; done
        systemctl is-failed wasessiond.service",
    )
    .await;
    lab.sh(&format!("rm {LOCAL}"));
    lab.run(UPGRADE).await;
    let both = ["enabled", "active"].map(str::to_owned);
    assert_eq!(units(lab), [both.clone(), both]);
    follower.until_back(lab, picture).await;
}

/// A start that hangs: the old program would come of it, and stay.
async fn what_is_about_to_start_is_started_anew(
    lab: &Lab,
    follower: &mut Follower,
    picture: &Picture,
) {
    lab.drop_in("[Service]\nExecStartPre=sh -c 'test -e /run/go || exec sleep infinity'\n");
    lab.run(
        "systemctl --no-block restart wasessiond.service
        until systemctl show -p SubState wasessiond.service | grep -q start-pre; do sleep 0.02; done",
    )
    .await;
    let before = run_of(lab);
    lab.write("/run/go", "");
    lab.run(UPGRADE).await;
    assert_ne!(run_of(lab), before);
    follower.until_back(lab, picture).await;
    lab.sh("rm -r /etc/systemd/system/wasessiond.service.d; systemctl daemon-reload");
}

/// Failed, and masked by the administrator, it is in nobody's way.
async fn what_is_masked_goes_too(lab: &Lab) {
    lab.write(LOCAL, "nonsense\n");
    lab.run(
        "! systemctl restart wasessiond.service; systemctl mask wasessiond.service
        until systemctl is-failed wasessiond.service; do sleep 0.02; done",
    )
    .await;
    lab.run("dpkg --remove wasessiond").await;
    assert_nothing_runs(lab);
    assert_no_unit_failed(lab);
    lab.run("systemctl unmask wasessiond.service; dpkg --purge wasessiond")
        .await;
    assert_nothing_is_left(lab);
}
