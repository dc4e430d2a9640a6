//! The master key as a credential of systemd: the commands of the README.

use wasessiond::protocol::{KeySource, MasterKey, Phase};

use crate::lab::Lab;
use crate::stage::{PHONE, Stage};

/// Makes a key, and keeps it encrypted where the unit looks for it. `host`: a machine of a test has no TPM.
const MAKE: &str = "mkdir -p -m 700 /etc/credstore.encrypted
    head -c 32 /dev/urandom |
        systemd-creds --with-key=host encrypt --name=wasessiond.key - /etc/credstore.encrypted/wasessiond.key";

/// What comes before another key: the present one stays under another name.
const KEEP_OLD: &str = "cd /etc/credstore.encrypted
    systemd-creds decrypt --name=wasessiond.key wasessiond.key - |
        systemd-creds --with-key=host encrypt --name=wasessiond.key.old - wasessiond.key.old
    rm wasessiond.key";

/// The manager of a machine lets the mounts of its namespaces through to the services; that of a container, for
/// which it takes the lab, does not. Credentials are such mounts.
const AS_ON_A_MACHINE: &str = "mount --make-rshared /";

fn master_key(lab: &Lab) -> MasterKey {
    let info = lab.sh("wactl --json daemon info");
    let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
    serde_json::from_value(info["master_key"].clone()).expect("a master key")
}

fn has_key_file(lab: &Lab) -> bool {
    lab.path("/var/lib/wasessiond/key").exists()
}

#[test]
fn a_credential_is_the_master_key_from_the_first_start_on_and_none_is_no_failure() {
    let Some(lab) = Lab::boot() else { return };
    lab.sh(AS_ON_A_MACHINE);
    lab.sh(MAKE);
    lab.sh("systemctl start wasessiond.service");
    let key = master_key(&lab);
    assert_eq!(
        (key.source, key.rotating),
        (Some(KeySource::Credential), false)
    );
    assert!(!has_key_file(&lab));
    let refused = lab.try_sh("wactl daemon rotate-key");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");

    // Of a service that finds none.
    lab.sh("systemctl stop wasessiond.service; rm -r /etc/credstore.encrypted");
    lab.sh("systemctl start wasessiond.service");
    let error = master_key(&lab).error.expect("another one was in use");
    assert!(error.contains("is missing"), "{error}");
    lab.sh("systemctl stop wasessiond.service; rm /var/lib/wasessiond/key.id");
    lab.sh("systemctl start wasessiond.service");
    let key = master_key(&lab);
    assert_eq!((key.source, key.error), (Some(KeySource::File), None));
    assert!(has_key_file(&lab));

    // In the clear, by a drop-in.
    lab.sh(
        "umask 077; mkdir /etc/credstore; head -c 32 /dev/urandom >/etc/credstore/wasessiond.key",
    );
    lab.drop_in("[Service]\nLoadCredential=wasessiond.key:/etc/credstore/wasessiond.key\n");
    lab.sh("systemctl restart wasessiond.service");
    lab.until("the rotation", || {
        let key = master_key(&lab);
        key.source == Some(KeySource::Credential) && !key.rotating
    });
    assert!(!has_key_file(&lab));
}

#[tokio::test]
async fn sessions_go_on_when_the_key_becomes_a_credential_and_when_that_changes() {
    let Some(lab) = Lab::boot() else { return };
    lab.sh(AS_ON_A_MACHINE);
    let mut stage = Stage::with(lab, "", "").await;
    let device = stage.pair("alice", PHONE).await;
    let mut ids = vec![master_key(&stage.lab).id];
    assert!(has_key_file(&stage.lab));
    for script in [MAKE.to_owned(), format!("{KEEP_OLD}\n{MAKE}")] {
        stage.lab.sh(&script);
        stage.lab.run("systemctl restart wasessiond.service").await;
        stage.join().await;
        let status = stage.phase("alice", Phase::Online).await;
        assert_eq!(status.account.expect("an account").jid, device);
        stage
            .lab
            .until("the rotation", || !master_key(&stage.lab).rotating);
        let key = master_key(&stage.lab);
        assert_eq!(key.source, Some(KeySource::Credential));
        assert!(!ids.contains(&key.id), "{key:?}");
        ids.push(key.id);
        assert!(!has_key_file(&stage.lab));
        let run = stage.lab.show("InvocationID");
        let journal = stage.lab.journal(&format!("_SYSTEMD_INVOCATION_ID={run}"));
        let over =
            "the rotation of the master key is over (by itself, after the start): 1 session keys";
        assert_eq!(journal.matches(over).count(), 1, "{journal}");
    }
    // The old one is needed no more.
    stage
        .lab
        .sh("rm /etc/credstore.encrypted/wasessiond.key.old");
    stage.lab.run("systemctl restart wasessiond.service").await;
    stage.join().await;
    stage.phase("alice", Phase::Online).await;
}
