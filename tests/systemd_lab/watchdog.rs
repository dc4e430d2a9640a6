//! The watchdog: a daemon that makes no progress is killed and started again.

use crate::lab::Lab;

const PATIENT: &str = "[Service]\nWatchdogSec=2s\nEnvironmentFile=-/run/wedge\n";

fn until_fed(lab: &Lab) {
    let fed = lab.show("WatchdogTimestampMonotonic");
    lab.until("feeding the watchdog", || {
        lab.show("WatchdogTimestampMonotonic") != fed
    });
}

/// Lets one part hang after a few answers, and waits until all is well again.
fn wedge(part: &str) {
    let Some(lab) = Lab::boot() else { return };
    lab.drop_in(PATIENT);
    lab.write("/run/wedge", &format!("FAILPOINTS={part}=3*off->pause\n"));
    lab.sh("systemctl start wasessiond.socket wasessiond.service; rm /run/wedge");
    let first = lab.show("MainPID");
    lab.until_shows("NRestarts", "1");
    lab.until_shows("ActiveState", "active");
    // The new one is well, and stays it.
    lab.sh("wactl daemon ping");
    until_fed(&lab);
    until_fed(&lab);
    assert_eq!(lab.show("NRestarts"), "1");
    assert_ne!(lab.show("MainPID"), first);
    let journal = lab.journal("-u wasessiond");
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    let told = lab.journal("-x MESSAGE_ID=ced2858a9eea4f388c8bfc840c7cf1e4");
    assert!(
        told.contains(&format!("no progress of the {part}: ")),
        "{told}"
    );
    assert!(
        told.contains("Subject: wasessiond makes no progress"),
        "{told}"
    );
}

#[test]
fn a_listener_that_hangs_is_restarted() {
    wedge("listener");
}

#[test]
fn a_supervisor_that_hangs_is_restarted() {
    wedge("supervisor");
}

#[test]
fn a_store_that_hangs_is_restarted() {
    wedge("store");
}

#[test]
fn a_process_that_is_stopped_for_a_moment_goes_on_and_one_that_stays_stopped_is_restarted() {
    let Some(lab) = Lab::boot() else { return };
    lab.drop_in("[Service]\nWatchdogSec=4s\n");
    lab.sh("systemctl start wasessiond.socket wasessiond.service");
    let pid = lab.show("MainPID");
    let state = || lab.sh(&format!("sed -n 's/^State:.//p' /proc/{pid}/status"));
    lab.sh(&format!("kill -STOP {pid}"));
    lab.until("the stop", || state().starts_with('T'));
    lab.sh(&format!("kill -CONT {pid}; wactl daemon ping"));
    until_fed(&lab);
    until_fed(&lab);
    assert_eq!(
        (lab.show("MainPID"), lab.show("NRestarts")),
        (pid.clone(), "0".to_owned())
    );
    lab.sh(&format!("kill -STOP {pid}"));
    lab.until_shows("NRestarts", "1");
    lab.until_shows("ActiveState", "active");
    lab.sh("wactl daemon ping");
    assert_ne!(lab.show("MainPID"), pid);
}
