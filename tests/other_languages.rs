//! The clients for other languages, each with its own tests, against the real daemon and the simulator.
//!
//! Needs the feature `simulator`, and an interpreter: without one it says that nothing was tested.

mod skipped;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use skipped::skipped;

/// How long all tests of one language may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(10);

/// A program that runs tests.
struct Interpreter {
    name: &'static str,
    /// What makes it exit with 1 when it is too old.
    check: [&'static str; 2],
    needs: &'static str,
    /// Below the root of the project.
    home: &'static str,
}

impl Interpreter {
    async fn is_there(&self) -> bool {
        let mut check = Command::new(self.name);
        check.args(self.check).stdin(Stdio::null());
        let there = match check.output().await {
            Ok(output) if output.status.success() => true,
            Ok(output) => {
                // Anything else it says is no reason to skip.
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.is_empty(), "{} cannot be asked: {said}", self.name);
                false
            }
            Err(_) => false,
        };
        if !there {
            skipped(&format!("{}: there is no {}", self.home, self.needs));
        }
        there
    }

    /// Runs its tests beside a simulator of their own. They start daemons themselves.
    async fn run(&self, arguments: &[&str]) {
        if !self.is_there().await {
            return;
        }
        let simulator = wasim::Server::start(wasim::Options::default())
            .await
            .expect("start the simulator");
        let dir = tempfile::tempdir().expect("make a directory");
        let path = dir.path().join("wasim.sock");
        let control = wasim::Control::bind(&simulator, &path)
            .await
            .expect("serve its control socket");

        let mut tests = Command::new(self.name);
        tests
            .args(arguments)
            .current_dir(root().join(self.home))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONPATH", "src")
            .env("TEST_WASESSIOND", env!("CARGO_BIN_EXE_wasessiond"))
            .env("TEST_ENDPOINT", simulator.url())
            .env("TEST_WASIM", control.path())
            .env_remove("WASESSIOND_SOCKET")
            .env_remove("XDG_RUNTIME_DIR")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = timeout(PATIENCE, tests.status()).await;
        let status = ended.expect("they end in time").expect("they run");
        assert!(status.success(), "{}: {status}", self.home);
        control.close().await;
        simulator.shutdown().await;
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn python() {
    let python = Interpreter {
        name: "python3",
        check: ["-c", "import sys; sys.exit(sys.version_info < (3, 9))"],
        needs: "python3, 3.9 or later",
        home: "contrib/python",
    };
    let discover = ["-W", "error", "-m", "unittest", "discover", "-s", "tests"];
    python.run(&discover).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node() {
    let old = "process.exit(process.versions.node.split('.')[0] < 18 ? 1 : 0)";
    let node = Interpreter {
        name: "node",
        check: ["-e", old],
        needs: "node, 18 or later",
        home: "contrib/node",
    };
    node.run(&["--test"]).await;
}
