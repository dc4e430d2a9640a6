//! A disk that does not answer for one user's directory.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;
use wasessiond::protocol::{FailureCode, Phase, Unlink};
use wasim::Observation;

use crate::daemon::PROGRAM;
use crate::preloaded::{are_made, compile};
use crate::resolver::{LOGOUT, answers_at_once};
use crate::stage::{PATIENCE, PHONE, Stage};
use crate::watchdog::Watchdog;

/// The longest deadline of a command that waits for the disk, and a moment for a busy machine.
const DISCONNECT: Duration = Duration::from_secs(20);

/// Only whose directory it is waits for it: each command is answered by its deadline all the same, and
/// no second link is opened on credentials that the first may still be writing.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_for_one_user_holds_up_nobody_else() {
    let mut stage = Stage::set().await;
    let home = fs::canonicalize(stage.dir.path()).expect("a path");
    let Some(object) = compile(include_str!("disk.c"), &home) else {
        return;
    };
    let device = stage.pair("alice", PHONE).await;
    let other = stage.pair("bob", "15550001002").await;
    stage.pair("carol", "15550001003").await;
    stage.stop();
    let (hang, calls) = (home.join("hang"), home.join("calls"));
    let command = hanging_for(&home, &object, "alice");
    let mut watchdog = Watchdog::start(&mut stage, command).await;
    for user in ["alice", "bob", "carol"] {
        stage.until(user, Phase::Online).await;
    }
    fs::write(&hang, "").expect("write");

    // What WhatsApp sends her is to be written; then both lose their links.
    let renamed = wasim::Command::SetPushName {
        phone: PHONE.to_owned(),
        name: "Another name".to_owned(),
    };
    stage.sim.execute(renamed).await.expect("rename");
    tokio::task::block_in_place(|| are_made(&calls, 1));
    let position = stage.sim.position();
    for device in [&device, &other] {
        stage.sim.drop_connection(device).await.expect("drop");
    }
    let login = |of: &str| {
        let of = of.to_owned();
        move |seen: &Observation| matches!(seen, Observation::Login { jid, .. } if *jid == of)
    };
    let again = stage
        .sim
        .wait_after(position, login(&other), PATIENCE)
        .await;
    again.expect("bob comes back");

    // Each of alice's commands is answered by its deadline, if only to say that it could not be done.
    let began = Instant::now();
    let told = timeout(DISCONNECT, stage.client.disconnect("alice")).await;
    let told = told.unwrap_or_else(|_| panic!("no answer after {:?}", began.elapsed()));
    let code = Stage::code(told);
    assert!(
        matches!(
            code,
            FailureCode::DeadlineExceeded | FailureCode::StoreFailed
        ),
        "{code:?}"
    );
    answers_at_once(&stage).await;
    let status = timeout(LOGOUT, stage.client.status("alice")).await;
    status.expect("an answer").expect("a status");
    watchdog.is_fed(1).await;

    others_keep_their_time(&mut stage).await;

    let began = Instant::now();
    let told = timeout(LOGOUT, stage.client.force_logout("alice")).await;
    let told = told.unwrap_or_else(|_| panic!("no answer after {:?}", began.elapsed()));
    assert!(told.is_err(), "nothing can be removed yet: {told:?}");
    answers_at_once(&stage).await;
    watchdog.is_fed(2).await;
    let second = stage
        .sim
        .wait_after(position, login(&device), Duration::ZERO)
        .await;
    assert!(
        second.is_err(),
        "a second link while the first one writes: {second:?}"
    );

    // It answers again: the logout that was asked for is carried out.
    fs::remove_file(&hang).expect("remove");
    match stage.client.force_logout("alice").await {
        Ok(_) => {}
        // It ended by itself before this was asked.
        told => assert_eq!(Stage::code(told), FailureCode::NotFound),
    }
    assert_eq!(stage.of_user_on_disk("alice"), [""; 0]);
    stage.pair("alice", PHONE).await;
}

/// A logout, a pairing and a disconnect of users whose files do not hang.
async fn others_keep_their_time(stage: &mut Stage) {
    let began = Instant::now();
    let report = stage.client.force_logout("bob").await;
    assert_eq!(
        report.expect("force-logout").entry.unlink,
        Unlink::Confirmed
    );
    assert!(began.elapsed() < LOGOUT, "{:?}", began.elapsed());
    stage.pair("dave", "15550001004").await;
    stage.client.disconnect("carol").await.expect("disconnect");
}

