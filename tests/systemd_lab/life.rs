//! A session's whole life, inside the sandbox of the shipped unit.

use wasessiond::protocol::{Cause, Phase, TargetEdit, Unlink};

use crate::stage::{PHONE, Stage};

#[tokio::test]
async fn everything_the_service_does_works_inside_its_sandbox() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    // Paired, restored by a restart, closed and opened again.
    let device = stage.pair("alice", PHONE).await;
    assert!(
        !stage
            .client
            .groups("alice")
            .await
            .expect("groups")
            .is_empty()
    );
    let cleared = stage.client.targets("alice", TargetEdit::Clear).await;
    assert_eq!(cleared.expect("targets"), []);
    stage.lab.until_shows("StatusText", "1 online");
    stage.lab.run("systemctl restart wasessiond.service").await;
    stage.join().await;
    let status = stage.phase("alice", Phase::Online).await;
    assert_eq!(status.account.expect("an account").jid, device);
    stage.client.disconnect("alice").await.expect("disconnect");
    stage.phase("alice", Phase::Disconnected).await;
    stage.lab.until_shows("StatusText", "1 disconnected");
    stage.connect("alice").await;
    stage.phase("alice", Phase::Online).await;

    // Unlinked on the phone: nothing is left.
    stage.sim.unlink(&device).await.expect("unlink");
    let entry = stage.ended("alice").await;
    assert_eq!(
        (entry.cause, entry.unlink),
        (Cause::Unlinked, Unlink::NotLinked)
    );
    assert_eq!(
        stage
            .lab
            .sh("ls -A /var/lib/wasessiond/sessions /var/lib/wasessiond/trash"),
        "/var/lib/wasessiond/sessions:\n\n/var/lib/wasessiond/trash:\n"
    );

    // Begun anew with a fresh code, and removed on request.
    stage.pair("alice", PHONE).await;
    let report = stage
        .client
        .force_logout("alice")
        .await
        .expect("force-logout");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    stage.lab.until_shows("StatusText", "no sessions");
    let history = stage.lab.sh("wactl --json history alice");
    assert!(
        history.contains("force_logout") && history.contains("unlinked"),
        "{history}"
    );
    // Nothing was tried that the sandbox forbids.
    let journal = stage.lab.journal("-p warning -u wasessiond");
    assert_eq!(journal, "");
}
