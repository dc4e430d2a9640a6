//! What a wrong file is told: exactly where, and what was meant.

use std::path::Path;
use std::time::Duration;

mod files;

use super::{Admin, Config, OwnProxies};
use crate::service::config::{ConfigError, Origins, Text};
use crate::supervisor::{OnConflict, OnLocked};
use crate::whatsapp::Presence;

fn parse_for(text: &str, simulator: bool) -> Result<Config, ConfigError> {
    let text = Text {
        file: "c.toml".into(),
        text: text.to_owned(),
    };
    Config::parse(&[text], simulator).map(|(config, _)| config)
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    parse_for(text, true)
}

fn printed(config: &Config) -> String {
    config.to_toml(&Origins::default())
}

fn errors(text: &str) -> String {
    let error = parse(text).expect_err(text);
    error.to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(parse(""), Ok(Config::default()));
    assert_eq!(parse("# nothing\n[socket]\n[log]\n"), Ok(Config::default()));
}

#[test]
fn the_defaults_hold_what_they_promise() {
    let config = Config::default();
    assert_eq!(config.socket.mode, 0o660);
    assert_eq!(config.logout.unlink_timeout, Duration::from_secs(5));
    assert_eq!(config.logout.deadline, Duration::from_secs(10));
    assert_eq!(config.access.admins, [Admin::User("root".to_owned())]);
    assert_eq!(config.whatsapp.endpoint, None);
    assert_eq!(config.access.own_proxies, OwnProxies::Admins);
}

/// Every key, none at its default.
const FULL: &str = r#"
[socket]
path = "/run/x/control.sock"
mode = "0600"
group = "wasession"

[state]
directory = "/srv/\"quoted\" \\ state"

[access]
admins = ["root", "alice", "1001", "@wasession-admin"]
own_proxies = "owners"
max_sessions_per_uid = 3
max_connections_per_uid = 4

[whatsapp]
endpoint = "ws://127.0.0.1:7667/ws/chat"
version = "2.3000.1020000000"
device_name = "A desk, Büro 3"
presence = "available"
proxy = "http://proxy.example.org:3128"
proxy_password_file = "/etc/wasessiond/proxy-password"

[sessions]
on_conflict = "park"
on_locked = "logout"
restore_concurrency = 3
idle_after = "30d"
max = 77

[logout]
unlink_timeout = "1500ms"
deadline = "20s"
history_limit = 55

[log]
filter = "warn,wasessiond::session=debug"
"#;

#[test]
fn every_key_is_read() {
    let config = parse(FULL).expect("a good file");
    assert_eq!(
        config.socket.path.as_deref(),
        Some(Path::new("/run/x/control.sock"))
    );
    assert_eq!(config.socket.mode, 0o600);
    assert_eq!(config.socket.group.as_deref(), Some("wasession"));
    let state = config.state.directory.as_deref();
    assert_eq!(state, Some(Path::new("/srv/\"quoted\" \\ state")));
    assert_eq!(
        config.access.admins,
        [
            Admin::User("root".to_owned()),
            Admin::User("alice".to_owned()),
            Admin::Uid(1001),
            Admin::Group("wasession-admin".to_owned()),
        ]
    );
    assert_eq!(config.access.own_proxies, OwnProxies::Owners);
    assert_eq!(config.access.max_connections_per_uid, 4);
    assert_eq!(config.log.filter, "warn,wasessiond::session=debug");
    let settings = config.settings();
    assert_eq!(settings.on_conflict, OnConflict::Park);
    assert_eq!(settings.on_locked, OnLocked::Logout);
    assert_eq!(settings.presence, Presence::Available);
    assert_eq!(settings.restore_concurrency, 3);
    assert_eq!(settings.idle_after, Some(Duration::from_hours(30 * 24)));
    assert_eq!(settings.max_sessions, 77);
    assert_eq!(settings.max_sessions_per_uid, 3);
    assert_eq!(settings.unlink_timeout, Duration::from_millis(1500));
    assert_eq!(settings.logout_deadline, Duration::from_secs(20));
    assert_eq!(settings.history_limit, 55);
    let gateway = config.gateway();
    assert_eq!(
        gateway.endpoint.as_deref(),
        Some("ws://127.0.0.1:7667/ws/chat")
    );
    assert_eq!(gateway.version, Some((2, 3000, 1_020_000_000)));
    assert_eq!(gateway.device_name, "A desk, Büro 3");
    let proxy = gateway.proxy.map(|proxy| proxy.to_string());
    assert_eq!(proxy.as_deref(), Some("http://proxy.example.org:3128"));
    let password = config.whatsapp.proxy_password_file.as_deref();
    assert_eq!(password, Some(Path::new("/etc/wasessiond/proxy-password")));
}