/// Files of many users hang, more than there are threads for the disk: the others go on all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_for_a_dozen_users_holds_up_nobody_else() {
    const HANGING: usize = 12;
    let mut stage = Stage::with("[access]\nmax_sessions_per_uid = 100\n").await;
    let home = fs::canonicalize(stage.dir.path()).expect("a path");
    let Some(object) = compile(include_str!("disk.c"), &home) else {
        return;
    };
    let stuck = (0..HANGING).map(|n| (format!("stuck{n}"), format!("155500020{n:02}")));
    let stuck: Vec<_> = stuck.collect();
    for (user, phone) in &stuck {
        stage.pair(user, phone).await;
    }
    stage.pair("bob", "15550001002").await;
    stage.pair("carol", "15550001003").await;
    stage.stop();
    let (hang, calls) = (home.join("hang"), home.join("calls"));
    let command = hanging_for(&home, &object, "stuck*");
    let mut watchdog = Watchdog::start(&mut stage, command).await;
    for user in stuck.iter().map(|(user, _)| user.as_str()) {
        stage.until(user, Phase::Online).await;
    }
    for user in ["bob", "carol"] {
        stage.until(user, Phase::Online).await;
    }
    fs::write(&hang, "").expect("write");

    // Each is disconnected: a record is to be written, and the library's database closed.
    let asked = stuck.iter().map(|(user, _)| stage.client.disconnect(user));
    let asked = async {
        join_all(asked).await;
        std::future::pending::<()>().await;
    };
    let least = u64::try_from(HANGING).expect("a few");
    let made = tokio::task::spawn_blocking(move || are_made(&calls, least));
    tokio::select! {
        () = asked => {}
        made = made => made.expect("each of them waits"),
    }

    others_keep_their_time(&mut stage).await;
    answers_at_once(&stage).await;
    watchdog.is_fed(2).await;

    fs::remove_file(&hang).expect("remove");
    for (user, _) in &stuck {
        stage.client.force_logout(user).await.expect("force-logout");
    }
}

/// A daemon started while a user's directory hangs is ready all the same, with every other session; hers
/// is hers again as soon as the disk answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_no_file_that_hangs() {
    let mut stage = Stage::set().await;
    let home = fs::canonicalize(stage.dir.path()).expect("a path");
    let Some(object) = compile(include_str!("disk.c"), &home) else {
        return;
    };
    stage.pair("alice", PHONE).await;
    stage.pair("bob", "15550001002").await;
    stage.stop();
    let (hang, calls) = (home.join("hang"), home.join("calls"));
    fs::write(&hang, "").expect("write");
    let mut watchdog = Watchdog::start(&mut stage, hanging_for(&home, &object, "alice")).await;
    tokio::task::block_in_place(|| are_made(&calls, 1));
    stage.until("bob", Phase::Online).await;
    watchdog.is_fed(1).await;
    let report = stage.client.force_logout("bob").await;
    assert_eq!(
        report.expect("force-logout").entry.unlink,
        Unlink::Confirmed
    );

    // She has a session, which says what is wrong.
    let status = stage.until("alice", Phase::BackingOff).await;
    let error = status.error.expect("why");
    assert!(error.contains("has not answered"), "{error}");
    // Her file is read once, and holds one thread.
    let waiting = fs::metadata(&calls).expect("calls").len();
    assert_eq!(waiting, 1);

    fs::remove_file(&hang).expect("remove");
    stage.until("alice", Phase::Online).await;
    stage.client.force_logout("alice").await.expect("logout");
}

/// The daemon on a disk that hangs below a user's directory, or below those of all whose names begin so
/// (`NAME*`), while the file `hang` exists.
fn hanging_for(home: &Path, object: &Path, users: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env("LD_PRELOAD", object)
        .env("WASESSIOND_TEST_HANG", home.join("hang"))
        .env("WASESSIOND_TEST_CALLS", home.join("calls"))
        .env(
            "WASESSIOND_TEST_BELOW",
            home.join("state/sessions").join(users),
        );
    command
}
