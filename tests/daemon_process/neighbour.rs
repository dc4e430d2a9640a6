//! Other users of the machine: processes under uids and groups of their own.
//!
//! A neighbour is this test program once more, which gives up root before it goes near the daemon. It
//! connects and passes the connection on, so that a test can speak with the daemon as the neighbour; or
//! it attacks by itself.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::attacks;
use crate::process::{Client, DEADLINE, Home};
use crate::skipped::skipped;

const WHO: &str = "WASESSIOND_TEST_NEIGHBOUR";
const SOCKET: &str = "WASESSIOND_TEST_SOCKET";
const ATTACK: &str = "WASESSIOND_TEST_ATTACK";
const BACK: &str = "WASESSIOND_TEST_BACK";

/// Who somebody is, to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// Whether this process may become somebody else. If not, says so.
pub(crate) fn are_possible() -> bool {
    let possible = geteuid().is_root();
    if !possible {
        skipped("only root can start processes of other users; run this as root");
    }
    possible
}

impl Neighbour {
    /// Somebody with a uid, a group of the same number, and nothing else.
    pub(crate) fn new(uid: u32) -> Self {
        Self {
            uid,
            gid: uid,
            groups: Vec::new(),
        }
    }

    pub(crate) fn with_groups(self, groups: &[u32]) -> Self {
        let groups = groups.to_vec();
        Self { groups, ..self }
    }

    /// A connection of this neighbour's, on which nothing is said yet; or why the kernel let it not in.
    pub(crate) fn connect(&self, home: &Home) -> Result<Client, String> {
        let (mut child, back) = self.start(home, None);
        let received = receive(&back);
        child.wait().expect("it ended");
        let stream = received?;
        stream.set_read_timeout(Some(DEADLINE)).expect("a time-out");
        Ok(Client(stream))
    }

    /// A connection of this neighbour's that is welcome.
    pub(crate) fn join(&self, home: &Home) -> Client {
        let mut client = self.connect(home).expect("a connection");
        client.say_hello();
        client
    }

    /// Lets the neighbour carry out one of the attacks by itself. What it has to say about it, it says
    /// on the stream.
    pub(crate) fn attack(&self, home: &Home, name: &str) -> (Child, UnixStream) {
        self.start(home, Some(name))
    }

    fn start(&self, home: &Home, attack: Option<&str>) -> (Child, UnixStream) {
        home.open_to_others();
        // Each has its own way back.
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("back");
        let listener = UnixListener::bind(&path).expect("a way back");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args(["--exact", "neighbour::what_a_neighbour_does", "--nocapture"])
            .env(WHO, self.to_text())
            .env(SOCKET, home.socket())
            .env(BACK, &path)
            .stdout(Stdio::null());
        if let Some(attack) = attack {
            command.env(ATTACK, attack);
        }
        let child = command.spawn().expect("a neighbour");
        let (back, _) = listener.accept().expect("its way back");
        (child, back)
    }

    fn to_text(&self) -> String {
        let numbers = [&[self.uid, self.gid], self.groups.as_slice()].concat();
        let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
        numbers.join(",")
    }

    fn from_text(text: &str) -> Self {
        let mut numbers = text.split(',').map(|n| n.parse().expect("a number"));
        Self {
            uid: numbers.next().expect("a uid"),
            gid: numbers.next().expect("a gid"),
            groups: numbers.collect(),
        }
    }

    /// Makes this process the neighbour's.
    fn become_it(&self) {
        let groups: Vec<_> = self.groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups).expect("its groups");
        setgid(Gid::from_raw(self.gid)).expect("its group");
        setuid(Uid::from_raw(self.uid)).expect("its uid");
    }
}

/// Not a test: where a neighbour's process begins. In every other process it does nothing.
#[test]
fn what_a_neighbour_does() {
    let Ok(who) = std::env::var(WHO) else {
        return;
    };
    let path = |name| std::env::var_os(name).expect("a path");
    let mut back = UnixStream::connect(path(BACK)).expect("the way back");
    if geteuid().is_root() {
        Neighbour::from_text(&who).become_it();
    }
    let socket = path(SOCKET);
    if let Ok(attack) = std::env::var(ATTACK) {
        let told = attacks::carry_out(&attack, Path::new(&socket));
        // The test may have killed what it waited for.
        let _ = back.write_all(told.as_bytes());
        return;
    }
    match UnixStream::connect(Path::new(&socket)) {
        Ok(stream) => {
            let number = [stream.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&number)];
            let byte = [IoSlice::new(b"s")];
            let sent = sendmsg::<()>(back.as_raw_fd(), &byte, &rights, MsgFlags::empty(), None);
            sent.expect("it is passed on");
        }
        Err(error) => back
            .write_all(error.to_string().as_bytes())
            .expect("it is told"),
    }
}

/// Takes the connection that a neighbour passes on.
fn receive(back: &UnixStream) -> Result<UnixStream, String> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut byte)];
    recvmsg(back, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC).expect("a word");
    let passed = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    passed.map(UnixStream::from).ok_or_else(|| {
        let mut why = String::from_utf8_lossy(&byte).into_owned();
        let mut back = back;
        back.read_to_string(&mut why).expect("why not");
        why
    })
}
