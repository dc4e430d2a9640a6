//! Access: who may do what.
//!
//! The socket's group and mode decide who may connect: that is the kernel's part. Then the peer's
//! credentials decide, as the kernel reports them:
//!
//! - uid 0, the daemon's own uid and the configured admins see and control every session;
//! - everybody else sees and controls the sessions they created;
//! - the overflow uid is refused: it stands for everybody whom the kernel cannot name here.
//!
//! Names are resolved when the configuration is read, and again at a reload. A name that nobody has
//! makes nobody an admin. Which groups a peer is in is asked once, when it connects, and only where
//! it matters: the user database may be far away. What that means is judged at each request, so that
//! who is no admin any more after a reload stops being one on the connections that are open.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::config::Admin;
use crate::blocking::Room;
use crate::deadline::Deadline;
use crate::failpoint;
use crate::supervisor::Caller;

/// How long the user database, which may be far away, has to answer: for all names of a configuration
/// together, and for the groups of a peer.
pub const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The uid it had when it connected.
    pub uid: u32,
    /// Its process, as far as the kernel knows one.
    pub pid: Option<i32>,
    /// The groups it is in: that of the process, and those of the user.
    pub groups: BTreeSet<u32>,
}

/// Why a peer is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The kernel could not say who it is.
    #[error("the kernel does not say which user this is")]
    Unknown,
    /// Its uid is the overflow uid.
    #[error("uid {0} is the overflow uid: a user of another namespace whom this one cannot name")]
    Overflow(u32),
}

/// The policy, with every name resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    own_uid: u32,
    overflow_uid: u32,
    admin_uids: BTreeSet<u32>,
    admin_groups: BTreeSet<u32>,
}

/// Finds out who somebody is. A trait, because the machine's user database is not the tests'.
pub trait Directory: Copy + Send + 'static {
    /// The number of an admin. Blocks.
    ///
    /// # Errors
    /// What the database says when it cannot be asked.
    fn find(&self, admin: &Admin) -> Result<Option<u32>, nix::Error> {
        match admin {
            Admin::Uid(uid) => Ok(Some(*uid)),
            Admin::User(name) => self.uid(name),
            Admin::Group(name) => self.gid(name),
        }
    }

    /// The uid of a user.
    ///
    /// # Errors
    /// What the database says when it cannot be asked.
    fn uid(&self, user: &str) -> Result<Option<u32>, nix::Error>;

    /// The gid of a group.
    ///
    /// # Errors
    /// What the database says when it cannot be asked.
    fn gid(&self, group: &str) -> Result<Option<u32>, nix::Error>;
}

/// The machine's own user database. It may be on a network: asking it blocks.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Directory for System {
    fn uid(&self, user: &str) -> Result<Option<u32>, nix::Error> {
        failpoint::hang("accounts");
        Ok(User::from_name(user)?.map(|user| user.uid.as_raw()))
    }

    fn gid(&self, group: &str) -> Result<Option<u32>, nix::Error> {
        failpoint::hang("accounts");
        Ok(Group::from_name(group)?.map(|group| group.gid.as_raw()))
    }
}

impl Policy {
    /// Resolves the admins. The second value names those that could not be resolved, for a person: the
    /// daemon starts without them, as if they were not in the configuration.
    pub async fn resolve(
        admins: &[Admin],
        own_uid: u32,
        directory: impl Directory,
        accounts: &Room,
    ) -> (Self, Vec<String>) {
        Self::resolve_within(LOOK_UP_WITHIN, admins, own_uid, directory, accounts).await
    }

    async fn resolve_within(
        limit: Duration,
        admins: &[Admin],
        own_uid: u32,
        directory: impl Directory,
        accounts: &Room,
    ) -> (Self, Vec<String>) {
        let mut policy = Self {
            own_uid,
            overflow_uid: overflow_uid(),
            admin_uids: BTreeSet::new(),
            admin_groups: BTreeSet::new(),
        };
        // All are asked for at the same time: one that hangs takes no time from the others.
        let asked: Vec<_> = admins
            .iter()
            .map(|admin| {
                let (admin, accounts) = (admin.clone(), accounts.clone());
                let look_up = move || directory.find(&admin);
                tokio::spawn(async move { accounts.run(look_up).await })
            })
            .collect();
        let deadline = Deadline::within(limit);
        let mut notes = Vec::new();
        for (admin, mut asked) in admins.iter().zip(asked) {
            let found = match deadline.limit(&mut asked).await {
                Some(Ok(found)) => found.map_err(|error| error.desc().to_owned()),
                Some(Err(error)) => Err(error.to_string()),
                None => {
                    asked.abort();
                    let seconds = limit.as_secs();
                    Err(format!(
                        "the name service did not answer within {seconds} s"
                    ))
                }
            };
            if let Err(note) = policy.take(admin, found) {
                notes.push(note);
            }
        }
        (policy, notes)
    }

