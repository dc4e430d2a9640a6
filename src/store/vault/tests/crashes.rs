//! Crashes in the middle of a batch and of a rotation, and a disk without room. What dies, or sees another
//! disk, is a process of its own: this test program again, with one of its ignored tests.

use std::process::{Command, ExitStatus};

use super::*;

/// Says to an ignored test where its files are.
const STATE: &str = "WASESSION_TEST_STATE";

fn stage_of_parent() -> Stage {
    let state = PathBuf::from(std::env::var_os(STATE).expect("run by another test"));
    Stage {
        _dir: tempfile::tempdir().expect("tempdir"),
        masters: MasterKeys::load(&state, None).expect("a key"),
        state,
        work: UncancellableWork::default(),
    }
}

fn arguments(test: &str) -> [String; 4] {
    let (_, module) = module_path!().split_once("::").expect("the crate");
    let test = format!("{module}::{test}");
    ["--exact", &test, "--ignored", "--nocapture"].map(str::to_owned)
}

/// Values after the batch of [`dies_in_a_batch`].
fn changed() -> Vec<(Place, Vec<u8>)> {
    let mut values = all();
    values.remove(2);
    for n in [0, 5] {
        values[n].1 = vec![9; 3000];
    }
    values
}

#[tokio::test]
#[ignore = "run by another test"]
async fn changes() {
    crate::failpoint::setup();
    let vault = stage_of_parent().open("alice").await.expect("it opens");
    let values = all();
    let puts = [0, 6].map(|n| Change::Put(values[n].0.clone(), vec![9; 3000]));
    let mut batch = puts.to_vec();
    batch.push(Change::Delete(values[2].0.clone()));
    commit(&vault, batch).await.expect("a commit");
    vault.close().await;
}

#[tokio::test]
#[ignore = "run by another test"]
async fn rotates() {
    crate::failpoint::setup();
    let stage = stage_of_parent();
    let next = (!stage.masters.is_rotating()).then(|| MasterKey::random().expect("a key"));
    let work = |_: &crate::protocol::UserId| stage.work.clone();
    let room = crate::blocking::Room::new("rotation", 1);
    let rotated = rotate(&stage.state, &stage.masters, next, &room, work).await;
    rotated.expect("rotated");
}

#[cfg(feature = "simulator")]
fn run(test: &str, stage: &Stage, failpoints: &str) -> ExitStatus {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(arguments(test)).env(STATE, &stage.state);
    child.env("FAILPOINTS", failpoints);
    child.output().expect("it runs").status
}

#[cfg(feature = "simulator")]
fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;

    status.signal() == Some(9)
}

#[cfg(feature = "simulator")]
#[tokio::test]
async fn a_crash_in_a_batch_leaves_all_or_nothing() {
    for (point, is_committed) in [
        ("vault_change:before=return(kill)", false),
        ("vault_change:after=2*off->return(kill)", false),
        ("vault_commit:before=return(kill)", false),
        ("vault_commit:after=return(kill)", true),
    ] {
        let stage = Stage::set();
        stage.fill("alice").await;
        assert!(was_killed(run("changes", &stage, point)), "{point}");
        let expected = if is_committed { changed() } else { all() };
        assert_eq!(
            stage.read("alice").await.expect("it opens"),
            expected,
            "{point}"
        );
        assert!(run("changes", &stage, "").success(), "{point}");
        assert_eq!(stage.read("alice").await.expect("it opens"), changed());
    }
}

