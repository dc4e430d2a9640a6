//! What a thief of the disk finds: the raw bytes of the file system with the state, also of what was removed.

use std::fs::{self, File};
use std::os::fd::AsFd;

use wasessiond::protocol::{Cause, Phase, TargetEdit, Unlink};
use wasessiond::whatsapp::SpaceBackend;
use wasim::Failure;
use whatsapp_rust::store::DeviceStore as _;

use crate::hunt::Hunt;
use crate::mounts;
use crate::stage::Stage;
use crate::vault;

const TOKEN: &str = "AppealToken-r4w-0123456789";

/// The account and the keys of a session, none of which may be on the disk.
async fn note(hunt: &mut Hunt, stage: &Stage, user: &str, jid: &str) {
    let phone = jid.split(':').next().expect("a number");
    hunt.add("a JID", jid);
    hunt.add("a phone number", phone);
    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let seen = mounts::seen_by(pid, &stage.state());
    let (vault, _copy) = vault::copy(&seen, user).await;
    let device = SpaceBackend::new(vault).load().await;
    let device = device.expect("read").expect("a device");
    hunt.add("a name", &device.push_name);
    hunt.add_bytes("an adv secret", &device.adv_secret_key);
    for (what, pair) in [
        ("a noise key", &device.noise_key),
        ("an identity key", &device.identity_key),
        ("a signed prekey", &device.signed_pre_key),
    ] {
        hunt.add_bytes(what, &pair.private_key.serialize()[..]);
        hunt.add_bytes(what, &pair.public_key.serialize()[1..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_the_disk_name_nobody_and_hold_no_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let (image, mounted) = (dir.path().join("disk.img"), dir.path().join("state"));
    let Some(command) = mounts::daemon(
        "the raw bytes of a disk",
        "truncate -s 24M \"$1\"
         mkfs.ext4 -q -F -b 1024 -m 0 \"$1\"
         mkdir -p -m 0700 \"$2\"
         mount -t ext4 -o loop \"$1\" \"$2\"
         chmod 0700 \"$2\"",
        &[&image, &mounted],
    ) else {
        return;
    };
    let sim = wasim::Server::start(wasim::Options::default()).await;
    let mut stage = Stage::found(sim.expect("a simulator"), dir, "", command).await;
    let mut hunt = Hunt::default();
    // One that lives, one that was removed, one that WhatsApp has locked and that was given up.
    let mut devices = Vec::new();
    for (user, phone) in [
        ("alice", "15550001001"),
        ("bob", "15550001002"),
        ("erin", "15550001005"),
    ] {
        let device = stage.pair(user, phone).await;
        note(&mut hunt, &stage, user, &device).await;
        let groups = stage.client.groups(user).await.expect("groups");
        for group in &groups {
            hunt.add("a group", group.jid.as_str());
        }
        let edit = TargetEdit::Set(groups.iter().map(|g| g.jid.to_string()).collect());
        stage.client.targets(user, edit).await.expect("targets");
        devices.push(device);
    }
    // Everything is opened, closed and written once more.
    stage.client.disconnect("alice").await.expect("disconnect");
    stage.connect("alice").await;
    stage.until("alice", Phase::Online).await;
    let report = stage.client.force_logout("bob").await.expect("bob");
    assert_eq!(report.entry.unlink, Unlink::Confirmed);
    hunt.add("an appeal token", TOKEN);
    let locked = Failure::account_locked(TOKEN);
    let refused = stage.sim.fail_next_login(&devices[2], locked).await;
    refused.expect("fail");
    stage.sim.drop_connection(&devices[2]).await.expect("drop");
    stage.until("erin", Phase::Held).await;
    let report = stage.client.force_logout("erin").await.expect("erin");
    assert!(report.entry.appeal_token.is_some(), "{report:?}");
    assert_eq!(report.entry.cause, Cause::ForceLogout);

    let pid = stage.daemon.as_ref().expect("it runs").pid();
    let disk = File::open(mounts::seen_by(pid, &stage.state())).expect("the state");
    nix::unistd::syncfs(disk.as_fd()).expect("synced");
    let bytes = fs::read(&image).expect("the image");
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"force_logout"), "the history is on the disk");
    hunt.assert_none("the disk", &bytes);
    println!(
        "{} KiB of disk, searched for {} forms of {} secrets",
        bytes.len() / 1024,
        hunt.forms(),
        hunt.secrets()
    );
}