#[test]
fn no_key_is_forgotten_when_it_is_printed_or_compared() {
    let config = parse(FULL).expect("a good file");
    assert_eq!(parse(&printed(&config)), Ok(config.clone()));
    let defaults = Config::default();
    assert_eq!(parse(&printed(&defaults)), Ok(defaults.clone()));
    let keys: Vec<String> = Config::SECTIONS
        .iter()
        .flat_map(|section| {
            let names = section.keys.iter().map(|key| key.name);
            names.map(move |key| format!("{}.{key}", section.name))
        })
        .collect();
    assert_eq!(config.differences(&defaults), keys);
    assert!(config.differences(&config).is_empty());
}

#[test]
fn a_proxy_that_the_daemon_could_not_use_is_refused_without_its_password() {
    for (proxy, why) in [
        (
            "http://me:pa@ss@proxy.example.org:3128",
            "in a user and a password write",
        ),
        (
            "ftp://me:pa@proxy.example.org",
            "a proxy of this kind cannot be used",
        ),
        (
            "http://me:pa@proxy.example.org:99999",
            "this is not a proxy's URL",
        ),
    ] {
        let told = errors(&format!("[whatsapp]\nproxy = \"{proxy}\"\n"));
        let expected = format!("c.toml:2:9: `whatsapp.proxy`: {why}");
        assert!(told.starts_with(&expected), "{told}");
        assert!(!told.contains("me:") && !told.contains("pa@"), "{told}");
    }
}