    /// Takes an admin with what the name service knows of it. The error is for a person.
    fn take(&mut self, admin: &Admin, found: Result<Option<u32>, String>) -> Result<(), String> {
        let kind = match admin {
            Admin::Group(_) => "group",
            Admin::User(_) | Admin::Uid(_) => "user",
        };
        let name = admin.to_string();
        let number = match found {
            Ok(Some(number)) => number,
            Ok(None) => {
                return Err(format!(
                    "`access.admins`: there is no {kind} for {name:?} on this machine, so it makes \
                     nobody an admin"
                ));
            }
            Err(why) => {
                return Err(format!(
                    "`access.admins`: the {kind} for {name:?} could not be looked up ({why}), so it \
                     makes nobody an admin until the next reload"
                ));
            }
        };
        match admin {
            Admin::Group(_) => self.admin_groups.insert(number),
            Admin::User(_) | Admin::Uid(_) => self.admin_uids.insert(number),
        };
        Ok(())
    }

    /// Whether this peer may talk to the daemon at all.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn admit(&self, uid: u32) -> Result<(), Refusal> {
        // (uid_t)-1 is the kernel's word for nobody known.
        if uid == u32::MAX {
            return Err(Refusal::Unknown);
        }
        if uid == self.overflow_uid {
            return Err(Refusal::Overflow(uid));
        }
        Ok(())
    }

    /// Whether this uid's groups decide what it may do.
    #[must_use]
    pub fn asks_for_groups(&self, uid: u32) -> bool {
        !self.admin_groups.is_empty() && !self.sees_all(uid)
    }

    fn sees_all(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own_uid || self.admin_uids.contains(&uid)
    }

    /// The rights that this peer has now.
    #[must_use]
    pub fn caller(&self, peer: &Peer) -> Caller {
        let sees_all = self.sees_all(peer.uid) || !self.admin_groups.is_disjoint(&peer.groups);
        Caller {
            uid: peer.uid,
            sees_all,
        }
    }
}

/// The groups that the user database knows of a uid; the kernel reports only the one of the process.
/// `None`: the database does not answer in time.
pub async fn groups_of(uid: u32, accounts: &Room) -> Option<Vec<u32>> {
    let deadline = Deadline::within(LOOK_UP_WITHIN);
    deadline
        .limit(accounts.run(move || ask_for_groups(uid)))
        .await
}

/// The groups that the user database knows of a uid. Blocks.
pub(super) fn ask_for_groups(uid: u32) -> Vec<u32> {
    failpoint::hang("accounts");
    // A uid without a name is in none.
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else {
        return Vec::new();
    };
    let Ok(name) = CString::new(user.name) else {
        return Vec::new();
    };
    let listed = getgrouplist(&name, user.gid).unwrap_or_default();
    listed.into_iter().map(Gid::as_raw).collect()
}

