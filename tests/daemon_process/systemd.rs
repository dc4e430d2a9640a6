//! A service manager that is none: what it is told, and the socket it passes.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::process::{Client, DEADLINE, Home, start};

/// The socket where the daemon's notifications arrive.
struct Manager(UnixDatagram);

impl Manager {
    fn new(home: &Home) -> Self {
        let socket = UnixDatagram::bind(home.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self(socket)
    }

    fn command(&self, home: &Home) -> Command {
        let mut command = home.daemon();
        let address = self.0.local_addr().expect("an address");
        let name = match (address.as_pathname(), address.as_abstract_name()) {
            (Some(path), _) => path.as_os_str().to_owned(),
            (None, name) => {
                let name = str::from_utf8(name.expect("a name")).expect("text");
                format!("@{name}").into()
            }
        };
        command.env("NOTIFY_SOCKET", name);
        command
    }

    /// The next datagram, to the letter.
    fn text(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("a datagram");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// The next datagram, by variable.
    fn datagram(&self) -> BTreeMap<String, String> {
        let text = self.text();
        let pairs = text
            .lines()
            .map(|line| line.split_once('=').expect("a variable"));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The next datagram that has this variable.
    fn next_with(&self, name: &str) -> BTreeMap<String, String> {
        loop {
            let datagram = self.datagram();
            if datagram.contains_key(name) {
                return datagram;
            }
        }
    }
}

#[test]
fn ready_means_that_it_listens_and_stopping_comes_before_the_end() {
    let home = Home::new();
    let manager = Manager::new(&home);
    let mut command = manager.command(&home);
    let running = std::thread::spawn(move || start(&mut command));
    let first = manager.datagram();
    assert_eq!(
        first.get("READY").map(String::as_str),
        Some("1"),
        "{first:?}"
    );
    assert_eq!(
        first.get("STATUS").map(String::as_str),
        Some("no sessions"),
        "{first:?}"
    );
    Client::json(&home.socket()).ping();
    let running = running.join().expect("it started");
    running.signal(Signal::SIGTERM);
    let last = manager.datagram();
    assert_eq!(
        last.get("STOPPING").map(String::as_str),
        Some("1"),
        "{last:?}"
    );
    assert!(last["STATUS"].starts_with("Stopping"), "{last:?}");
    assert!(
        last["EXTEND_TIMEOUT_USEC"].parse::<u64>().is_ok(),
        "{last:?}"
    );
    running.end_well();
}

#[test]
fn a_reload_is_announced_with_its_time_and_ended_whatever_comes_of_it() {
    let home = Home::new();
    let manager = Manager::new(&home);
    let running = start(&mut manager.command(&home));
    manager.next_with("READY");
    for (text, status) in [
        ("[sessions]\nmax = 3\n", "no sessions"),
        (
            "[sessions]\nmax = 0\n",
            "no sessions. Configuration not reloaded: ",
        ),
        ("[sessions]\nmax = 4\n", "no sessions"),
    ] {
        home.configure(text);
        running.signal(Signal::SIGHUP);
        let begun = manager.next_with("RELOADING");
        let time = begun
            .get("MONOTONIC_USEC")
            .expect("the time, in the same datagram");
        assert!(time.parse::<u64>().is_ok(), "{begun:?}");
        let ended = manager.next_with("READY");
        assert!(ended["STATUS"].starts_with(status), "{ended:?}");
        assert_eq!(
            ended["STATUS"].len() > "no sessions".len(),
            text.contains("= 0"),
            "{ended:?}"
        );
    }
    running.stop();
}

const READY: &str = "READY=1\nSTATUS=no sessions\n";
const STOPPING: &str =
    "STOPPING=1\nSTATUS=Stopping: no sessions\nEXTEND_TIMEOUT_USEC=17000000\nWATCHDOG=1\n";

/// The time of the monotonic clock in a datagram that announces a reload, and nothing else is in it.
fn reloading_since(datagram: &str) -> u64 {
    let time = datagram
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .and_then(|rest| rest.strip_suffix('\n'))
        .unwrap_or_else(|| panic!("{datagram:?}"));
    time.parse().expect("a number")
}

#[test]
fn a_life_in_datagrams_to_the_letter() {
    let home = Home::new();
    let manager = Manager::new(&home);
    let running = start(&mut manager.command(&home));
    assert_eq!(manager.text(), READY);
    let mut last = 0;
    for _ in 0..3 {
        running.signal(Signal::SIGHUP);
        let since = reloading_since(&manager.text());
        assert!(since > last, "the clock goes forward");
        last = since;
        assert_eq!(manager.text(), READY);
    }
    running.signal(Signal::SIGTERM);
    assert_eq!(manager.text(), STOPPING);
    running.end_well();
}

#[test]
fn a_manager_without_a_file_is_told_the_same() {
    let home = Home::new();
    let name = format!("wasessiond-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let manager = Manager(socket);
    let running = start(&mut manager.command(&home));
    assert_eq!(manager.text(), READY);
    running.signal(Signal::SIGTERM);
    assert_eq!(manager.text(), STOPPING);
    running.end_well();
}

/// Only a simulator build can be made to hang.
#[cfg(feature = "simulator")]
#[test]
fn after_stopping_nothing_else_is_said_not_even_by_a_reload_that_was_under_way() {
    let home = Home::new();
    let manager = Manager::new(&home);
    // At the start it can be read, and then no more.
    let mut command = manager.command(&home);
    let running = start(command.env("FAILPOINTS", "configuration=1*off->sleep(1000)"));
    assert_eq!(manager.text(), READY);
    // A client that reads nothing holds the stop up until the reload is through.
    let mut deaf = Client::json(&home.socket());
    let timeout = Some(std::time::Duration::from_millis(100));
    deaf.0.set_write_timeout(timeout).expect("a timeout");
    let request = b"\0\0\0\x19{\"id\":1,\"command\":\"ping\"}";
    while std::io::Write::write_all(&mut deaf.0, request).is_ok() {}
    running.signal(Signal::SIGHUP);
    reloading_since(&manager.text());
    running.signal(Signal::SIGTERM);
    assert_eq!(manager.text(), STOPPING);
    let log = running.end_well();
    let after = log
        .split("stopping, on SIGTERM from pid")
        .nth(1)
        .expect("it was told");
    assert!(after.contains("the configuration is reloaded"), "{log}");
    manager.0.set_nonblocking(true).expect("no waiting");
    let more = manager.0.recv(&mut [0; 4096]);
    assert!(more.is_err(), "something was said after the end");
}

#[test]
fn the_watchdog_is_fed() {
    let home = Home::new();
    let manager = Manager::new(&home);
    let running = start(manager.command(&home).env("WATCHDOG_USEC", "400000"));
    for _ in 0..3 {
        let fed = manager.next_with("WATCHDOG");
        assert_eq!(fed["WATCHDOG"], "1");
    }
    running.stop();
}

/// The program with this socket as systemd passes it: as descriptor 3, with its own pid.
fn activated(home: &Home, listener: UnixListener) -> Command {
    let daemon = home.daemon();
    let mut command = Command::new("/bin/sh");
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"";
    command
        .args(["-c", script])
        .arg(daemon.get_program())
        .args(daemon.get_args());
    command
        .env_clear()
        .env("NO_COLOR", "1")
        .env("LISTEN_FDS", "1");
    command
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_socket_from_systemd_is_used_and_left_there() {
    let home = Home::new();
    let path = home.path("activated.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    // A client that came before the daemon.
    let mut early = Client::connect(&path);
    early.send("wasession/1 json");
    let ours = listener.try_clone().expect("the manager's own");
    let mut running = start(&mut activated(&home, listener));
    assert!(early.receive().expect("a welcome").contains(" ok "));
    early.ping();
    assert!(!home.socket().exists(), "it made no other");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.wait().code(), Some(0), "{}", running.log());
    assert!(path.exists(), "it is the manager's to remove");
    // The next daemon takes over who waits.
    let mut waiting = Client::connect(&path);
    waiting.send("wasession/1 json");
    let running = start(&mut activated(&home, ours));
    assert!(waiting.receive().expect("a welcome").contains(" ok "));
    running.stop();
}

#[test]
fn a_descriptor_from_systemd_that_is_no_socket_is_refused() {
    let home = Home::new();
    let mut command = activated(&home, UnixListener::bind(home.path("s")).expect("a socket"));
    command.stdin(Stdio::from(
        std::fs::File::open("/dev/null").expect("a file"),
    ));
    command.stdout(Stdio::piped());
    let (status, _, told) = crate::process::outcome(&mut command);
    assert_eq!(status, 73, "{told}");
    assert!(
        told.contains("the socket from systemd cannot be used"),
        "{told}"
    );
}

/// Only a simulator build can have a session that reaches nothing.
#[cfg(feature = "simulator")]
#[test]
fn the_status_follows_the_sessions() {
    let home = Home::new();
    // Nobody listens there: the port belongs to a socket that never will.
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    home.configure(&format!(
        "[whatsapp]\nendpoint = \"ws://127.0.0.1:{port}/ws/chat\"\nversion = \"2.3000.1\"\n"
    ));
    let manager = Manager::new(&home);
    let running = start(&mut manager.command(&home));
    manager.next_with("READY");
    let mut client = Client::json(&home.socket());
    let begun = client.ask(1, "{\"connect\":{\"user\":\"alice\",\"phone\":null}}");
    assert_eq!(begun["Ok"]["status"]["user"], "alice", "{begun}");
    let status = |text: &str| while !manager.next_with("STATUS")["STATUS"].contains(text) {};
    status("1 ");
    let gone = client.ask(2, "{\"force_logout\":{\"user\":\"alice\"}}");
    assert!(gone["Ok"]["logged_out"].is_object(), "{gone}");
    status("no sessions");
    running.stop();
}
