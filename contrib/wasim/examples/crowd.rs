//! How many clients fit: links and keeps as many as told, in one process with the server, and says
//! what that takes.
//!
//! `cargo run --release -p wasim --example crowd -- 2000`

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;
use wasim::{Options, Server};

use support::TestClient;

/// Clients that are being linked at a time.
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u64 = std::env::args()
        .nth(1)
        .as_deref()
        .unwrap_or("2000")
        .parse()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let server = Server::start(Options::default()).await?;

    let began = Instant::now();
    let mut joining = JoinSet::new();
    let mut clients = Vec::new();
    for number in 0..count {
        if joining.len() == AT_ONCE {
            clients.extend(joining.join_next().await.transpose()?);
        }
        let server = server.clone();
        joining.spawn(async move {
            let client = TestClient::start(&server).await;
            client.pair(&server, &format!("1555{number:07}")).await;
            client
        });
    }
    clients.extend(joining.join_all().await);
    let linked = began.elapsed();

    let logins = server.logins().await?;
    let online = logins
        .iter()
        .filter(|login| login.stage == "online")
        .count();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.map(|line| line[name.len() + 1..].trim().to_owned())
            .unwrap_or_default()
    };
    let began = Instant::now();
    server.shutdown().await;
    writeln!(
        std::io::stdout(),
        "{online} of {count} online in {linked:.1?}; memory {}, threads {}; server stopped in {:.1?}",
        number("VmRSS"),
        number("Threads"),
        began.elapsed(),
    )?;
    Ok(())
}