/// The uid that stands for users of other namespaces.
fn overflow_uid() -> u32 {
    const USUAL: u32 = 65534;
    let setting = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
    setting
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with alice (1001), root (0), and the group staff (50); its server for "far" is down.
    #[derive(Clone, Copy)]
    struct Machine;

    impl Directory for Machine {
        fn uid(&self, user: &str) -> Result<Option<u32>, nix::Error> {
            match user {
                "root" => Ok(Some(0)),
                "alice" => Ok(Some(1001)),
                "far" => Err(nix::Error::EIO),
                _ => Ok(None),
            }
        }

        fn gid(&self, group: &str) -> Result<Option<u32>, nix::Error> {
            Ok((group == "staff").then_some(50))
        }
    }

    async fn policy(admins: &[Admin]) -> (Policy, Vec<String>) {
        Policy::resolve(admins, 998, Machine, &Room::new("accounts", 4)).await
    }

    fn sees_all(policy: &Policy, uid: u32, groups: &[u32]) -> bool {
        let peer = Peer {
            uid,
            pid: None,
            groups: groups.iter().copied().collect(),
        };
        let caller = policy.caller(&peer);
        assert_eq!(caller.uid, uid);
        caller.sees_all
    }

    #[tokio::test]
    async fn who_sees_everything() {
        let user = |name: &str| Admin::User(name.to_owned());
        let staff = Admin::Group("staff".to_owned());
        for (admins, uid, groups, expected) in [
            (vec![], 0, vec![], true),
            (vec![], 998, vec![], true),
            (vec![], 1001, vec![50], false),
            (vec![user("alice")], 1001, vec![], true),
            (vec![user("alice")], 1002, vec![1001], false),
            (vec![Admin::Uid(1002)], 1002, vec![], true),
            (vec![Admin::Uid(50)], 1002, vec![50], false),
            (vec![staff.clone()], 1002, vec![50], true),
            (vec![staff], 50, vec![51], false),
            (vec![user("nobody-here")], 1001, vec![0], false),
        ] {
            let (policy, _) = policy(&admins).await;
            let found = sees_all(&policy, uid, &groups);
            assert_eq!(found, expected, "{admins:?}, uid {uid}, groups {groups:?}");
        }
    }

    #[tokio::test]
    async fn names_that_nobody_has_are_told_and_make_nobody_an_admin() {
        let (policy, notes) = policy(&[
            Admin::User("ghost".to_owned()),
            Admin::Group("ghosts".to_owned()),
            Admin::User("far".to_owned()),
        ])
        .await;
        assert_eq!(notes.len(), 3);
        assert!(notes[0].contains("no user for \"ghost\""), "{}", notes[0]);
        assert!(
            notes[1].contains("no group for \"@ghosts\""),
            "{}",
            notes[1]
        );
        assert!(notes[2].contains("could not be looked up"), "{}", notes[2]);
        assert!(!sees_all(&policy, 1001, &[50]));
    }

    #[tokio::test]
    async fn whom_the_kernel_cannot_name_is_refused() {
        // Even where somebody made that uid an admin.
        let (mut policy, _) = policy(&[Admin::Uid(65534)]).await;
        policy.overflow_uid = 65534;
        assert_eq!(policy.admit(65534), Err(Refusal::Overflow(65534)));
        assert_eq!(policy.admit(u32::MAX), Err(Refusal::Unknown));
        for uid in [0, 998, 1001, 65533, 65535] {
            assert_eq!(policy.admit(uid), Ok(()), "{uid}");
        }
    }

    #[tokio::test]
    async fn groups_are_asked_for_only_where_they_matter() {
        let staff = Admin::Group("staff".to_owned());
        let (with, _) = policy(&[staff, Admin::Uid(7)]).await;
        let (without, _) = policy(&[Admin::Uid(7)]).await;
        for (uid, asked) in [(0, false), (998, false), (7, false), (8, true)] {
            assert_eq!(with.asks_for_groups(uid), asked, "{uid}");
            assert!(!without.asks_for_groups(uid), "{uid}");
        }
    }

    #[tokio::test]
    async fn groups_of_real_and_of_unknown_users() {
        let accounts = Room::new("accounts", 4);
        let roots = groups_of(0, &accounts).await.expect("an answer");
        assert!(roots.contains(&0));
        assert_eq!(groups_of(u32::MAX - 5, &accounts).await, Some(Vec::new()));
    }

    /// A machine whose user database never answers for one name.
    #[derive(Clone, Copy)]
    struct Hanging;

    impl Directory for Hanging {
        fn uid(&self, user: &str) -> Result<Option<u32>, nix::Error> {
            if user == "hangs" {
                std::thread::sleep(Duration::from_hours(1));
            }
            Machine.uid(user)
        }

        fn gid(&self, group: &str) -> Result<Option<u32>, nix::Error> {
            Machine.gid(group)
        }
    }

    #[tokio::test]
    async fn a_name_that_hangs_holds_up_no_other_and_makes_nobody_an_admin() {
        let accounts = Room::new("accounts", 4);
        let user = |name: &str| Admin::User(name.to_owned());
        let admins = [user("hangs"), user("alice")];
        let (policy, notes) =
            Policy::resolve_within(Duration::from_secs(2), &admins, 998, Hanging, &accounts).await;
        assert!(sees_all(&policy, 1001, &[]));
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("did not answer within 2 s"),
            "{}",
            notes[0]
        );
    }
}