#[test]
fn a_login_of_a_proxy_is_compared_and_not_printed() {
    let with = |password: &str| {
        let file = format!("[whatsapp]\nproxy = \"http://me:{password}@localhost:1\"\n");
        parse(&file).expect("a good file")
    };
    let (one, other) = (with("secret1"), with("secret2"));
    assert_eq!(one.differences(&other), ["whatsapp.proxy"]);
    assert!(one.differences(&one).is_empty());
    let shown = printed(&one);
    assert!(
        shown.contains("proxy = \"http://[hidden]@localhost:1\""),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn wrong_names_and_paths_are_told_where_and_what() {
    for (text, told) in [
        (
            "[sesions]\n",
            "c.toml:1:2: there is no section [sesions]; did you mean [sessions]?",
        ),
        (
            "[quux]\n",
            "c.toml:1:2: there is no section [quux]; the sections are [socket], [state], [access], \
             [whatsapp], [sessions], [logout], [log]",
        ),
        (
            "[logout]\n\nunlink_timout = \"5s\"\n",
            "c.toml:3:1: [logout] has no key `unlink_timout`; did you mean `unlink_timeout`?",
        ),
        (
            "[log]\nlevel = \"info\"\n",
            "c.toml:2:1: [log] has no key `level`; its keys are `filter`",
        ),
        (
            "[socket]\ndevice_name = \"x\"\n",
            "c.toml:2:1: [socket] has no key `device_name`; it belongs under [whatsapp]",
        ),
        (
            "deadline = \"5s\"\n",
            "c.toml:1:1: `deadline` stands outside its section: write it under [logout]",
        ),
        (
            "log = \"info\"\n",
            "c.toml:1:1: `log` is a section: write [log] above its keys",
        ),
        (
            "[socket]\n  path = 5\n",
            "c.toml:2:10: `socket.path`: this must be a string, not an integer",
        ),
        (
            "[socket]\npath = \"control.sock\"\n",
            "c.toml:2:8: `socket.path`: control.sock is not absolute: begin it with \"/\"",
        ),
        (
            "[socket]\nmode = 0o660\n",
            "c.toml:2:8: `socket.mode`: write the mode as a string of octal digits, like \"0660\"",
        ),
        (
            "[socket]\nmode = \"0680\"\n",
            "c.toml:2:8: `socket.mode`: \"0680\" is not a mode: write octal digits, like \"0660\"",
        ),
        (
            "[socket]\nmode = \"4660\"\n",
            "c.toml:2:8: `socket.mode`: \"4660\" is not a mode: write octal digits, like \"0660\"",
        ),
        (
            "[socket]\nmode = \"0060\"\n",
            "c.toml:2:8: `socket.mode`: \"0060\" keeps the socket's owner out: the mode must include 0600",
        ),
        (
            "[socket]\ngroup = \"\"\n",
            "c.toml:2:9: `socket.group`: this must not be empty; leave the key out for its default",
        ),
    ] {
        assert_eq!(errors(text), told);
    }
}

#[test]
fn wrong_numbers_and_times_are_told_where_and_what() {
    for (text, told) in [
        (
            "[access]\nadmins = \"root\"\n",
            "c.toml:2:10: `access.admins`: this must be a list, not a string",
        ),
        (
            "[access]\nmax_sessions_per_uid = -1\n",
            "c.toml:2:24: `access.max_sessions_per_uid`: this must be between 1 and 100000",
        ),
        (
            "[access]\nmax_connections_per_uid = 0\n",
            "c.toml:2:27: `access.max_connections_per_uid`: this must be between 1 and 1024",
        ),
        (
            "[sessions]\nmax = \"10\"\n",
            "c.toml:2:7: `sessions.max`: this must be a whole number, not a string",
        ),
        (
            "[sessions]\nmax = 99999999999999999999999\n",
            "c.toml:2:7: `sessions.max`: this must be between 1 and 100000",
        ),
        (
            "[logout]\ndeadline = 10\n",
            "c.toml:2:12: `logout.deadline`: a duration needs a unit: write it as a string, like \"5s\" \
             or \"10m\"",
        ),
        (
            "[logout]\nunlink_timeout = \"0s\"\n",
            "c.toml:2:18: `logout.unlink_timeout`: \"0s\" is no time at all: it must be longer than zero",
        ),
        (
            "[logout]\nunlink_timeout = \"10s\"\n",
            "c.toml:2:18: `logout.unlink_timeout` (10s) must be shorter than `logout.deadline` (10s): \
             the removal needs time after the unlinking",
        ),
        (
            "[logout]\ndeadline = \"1s\"\n",
            "c.toml:2:12: `logout.unlink_timeout` (5s) must be shorter than `logout.deadline` (1s): \
             the removal needs time after the unlinking",
        ),
        (
            "[whatsapp]\nversion = [2, 3000, 1]\n",
            "c.toml:2:11: `whatsapp.version`: write the version as a string of three numbers, like \
             \"2.3000.1020000000\"",
        ),
        (
            "[whatsapp]\nproxy = \"me:secret@proxy\"\n",
            "c.toml:2:9: `whatsapp.proxy`: this is not a proxy's URL: write it like \
             \"http://proxy.example.org:3128\" or \"socks5h://user:password@proxy.example.org:1080\"",
        ),
    ] {
        assert_eq!(errors(text), told);
    }
}

#[test]
fn values_that_need_more_words_name_their_place_too() {
    for (text, place, told) in [
        (
            "[sessions]\non_conflict = \"kick\"\n",
            "c.toml:2:15: `sessions.on_conflict`: ",
            "\"park\"",
        ),
        (
            "[sessions]\non_locked = \"park\"\n",
            "c.toml:2:13: `sessions.on_locked`: ",
            "\"hold\"",
        ),
        (
            "[whatsapp]\nversion = \"2.3000.0\"\n",
            "c.toml:2:11: `whatsapp.version`: ",
            "revision 0",
        ),
        (
            "[whatsapp]\npresence = \"away\"\n",
            "c.toml:2:12: `whatsapp.presence`: ",
            "\"unavailable\"",
        ),
        (
            "[sessions]\nidle_after = \"0d\"\n",
            "c.toml:2:14: `sessions.idle_after`: ",
            "\"never\"",
        ),
        (
            "[log]\nfilter = \"a=b=c\"\n",
            "c.toml:2:10: `log.filter`: ",
            "is not a filter",
        ),
        (
            "[whatsapp]\nendpoint = \"wss://web.whatsapp.com\"\n",
            "c.toml:2:12: `whatsapp.endpoint`: ",
            "loopback",
        ),
        (
            "[whatsapp]\nendpoint = \"ws://localhost:1/\"\n",
            "c.toml:2:12: `whatsapp.endpoint`: ",
            "loopback",
        ),
        (
            "[whatsapp]\ndevice_name = \" x\"\n",
            "c.toml:2:15: `whatsapp.device_name`: ",
            "no space around",
        ),
        (
            "[whatsapp]\ndevice_name = \"a\\nb\"\n",
            "c.toml:2:15: `whatsapp.device_name`: ",
            "control characters",
        ),
    ] {
        let error = errors(text);
        assert!(error.starts_with(place) && error.contains(told), "{error}");
    }
}

#[test]
fn everything_wrong_is_told_at_once_in_order() {
    let text = "\
[access]
admins = [\"root\", \"\", \"@\", \"alice\", true, \"a b\", -1]

[logot]
deadline = \"5s\"

[sessions]
maximum = 3
max = 0
";
    let error = errors(text);
    let places: Vec<&str> = error
        .lines()
        .map(|line| line.split(": ").next().unwrap_or(""))
        .collect();
    let expected = [
        "c.toml:2:19",
        "c.toml:2:23",
        "c.toml:2:37",
        "c.toml:2:43",
        "c.toml:2:50",
        "c.toml:4:2",
        "c.toml:8:1",
        "c.toml:9:7",
    ];
    assert_eq!(places, expected, "{error}");
}

#[test]
fn broken_syntax_has_its_place() {
    for (text, place) in [
        ("[socket\n", "c.toml:1:8: "),
        ("[log]\nfilter = \n", "c.toml:2:10: "),
        ("[log]\nfilter = \"a\"\nfilter = \"b\"\n", "c.toml:3:1: "),
        ("[log]\n\u{1}\n", "c.toml:2:1: "),
    ] {
        let error = errors(text);
        assert!(error.starts_with(place), "{text:?}: {error}");
    }
}

#[test]
fn a_build_for_whatsapp_itself_refuses_the_simulators_keys() {
    let text = "[whatsapp]\nendpoint = \"ws://127.0.0.1:1/\"\n";
    let error = parse_for(text, false).expect_err("refused").to_string();
    assert!(
        error.starts_with("c.toml:2:12: `whatsapp.endpoint` is for simulator builds"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    // A floor for the version is for every build.
    let floor = parse_for("[whatsapp]\nversion = \"2.3000.7\"\n", false);
    assert_eq!(floor.map(|c| c.whatsapp.version), Ok(Some((2, 3000, 7))));
}

#[test]
fn a_reload_takes_the_keys_that_say_so_and_leaves_their_neighbours() {
    let present = parse("[whatsapp]\ndevice_name = \"old\"\n").expect("a good file");
    let mut new = parse("[whatsapp]\ndevice_name = \"new\"\npresence = \"available\"\n")
        .expect("a good file");
    new.keep_until_restart(&present);
    assert_eq!(new.whatsapp.device_name, "old");
    assert_eq!(new.whatsapp.presence, Presence::Available);
}
