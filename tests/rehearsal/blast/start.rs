//! Trouble that the daemon finds when it starts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use nix::sys::stat::Mode;
use wasessiond::protocol::{Cause, Phase, Status};

use super::crowd::{Crowd, ONE, USERS, blow_up, database, logins_of_others, told};
use crate::daemon::{PROGRAM, failing};
use crate::stage::Stage;

/// READY must not wait for the one. Generous: less than the ten seconds for which the supervisor waits
/// for a silent session, and than SQLite's patience with a locked file.
const READY: Duration = Duration::from_secs(4);

/// What is done to the one's directory, and undone.
struct Damage {
    name: &'static str,
    /// What the error must name.
    error: &'static str,
    make: fn(&Path),
}

const DAMAGES: [Damage; 13] = [
    Damage {
        name: "vault.db of random bytes",
        error: "vault.db",
        make: |dir| write(dir, "vault.db", &noise(300_000)),
    },
    Damage {
        name: "vault.db of 0 bytes",
        error: "vault.db",
        make: |dir| write(dir, "vault.db", b""),
    },
    Damage {
        name: "half a vault.db",
        error: "vault.db",
        make: |dir| {
            let whole = fs::read(dir.join("vault.db")).expect("read");
            write(dir, "vault.db", &whole[..whole.len() / 2]);
        },
    },
    Damage {
        name: "a pipe for a vault.db, on which a reader waits for ever",
        error: "vault.db",
        make: |dir| pipe(dir, "vault.db"),
    },
    Damage {
        name: "a key of random bytes",
        error: "key",
        make: |dir| write(dir, "key", &noise(105)),
    },
    Damage {
        name: "a vault without its key",
        error: "key",
        make: |dir| fs::remove_file(dir.join("key")).expect("remove"),
    },
    Damage {
        name: "session.toml of random bytes",
        error: "session.toml",
        make: |dir| write(dir, "session.toml", &noise(300)),
    },
    Damage {
        name: "session.toml of a newer version",
        error: "newer",
        make: |dir| write(dir, "session.toml", b"version = 99\n"),
    },
    Damage {
        name: "a pipe for a session.toml, on which a reader waits for ever",
        error: "session.toml",
        make: |dir| pipe(dir, "session.toml"),
    },
    // For root a mode of 000 is no obstacle; these are, whoever the daemon runs as.
    Damage {
        name: "a directory for a session.toml: it opens, and cannot be read",
        error: "session.toml",
        make: |dir| {
            fs::remove_file(dir.join("session.toml")).expect("remove");
            fs::create_dir(dir.join("session.toml")).expect("make");
        },
    },
    Damage {
        name: "a file for a directory",
        error: ONE,
        make: |dir| {
            fs::remove_dir_all(dir).expect("remove");
            fs::write(dir, "x").expect("write");
        },
    },
    Damage {
        name: "a link to itself for a directory",
        error: ONE,
        make: |dir| {
            fs::remove_dir_all(dir).expect("remove");
            symlink(dir, dir).expect("link");
        },
    },
    Damage {
        name: "a directory of mode 000 (no obstacle for root)",
        error: ONE,
        make: |dir| mode(dir, 0o000),
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn what_one_left_on_the_disk_keeps_nobody_else_from_coming_back() {
    let mut crowd = Crowd::gather("").await;
    crowd.stage.stop();
    let dir = crowd.stage.session_dir(ONE);
    let kept = crowd.stage.dir.path().join("kept");
    copy(&dir, &kept);

    start(&mut crowd, "nothing amiss", Command::new(PROGRAM)).await;
    crowd.stage.phase_or_now(Phase::Online).await;
    crowd.stage.stop();
    panics(&mut crowd).await;
    let runs_as_root = nix::unistd::geteuid().is_root();
    for damage in DAMAGES {
        if damage.name.contains("mode 000") && runs_as_root {
            continue;
        }
        put_back(&kept, &dir);
        (damage.make)(&dir);
        start(&mut crowd, damage.name, Command::new(PROGRAM)).await;
        is_told(&mut crowd.stage, &damage).await;
        crowd.stage.stop();
    }

    put_back(&kept, &dir);
    blow_up(&crowd.stage).await;
    for n in 0..20 {
        write(&dir, &format!("extra{n}"), &noise(1_000_000));
    }
    start(
        &mut crowd,
        "100 MB of vault.db and 20 files",
        Command::new(PROGRAM),
    )
    .await;
    crowd.stage.phase_or_now(Phase::Online).await;
    crowd.stage.stop();

    put_back(&kept, &dir);
    halted_disk(&mut crowd).await;
    force_logout_is_the_way_out(&mut crowd, &kept, &dir).await;
}

/// Its task fails before it has told anything. It is tried again, ever less often.
async fn panics(crowd: &mut Crowd) {
    let panicking = failing(&format!("session_run=return({ONE})"));
    let began = Instant::now();
    start(crowd, "a task that panics at once", panicking).await;
    let status = crowd.stage.phase_or_now(Phase::BackingOff).await;
    assert_eq!(status.reason, Some(Cause::TaskFailed));
    assert!(status.error.is_some_and(|e| e.contains("asked to fail")));
    assert!(status.retry_at.is_some());
    let asked = crowd.stage.client.connect_session(ONE, None).await;
    asked.expect_err("it fails at once");
    let forced = crowd.stage.client.force_logout(ONE).await;
    forced.expect_err("it fails at once");
    crowd.stage.stop();
    let log = crowd.stage.log();
    let failures = log.matches("its task failed").count();
    // Once at the start, once for each of the three tries to ask, the rest by itself.
    let allowed = 4 + began.elapsed().as_secs();
    println!("  it failed {failures} times");
    assert!(
        failures >= 3 && failures as u64 <= allowed,
        "{failures} times"
    );
}

/// The daemon is ready at once, the others come online, each by one login, and no history is made.
async fn start(crowd: &mut Crowd, what: &str, command: Command) {
    println!("{what}");
    let mut seen = crowd.stage.sim.subscribe();
    let began = Instant::now();
    crowd.stage.start_by(command).await;
    let ready = told("ready after", began);
    crowd.until_online(USERS - 1).await;
    told("99 online after", began);
    assert!(ready < READY, "{what}: ready after {ready:?}");
    let logins = logins_of_others(&mut seen);
    assert_eq!(logins.len(), USERS as usize - 1);
    assert!(logins.values().all(|times| *times == 1), "{logins:?}");
    let history = crowd.stage.client.history(None, None).await;
    assert_eq!(history.expect("history"), []);
}

async fn is_told(stage: &mut Stage, damage: &Damage) {
    let status = stage.phase_or_now(Phase::StoreCorrupt).await;
    let error = status.error.as_deref().unwrap_or_default();
    assert!(error.contains(damage.error), "{}: {error}", damage.name);
    let helps = format!("wactl force-logout {ONE}");
    assert!(status.next_action.contains(&helps), "{status:#?}");
    let asked = stage.client.connect_session(ONE, None).await;
    assert_eq!(asked.expect("connect").qr, None, "{}", damage.name);
    // It was looked at again, and is what it was.
    stage.phase_or_now(Phase::StoreCorrupt).await;
}

/// Nobody gets at the one's credentials: the disk under them has come to a halt.
async fn halted_disk(crowd: &mut Crowd) {
    let mut other = database(&crowd.stage);
    let lock = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; PRAGMA user_version = 0";
    other.batch_execute(lock).expect("lock");
    start(
        crowd,
        "a vault.db that nobody gets at",
        Command::new(PROGRAM),
    )
    .await;
    let status = crowd.stage.phase_or_now(Phase::BackingOff).await;
    assert_eq!(status.reason, Some(Cause::StoreFailed), "{status:#?}");
    drop(other);
    let asked = crowd.stage.client.connect_session(ONE, None).await;
    asked.expect("connect");
    crowd.stage.phase_or_now(Phase::Online).await;
    crowd.stage.stop();
}

/// Whatever it is that stands there: afterwards nothing does.
async fn force_logout_is_the_way_out(crowd: &mut Crowd, kept: &Path, dir: &Path) {
    let stage = &mut crowd.stage;
    for of_another in files(&stage.state().join("sessions")) {
        fs::remove_dir_all(of_another).expect("remove");
    }
    for damage in DAMAGES {
        put_back(kept, dir);
        (damage.make)(dir);
        stage.start().await;
        let report = stage.client.force_logout(ONE).await.expect(damage.name);
        assert_eq!(report.entry.cause, Cause::ForceLogout, "{}", damage.name);
        assert!(fs::symlink_metadata(dir).is_err(), "{}", damage.name);
        let trash = fs::read_dir(stage.state().join("trash")).expect("read");
        assert_eq!(trash.count(), 0, "{}: something is left", damage.name);
        stage.stop();
    }
}

impl Stage {
    /// The one's status, once it is in this phase.
    async fn phase_or_now(&mut self, phase: Phase) -> Status {
        let status = self.client.status(ONE).await.expect("status");
        if status.phase == phase {
            return status;
        }
        self.phase(ONE, phase).await
    }
}

// ---- the disk -----------------------------------------------------------------------------------

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let file = dir.join(name);
    for log in ["db-wal", "db-shm"] {
        if name == "vault.db" {
            let _ = fs::remove_file(file.with_extension(log));
        }
    }
    fs::write(file, bytes).expect("write");
}

fn pipe(dir: &Path, name: &str) {
    let file = dir.join(name);
    fs::remove_file(&file).expect("remove");
    nix::unistd::mkfifo(&file, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("change the mode");
}

/// Bytes that mean nothing, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("make");
    mode(to, 0o700);
    for file in files(from) {
        fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("copy");
    }
}

fn put_back(kept: &Path, dir: &Path) {
    match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => {
            mode(dir, 0o700);
            fs::remove_dir_all(dir).expect("remove");
        }
        Ok(_) => fs::remove_file(dir).expect("remove"),
        Err(_) => {}
    }
    copy(kept, dir);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("read");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}
