//! `kill -9` at any moment of a logout: afterwards the session is whole, or gone. Never half, never
//! back.

use std::collections::BTreeMap;
use std::time::Duration;

use wasessiond::client::ClientError;
use wasessiond::protocol::{EventKind, FailureCode, Phase};

use crate::stage::{PHONE, Stage};

/// Rounds, and how much later each kill comes than the one before. A logout takes some 20 to 60 ms
/// here, so the kills fall before, into and after it.
const ROUNDS: u32 = 16;
const STEP: Duration = Duration::from_millis(5);

/// What became of the session.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Whole,
    Gone,
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_a_session_whole_or_gone() {
    let mut stage = Stage::set().await;
    let mut fates: BTreeMap<Fate, u32> = BTreeMap::new();
    for round in 0..ROUNDS {
        let device = stage.pair("alice", PHONE).await;
        let client = stage.client.clone();
        let logout = tokio::spawn(async move { client.force_logout("alice").await });
        // The moment is the point: there is no event to wait for.
        tokio::time::sleep(STEP * round).await;
        stage.kill();
        let acknowledged = matches!(logout.await, Ok(Ok(_)));
        stage.start().await;
        let fate = fate(&mut stage, &device).await;
        assert!(
            fate == Fate::Gone || !acknowledged,
            "an acknowledged logout came back"
        );
        *fates.entry(fate).or_default() += 1;
        if stage.client.status("alice").await.is_ok() {
            stage
                .client
                .force_logout("alice")
                .await
                .expect("force-logout");
            stage.ended("alice").await;
        }
        assert_eq!(stage.on_disk(), BTreeMap::new(), "round {round}");
    }
    println!("after {ROUNDS} kills: {fates:?}");
}

async fn fate(stage: &mut Stage, device: &str) -> Fate {
    match stage.client.status("alice").await {
        Ok(_) => whole(stage, device).await,
        Err(ClientError::Failure(failure)) if failure.code == FailureCode::NotFound => {
            assert!(
                failure.last_logout.is_some(),
                "gone without a line in the history"
            );
            assert_eq!(
                stage.on_disk(),
                BTreeMap::new(),
                "gone, but not from the disk"
            );
            Fate::Gone
        }
        Err(e) => panic!("{e}"),
    }
}

/// It is there: then it logs in without a QR code, or WhatsApp had confirmed the unlink before the kill
/// and it ends by itself.
async fn whole(stage: &mut Stage, device: &str) -> Fate {
    let linked = stage.sim.devices(PHONE).await.expect("devices");
    if linked.iter().all(|d| d.jid != device) {
        if stage.client.status("alice").await.is_ok() {
            stage.ended("alice").await;
        }
        return Fate::Gone;
    }
    let mut status = stage.client.status("alice").await.expect("status");
    if status.phase != Phase::Online {
        let event = stage.event("alice", |e| {
            assert!(
                !matches!(e.kind, EventKind::Qr),
                "a QR code over live credentials"
            );
            e.status.as_ref().is_some_and(|s| s.phase == Phase::Online)
        });
        status = event.await.status.expect("a status");
    }
    assert_eq!(status.account.expect("an account").jid, device);
    Fate::Whole
}
