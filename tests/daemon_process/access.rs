//! Who may do what, with real users, groups and processes. Sessions are begun where nothing listens.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::{Group, User};
use serde_json::{Value, json};

use crate::neighbour::{self, Neighbour};
use crate::process::{Client, Home, Running};
use crate::skipped::skipped;

const ALICE: u32 = 61_001;
const BOB: u32 = 61_002;

/// Everybody may connect; what they may do then is the daemon's decision.
const OPEN: &str = "[socket]\nmode = \"0666\"\n\
     [whatsapp]\nendpoint = \"ws://127.0.0.1:9/ws/chat\"\nversion = \"2.3000.1\"\n";

fn open_house(more: &str) -> (Home, Running) {
    let home = Home::new();
    home.configure(&format!("{OPEN}{more}"));
    let running = home.start();
    let directory = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(home.path("run"), directory).expect("a mode");
    (home, running)
}

/// Every command that names a user, but `connect` and `watch`.
fn verbs(user: &str) -> [(&'static str, Value); 5] {
    [
        ("status", json!({"status": {"user": user}})),
        ("disconnect", json!({"disconnect": {"user": user}})),
        ("force_logout", json!({"force_logout": {"user": user}})),
        ("groups", json!({"groups": {"user": user}})),
        (
            "targets",
            json!({"targets": {"user": user, "edit": "show"}}),
        ),
    ]
}

fn connect(client: &mut Client, user: &str) -> Value {
    client.ask(1, json!({"connect": {"user": user, "phone": null}}))
}

fn users(list: &Value) -> Vec<&str> {
    let sessions = list["Ok"]["sessions"]["sessions"].as_array();
    let sessions = sessions.or_else(|| list["Ok"]["sessions"].as_array());
    let sessions = sessions.unwrap_or_else(|| panic!("no list: {list}"));
    sessions
        .iter()
        .map(|s| s["user"].as_str().expect("a user"))
        .collect()
}

/// What a watch of everybody tells first.
fn watched(client: &mut Client, names: &[&str]) -> Vec<String> {
    let begun = client.ask(7, json!({"watch": {"users": names, "since": null}}));
    assert!(begun["Ok"]["watching"].is_object(), "{begun}");
    let mut users = Vec::new();
    loop {
        let message: Value =
            serde_json::from_str(&client.receive().expect("a message")).expect("JSON");
        if message["in_sync"].is_object() {
            return users;
        }
        let user = message["present"]["user"].as_str();
        users.push(user.unwrap_or_else(|| panic!("{message}")).to_owned());
    }
}

#[test]
fn a_foreign_session_is_not_there_for_any_verb_and_is_there_for_root() {
    if !neighbour::are_possible() {
        return;
    }
    let (home, running) = open_house("");
    let mut alice = Neighbour::new(ALICE).join(&home);
    let mut bob = Neighbour::new(BOB).join(&home);
    let mut root = Client::json(&home.socket());
    let begun = connect(&mut alice, "shop");
    assert_eq!(begun["Ok"]["status"]["owner"], ALICE, "{begun}");

    for (verb, command) in verbs("shop") {
        let told = bob.ask(2, &command);
        assert_eq!(told["Err"]["code"], "not_found", "{verb}: {told}");
        // Byte for byte what is told of one that is not there.
        let (_, absent) = verbs("shop-2")
            .into_iter()
            .find(|(v, _)| *v == verb)
            .expect("it");
        let absent = bob.ask(3, absent).to_string().replace("shop-2", "shop");
        assert_eq!(told.to_string(), absent, "{verb}");
    }
    // It cannot be taken over, and the answer says nothing of whose it is or how it is.
    let taken = connect(&mut bob, "shop");
    assert_eq!(taken["Err"]["code"], "not_found", "{taken}");
    assert!(!taken.to_string().contains(&ALICE.to_string()), "{taken}");
    assert_eq!(users(&bob.ask(4, "{\"list\":{\"after\":null}}")), [""; 0]);
    let history = json!({"history": {"user": "shop", "limit": null, "before": null}});
    assert_eq!(bob.ask(5, &history)["Ok"]["history"]["entries"], json!([]));
    assert_eq!(watched(&mut bob, &[]), [""; 0]);
    assert_eq!(watched(&mut bob, &["shop"]), [""; 0]);
    let info = bob.ask(6, "\"info\"");
    assert_eq!(info["Ok"]["info"]["summary"], "no sessions", "{info}");

    assert_eq!(
        users(&alice.ask(4, "{\"list\":{\"after\":null}}")),
        ["shop"]
    );
    assert_eq!(watched(&mut alice, &[]), ["shop"]);
    assert_eq!(users(&root.ask(4, "{\"list\":{\"after\":null}}")), ["shop"]);
    let out = root.ask(5, json!({"force_logout": {"user": "shop"}}));
    assert!(out["Ok"]["logged_out"].is_object(), "{out}");
    // What ended is still only its owner's and the admins' to know.
    assert_eq!(bob.ask(8, &history)["Ok"]["history"]["entries"], json!([]));
    let entries = &root.ask(8, &history)["Ok"]["history"]["entries"];
    assert_eq!(entries[0]["owner"], ALICE, "{entries}");

    let log = running.stop();
    for verb in [
        "status",
        "disconnect",
        "force_logout",
        "groups",
        "targets",
        "connect",
        "watch",
    ] {
        let lines = log.lines().filter(|line| {
            line.contains(&format!("`{verb}` of shop by uid {BOB}, pid "))
                && line.contains("is refused: the session belongs to another uid")
        });
        assert_eq!(lines.count(), 1, "`{verb}`:\n{log}");
    }
}

#[test]
fn admins_by_name_by_number_and_by_group_see_everything() {
    if !neighbour::are_possible() {
        return;
    }
    // Somebody whom the user database has in a group, and who is not root.
    let (Ok(Some(games)), Ok(Some(group))) = (User::from_name("games"), Group::from_name("games"))
    else {
        skipped("this machine has no user and group called games");
        return;
    };
    let (home, running) = open_house(&format!(
        "[access]\nadmins = [\"daemon\", {BOB}, \"@games\"]\n"
    ));
    let mut alice = Neighbour::new(ALICE).join(&home);
    assert!(connect(&mut alice, "shop")["Ok"].is_object());
    let by_name = User::from_name("daemon").expect("users").expect("daemon");
    let stranger = Neighbour::new(61_004);
    for (who, sees_all) in [
        (Neighbour::new(by_name.uid.as_raw()), true),
        (Neighbour::new(BOB), true),
        // Looked up: the process itself is in no such group.
        (Neighbour::new(games.uid.as_raw()), games.gid == group.gid),
        // As the kernel reports it: the group of the process.
        (
            Neighbour {
                gid: group.gid.as_raw(),
                ..stranger.clone()
            },
            true,
        ),
        // The kernel does not report these, and the user database knows nothing of them.
        (stranger.clone().with_groups(&[group.gid.as_raw()]), false),
        (stranger, false),
    ] {
        let mut client = who.join(&home);
        let seen = users(&client.ask(1, "{\"list\":{\"after\":null}}")).len();
        assert_eq!(seen == 1, sees_all, "{who:?}");
        let reloaded = client.ask(2, "\"reload\"");
        assert_eq!(reloaded["Ok"].is_object(), sees_all, "{who:?}: {reloaded}");
    }
    running.stop();
}

#[test]
fn each_uid_has_its_own_quota_of_sessions_and_connections() {
    if !neighbour::are_possible() {
        return;
    }
    let (home, running) =
        open_house("[access]\nmax_sessions_per_uid = 2\nmax_connections_per_uid = 3\n");
    let alice = Neighbour::new(ALICE);
    let mut held: Vec<_> = (0..3).map(|_| alice.join(&home)).collect();
    let mut refused = alice.connect(&home).expect("the kernel lets it in");
    let told = refused.receive().expect("a word");
    assert!(told.contains("max_connections_per_uid"), "{told}");
    let mut bob = Neighbour::new(BOB).join(&home);
    assert!(connect(&mut bob, "bobs")["Ok"].is_object());
    assert!(connect(&mut held[0], "one")["Ok"].is_object());
    assert!(connect(&mut held[1], "two")["Ok"].is_object());
    for taken_or_not in ["three", "bobs"] {
        // At its quota it does not even learn that a name is taken.
        let full = connect(&mut held[2], taken_or_not);
        assert_eq!(full["Err"]["code"], "quota_exceeded", "{full}");
    }
    assert!(connect(&mut bob, "bobs-too")["Ok"].is_object());
    let log = running.stop();
    let line = format!("a connection by uid {ALICE}, pid ");
    assert!(log.contains(&line), "{log}");
}

#[test]
fn the_overflow_uid_is_refused_before_it_says_anything() {
    if !neighbour::are_possible() {
        return;
    }
    let setting = std::fs::read_to_string("/proc/sys/kernel/overflowuid").expect("the setting");
    let uid: u32 = setting.trim().parse().expect("a uid");
    let (home, running) = open_house(&format!("[access]\nadmins = [{uid}]\n"));
    let mut client = Neighbour::new(uid).connect(&home).expect("the kernel");
    let told = client.receive().expect("a word");
    assert!(told.contains("overflow uid"), "{told}");
    assert_eq!(client.receive(), None);
    let log = running.stop();
    assert!(log.contains(&format!("by uid {uid}, pid ")), "{log}");
}

#[test]
fn the_kernel_keeps_out_whom_the_group_does_not_let_in() {
    if !neighbour::are_possible() {
        return;
    }
    let Ok(Some(group)) = Group::from_name("games") else {
        skipped("this machine has no group called games");
        return;
    };
    let home = Home::new();
    home.configure("[socket]\ngroup = \"games\"\n");
    let running = home.start();
    let alice = Neighbour::new(ALICE);
    let outside = alice.connect(&home).map(drop).expect_err("it got in");
    assert!(outside.contains("Permission denied"), "{outside}");
    let gid = group.gid.as_raw();
    let mut primary = Neighbour {
        gid,
        ..alice.clone()
    }
    .join(&home);
    primary.ping();
    let mut supplementary = alice.with_groups(&[gid]).join(&home);
    supplementary.ping();
    running.stop();
}

#[test]
fn wactl_says_it_in_its_exit_status() {
    if !neighbour::are_possible() {
        return;
    }
    let (home, running) = open_house("");
    let mut alice = Neighbour::new(ALICE).join(&home);
    assert!(connect(&mut alice, "shop")["Ok"].is_object());
    home.open_to_others();
    let program = home.path("wactl");
    std::fs::copy(env!("CARGO_BIN_EXE_wactl"), &program).expect("a copy others can run");
    for (uid, words, expected) in [
        (ALICE, "status shop", 0),
        (BOB, "status shop", 3),
        (BOB, "force-logout shop --yes", 3),
        (BOB, "daemon reload", 77),
        (BOB, "daemon rotate-key", 77),
        (BOB, "daemon ping", 0),
        (ALICE, "force-logout shop --yes", 0),
    ] {
        let mut command = Command::new(&program);
        command.env_clear().uid(uid).gid(uid);
        command
            .arg("--socket")
            .arg(home.socket())
            .args(words.split(' '));
        let out = command.output().expect("it runs");
        assert_eq!(
            out.status.code(),
            Some(expected),
            "uid {uid}, {words}: {out:?}"
        );
    }
    running.stop();
}
