//! The journal's ids for what an administrator may want to look up or react to: each line of the log
//! with one carries it in the field `message_id`, which is the journal's `MESSAGE_ID`.
//!
//! Each belongs to an entry of the catalog, `wasessiond.catalog`, which `journalctl -x` shows. An id
//! is never used for anything else, and never changes.

/// The daemon accepts clients, and its sessions are being restored.
pub const READY: &str = "27eebf3a21f848e9a93197f2a64e0664";

/// The daemon stops in good order.
pub const STOPPING: &str = "ec8ffa08076942c8a9f1ed7b670244b2";

/// The daemon could not start, or a part of it failed.
pub const DAEMON_FAILED: &str = "904510fb3dce47c292113ee2dfb98b71";

/// A part of the daemon makes no progress, and the watchdog is not fed.
pub const WEDGED: &str = "ced2858a9eea4f388c8bfc840c7cf1e4";

/// A new configuration is in force.
pub const RELOADED: &str = "96f5542eafd343babccc27716b8828ec";

/// The configuration could not be read again, and the old one stays.
pub const NOT_RELOADED: &str = "971b2ed5dc1543399752e497fdc15f1d";

/// A connection was refused: over a limit, or of nobody known.
pub const REFUSED: &str = "25a1b2cadf4a4b52952746cbe39ebde4";

/// A session begins: somebody said `connect`, and nothing was there.
pub const SESSION_BEGUN: &str = "cae8f00195f34eaca40b15232d554dd8";

/// The phone accepted the device.
pub const PAIRED: &str = "a2ba8a5635ee446a8a05e42ac9f23e4b";

/// A session is logged in.
pub const ONLINE: &str = "19993bded9234ff0b24b5b0f778151dc";

/// A session was lost or refused for now, and is tried again.
pub const BACKING_OFF: &str = "089c1c01d6b34af082ff61e4df09dd37";

/// WhatsApp holds a session until a time.
pub const HELD: &str = "48683abd5af64064b928efc80455bae1";

/// A session needs a person.
pub const PARKED: &str = "51c85ca644784b9f805ee9b5f1a2c544";

/// A session was closed, with its credentials kept.
pub const DISCONNECTED: &str = "56337e5921024b18a5fb17fbf0af2c8e";

/// Another account was paired on a user.
pub const ACCOUNT_CHANGED: &str = "7603cca13e4c4b62b051e88d239a0c87";

/// A session ended, and nothing of it is left.
pub const SESSION_ENDED: &str = "9650c2c958224002b17117bbafb81109";

/// The removal of a session could not finish.
pub const PURGE_FAILED: &str = "6ecb94fa98074dc19ac183dc070c2155";

/// The credentials or the record of a session cannot be used.
pub const STORE_CORRUPT: &str = "1c21634d38844e98b09b853aff4a5ad0";

/// A session could not be written to the disk.
pub const STORE_FAILED: &str = "57326ac936ca476eac31640d5a8bbd70";

/// The task of a session failed or hung, and is begun again.
pub const TASK_FAILED: &str = "fd5647261dee4baea1723c2a6a0fde00";

/// WhatsApp does not accept the version that the daemon names: no session can log in.
pub const CLIENT_OUTDATED: &str = "61d1bd2ea4514b0f8d6c3e24c6d8e5d1";

/// WhatsApp accepts the daemon's version again.
pub const CLIENT_ACCEPTED: &str = "b54f2b0f0a0c4b8e9a0f6b2c7d1e93a4";

/// WhatsApp restricts an account for a time, or no longer.
pub const RESTRICTED: &str = "0e474a1369c742ac91fdcdcd1891a371";

/// Something of a session will become a failure if nobody does anything, or no longer.
pub const WARNED: &str = "a173280135f84acd9d55767c6d769fb5";

/// WhatsApp has said when it will refuse this version of the client.
pub const CLIENT_EXPIRES: &str = "74cbd2bc184d4036998a7c7f88fae91d";

/// The keys of all sessions are wrapped by another master key.
pub const MASTER_KEY_ROTATED: &str = "a32ed4a162a94d85a867136bf1dd91d3";

/// The rotation of the master key is not over: the old one is kept.
pub const MASTER_KEY_KEPT: &str = "9b0a919fdf17485ba44d95e1e0a8febc";

/// The master key cannot be read.
pub const MASTER_KEY_UNUSABLE: &str = "c66cd1a9b20341cca5aa7058bcf77f0a";

/// Repetitive lines of a session were left out of the log.
pub const LEFT_OUT: &str = "d64996b68d594bb485399434cba7e240";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    /// The constants of this file: ids by name.
    fn ids() -> BTreeMap<&'static str, &'static str> {
        let constants = include_str!("message_id.rs").lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("pub const ")?.split_once(": &str = \"")?;
            Some((name, value.strip_suffix("\";").expect("the end of a line")))
        });
        constants.collect()
    }

    #[test]
    fn every_id_is_one_and_stands_for_one_thing() {
        let ids = ids();
        let different: BTreeSet<_> = ids.values().collect();
        assert_eq!(different.len(), ids.len());
        for (name, id) in ids {
            let hexadecimal = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            assert!(id.len() == 32 && id.bytes().all(hexadecimal), "{name}");
        }
    }

    #[test]
    fn every_id_has_an_entry_in_the_catalog_and_the_catalog_has_no_other() {
        let catalog = include_str!("../systemd/usr/lib/systemd/catalog/wasessiond.catalog");
        let entries: Vec<_> = catalog
            .lines()
            .filter_map(|line| line.strip_prefix("-- "))
            .collect();
        let described: BTreeSet<_> = entries.iter().copied().collect();
        assert_eq!(
            described.len(),
            entries.len(),
            "an entry stands there twice"
        );
        assert_eq!(described, ids().into_values().collect());
        let subjects = catalog.lines().filter(|line| line.starts_with("Subject: "));
        assert_eq!(subjects.count(), entries.len());
    }

    #[test]
    fn every_id_is_used() {
        let mut sources = String::new();
        read_all(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            &mut sources,
        );
        for name in ids().into_keys() {
            assert!(sources.contains(&format!("message_id::{name}")), "{name}");
        }
    }

    fn read_all(directory: &Path, into: &mut String) {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read_all(&path, into);
            } else {
                into.push_str(&std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
}
