//! A session's whole life, shown as a person would see it, offline, in a few seconds:
//!
//! ```text
//! cargo run --example demo --features simulator
//! ```
//!
//! It starts the simulator and a real daemon in a temporary directory, runs the real `wactl` against
//! it, and plays the phone. The exit status is 0 only if each step was really observed.

mod cast;
mod show;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use wasessiond::protocol::{Cause, EventKind, Phase, Unlink};

use cast::Cast;
use show::{say, scene};

const PHONE: &str = "15550001001";

fn main() -> ExitCode {
    // The daemon and wactl are processes of their own; this program is all three.
    if let Some(code) = cast::play_another_part() {
        return code;
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => {
            say(&format!("no runtime: {e}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(play()) {
        Ok(()) => {
            say("\nEverything above was observed. That is the whole of it.");
            ExitCode::SUCCESS
        }
        Err(e) => {
            say(&format!("\nThe rehearsal failed: {e:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn play() -> Result<()> {
    let mut cast = Cast::assemble().await?;

    scene("alice is linked: a QR code, scanned by the phone");
    let (device, first_code) = pair(&mut cast).await?;

    scene("the account's groups, and the ones alice has chosen");
    cast.wactl(&["groups", "alice"]).await?;
    let groups = cast.client.groups("alice").await?;
    let chosen = groups
        .first()
        .context("the account has no group")?
        .jid
        .to_string();
    cast.wactl(&["targets", "alice", "--set", &chosen]).await?;
    cast.wactl(&["status", "alice"]).await?;

    scene("the daemon is restarted: alice comes back without a QR code");
    cast.show_state("before");
    cast.restart().await?;
    let mut qr_seen = false;
    cast.until("alice is online again", |event| {
        qr_seen |= matches!(event.kind, EventKind::Qr);
        event
            .status
            .as_ref()
            .is_some_and(|s| s.phase == Phase::Online)
    })
    .await?;
    ensure!(!qr_seen, "a QR code was shown although alice was linked");
    let status = cast.client.status("alice").await?;
    ensure!(
        status.account.is_some_and(|a| a.jid == device),
        "another device came back"
    );
    ensure!(status.targets.len() == 1, "the target group was lost");
    cast.wactl(&["list"]).await?;

    scene("the device is unlinked on the phone: everything of the session is removed");
    cast.sim.unlink(&device).await?;
    let ended = cast
        .until("alice is logged out", |e| e.kind.ended().is_some())
        .await?;
    let entry = ended.kind.ended().context("the event names no end")?;
    ensure!(
        entry.cause == Cause::Unlinked,
        "the cause is {}",
        entry.cause
    );
    ensure!(
        cast.state() == BTreeSet::new(),
        "something is left on the disk"
    );
    cast.show_state("after");
    cast.wactl(&["history", "alice"]).await?;

    scene("no restart, no cleaning up by hand: a fresh QR code at once");
    let (again, second_code) = pair(&mut cast).await?;
    ensure!(again != device, "the old device came back");
    ensure!(first_code != second_code, "the old QR code came back");
    let targets = cast.client.status("alice").await?.targets;
    ensure!(targets.is_empty(), "old target groups came back");

    scene("force-logout: unlinked at WhatsApp, nothing left");
    cast.wactl(&["force-logout", "alice", "--yes"]).await?;
    let ended = cast
        .until("alice is logged out", |e| e.kind.ended().is_some())
        .await?;
    let unlink = ended.kind.ended().map(|entry| entry.unlink);
    ensure!(
        unlink == Some(Unlink::Confirmed),
        "the unlink was {unlink:?}"
    );
    ensure!(
        cast.sim.devices(PHONE).await?.is_empty(),
        "the device is still in the phone's list"
    );
    ensure!(
        cast.state() == BTreeSet::new(),
        "something is left on the disk"
    );
    cast.show_state("after");
    cast.end_daemon().await
}

/// `wactl connect alice`, with the phone scanning what it shows. Returns the device and the code.
async fn pair(cast: &mut Cast) -> Result<(String, String)> {
    let wactl = cast.begin_wactl(&["connect", "alice"])?;
    let shown = cast
        .until("a QR code", |e| matches!(e.kind, EventKind::Qr))
        .await?;
    let qr = shown.status.and_then(|s| s.qr).and_then(|qr| qr.code);
    let code = qr.context("the QR code has no text")?.reveal().to_owned();
    let device = cast.sim.scan(&code, PHONE).await?;
    cast.until("the pairing", |e| matches!(e.kind, EventKind::Paired))
        .await?;
    wactl.succeed().await?;
    let status = cast.client.status("alice").await?;
    ensure!(status.phase == Phase::Online, "alice is {}", status.phase);
    ensure!(
        status.account.is_some_and(|a| a.jid == device),
        "another device is online"
    );
    Ok((device, code))
}