#[cfg(feature = "simulator")]
#[tokio::test]
async fn a_crash_at_any_step_of_a_rotation_loses_nothing_and_it_goes_on() {
    for step in [
        "master_write",
        "master_sync",
        "master_rename",
        "master_sync_dir",
        "key_write",
        "key_sync",
        "key_rename",
        "key_sync_dir",
        "master_install",
        "shred",
    ] {
        for moment in ["before", "after"] {
            let mut stage = Stage::set();
            for user in ["alice", "bob"] {
                stage.fill(user).await;
            }
            let old = *stage.masters.current().id();
            let point = format!("{step}:{moment}=return(kill)");
            assert!(was_killed(run("rotates", &stage, &point)), "{point}");
            stage.masters = MasterKeys::load(&stage.state, None).expect("a key");
            for user in ["alice", "bob"] {
                assert_eq!(stage.read(user).await.expect("it opens"), all(), "{point}");
            }
            assert!(run("rotates", &stage, "").success(), "{point}");
            stage.masters = MasterKeys::load(&stage.state, None).expect("a key");
            assert!(!stage.masters.is_rotating(), "{point}");
            assert_ne!(*stage.masters.current().id(), old, "{point}");
            for user in ["alice", "bob"] {
                assert_eq!(stage.read(user).await.expect("it opens"), all(), "{point}");
            }
        }
    }
}

#[cfg(feature = "simulator")]
#[tokio::test]
async fn a_crash_while_a_vault_is_made_leaves_a_pairing_that_can_begin() {
    for step in [
        "key_rename",
        "key_sync_dir",
        "vault_write",
        "vault_rename",
        "vault_sync_dir",
    ] {
        for moment in ["before", "after"] {
            let stage = Stage::set();
            fs::create_dir(stage.dir("alice")).expect("mkdir");
            let point = format!("{step}:{moment}=return(kill)");
            assert!(was_killed(run("makes", &stage, &point)), "{point}");
            let dir = stage.dir("alice");
            let look = Vault::look_into(&dir, &stage.masters, &stage.work).await;
            match look.expect("it is whole") {
                Contents::Values => assert_eq!(stage.read("alice").await.expect("it opens"), []),
                Contents::Missing | Contents::Empty => stage.fill("alice").await,
            }
        }
    }
}

#[tokio::test]
#[ignore = "run by another test"]
async fn makes() {
    crate::failpoint::setup();
    stage_of_parent().create("alice").await.close().await;
}

/// On a small file system of its own.
#[tokio::test]
#[ignore = "run by another test"]
async fn fills_the_disk() {
    let stage = stage_of_parent();
    fs::create_dir_all(stage.dir("alice")).expect("mkdir");
    stage.fill("alice").await;
    let vault = stage.open("alice").await.expect("it opens");
    let changes = |size| {
        (0..12)
            .map(|n| Change::Put(name(n), vec![n; size]))
            .collect()
    };
    let full = commit(&vault, changes(200_000)).await;
    assert!(is_unavailable(&full), "{full:?}");
    assert_eq!(read(&vault).await.expect("it goes on"), all());
    // Not a byte is left.
    let ballast = stage.state.join("ballast");
    let mut file = fs::File::create(&ballast).expect("a file");
    while std::io::Write::write_all(&mut file, &[7; 512]).is_ok() {}
    let full = commit(&vault, changes(5000)).await;
    assert!(is_unavailable(&full), "{full:?}");
    vault.close().await;
    match stage.read("alice").await {
        Ok(values) => assert_eq!(values, all()),
        Err(error) => assert!(matches!(error, SpaceError::Unavailable { .. }), "{error}"),
    }
    drop(file);
    fs::remove_file(&ballast).expect("remove");
    assert_eq!(stage.read("alice").await.expect("there is room"), all());
    let vault = stage.open("alice").await.expect("it opens");
    commit(&vault, changes(5000)).await.expect("there is room");
    vault.close().await;
}

#[test]
fn a_full_disk_in_the_middle_of_a_batch_loses_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let program = std::env::current_exe().expect("this program");
    let script = "mount -t tmpfs -o size=512k,mode=700 tmpfs \"$1\" && mkdir \"$1/sessions\" && shift && exec \"$@\"";
    let mut child = Command::new("unshare");
    child.args(["--mount", "--propagation", "private", "sh", "-euc"]);
    child.args([script, "sh"]).arg(dir.path());
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: it needs root, for a mount namespace");
        return;
    }
    child.arg(program).args(arguments("fills_the_disk"));
    let done = child.env(STATE, dir.path()).output().expect("it runs");
    let told = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
}
