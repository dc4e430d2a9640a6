//! A socket that systemd opened for us, when it did.
//!
//! The socket arrives as a bare descriptor number. To own one without unsafe code, the descriptor is sent
//! through a pair of sockets to ourselves: what comes out is a duplicate with an owner. The number
//! itself stays open until the process ends, which is what a socket unit means anyway: systemd keeps
//! it too, and clients that come between two daemons wait in its queue.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockType, SockaddrLike, UnixAddr, getsockname,
    getsockopt, sendmsg, sockopt,
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// The listening socket from systemd that its unit calls `name`, or the only one. `None`: there is none.
/// The error says what is wrong with it.
pub(crate) fn listener(name: &str) -> Result<Option<UnixListener>, String> {
    let passed = sd_notify::listen_fds_with_names().map_err(|e| e.to_string())?;
    let Some(number) = choose(&passed.collect::<Vec<_>>(), name)? else {
        return Ok(None);
    };
    let socket = own(number).map_err(|e| format!("descriptor {number}: {e}"))?;
    check(&socket)?;
    Ok(Some(UnixListener::from(socket)))
}

fn choose(passed: &[(RawFd, String)], wanted: &str) -> Result<Option<RawFd>, String> {
    let mut named = passed.iter().filter(|(_, name)| name == wanted);
    match (named.next(), named.next(), passed) {
        (Some((number, _)), None, _) | (None, _, [(number, _)]) => Ok(Some(*number)),
        (None, _, []) => Ok(None),
        (None, ..) => Err(format!(
            "it passed {} sockets, and none is named {wanted:?}",
            passed.len()
        )),
        (Some(_), Some(_), _) => Err(format!("it passed several sockets named {wanted:?}")),
    }
}

fn own(number: RawFd) -> Result<OwnedFd, std::io::Error> {
    let (here, there) = UnixStream::pair()?;
    sendmsg::<()>(
        here.as_raw_fd(),
        &[IoSlice::new(b"s")],
        &[ControlMessage::ScmRights(&[number])],
        MsgFlags::empty(),
        None,
    )?;
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(
        &there,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .ok_or_else(|| std::io::Error::other("the kernel did not duplicate it"))
}

fn check(socket: &OwnedFd) -> Result<(), String> {
    let kind = getsockopt(socket, sockopt::SockType)
        .map_err(|e| format!("it is not a socket: {}", e.desc()))?;
    let address = getsockname::<UnixAddr>(socket.as_raw_fd());
    let unix = address.is_ok_and(|a| a.family() == Some(AddressFamily::Unix));
    let listens = getsockopt(socket, sockopt::AcceptConn).unwrap_or(false);
    if kind == SockType::Stream && unix && listens {
        Ok(())
    } else {
        Err("it is not a listening Unix stream socket".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_socket_is_meant() {
        let passed = |names: &[&str]| {
            let numbered = (3..)
                .zip(names)
                .map(|(number, name)| (number, (*name).to_owned()));
            choose(&numbered.collect::<Vec<_>>(), "control")
        };
        assert_eq!(passed(&[]), Ok(None));
        assert_eq!(passed(&["unknown"]), Ok(Some(3)));
        assert_eq!(passed(&["control"]), Ok(Some(3)));
        assert_eq!(passed(&["other", "control"]), Ok(Some(4)));
        assert!(passed(&["one", "other"]).is_err());
        assert!(passed(&["control", "control"]).is_err());
    }

    #[test]
    fn a_number_becomes_a_socket_of_our_own() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let original = UnixListener::bind(&path).expect("a listener");
        let copy = own(original.as_raw_fd()).expect("a duplicate");
        assert_ne!(copy.as_raw_fd(), original.as_raw_fd());
        drop(original);
        check(&copy).expect("it listens");
        let copy = UnixListener::from(copy);
        let _client = UnixStream::connect(&path).expect("it is alive");
        copy.accept().expect("the client arrives at the duplicate");
    }

    #[test]
    fn what_does_not_listen_is_refused() {
        let (stream, _peer) = UnixStream::pair().expect("a pair");
        assert!(check(&own(stream.as_raw_fd()).expect("a duplicate")).is_err());
        let file = tempfile::tempfile().expect("a file");
        assert!(check(&own(file.as_raw_fd()).expect("a duplicate")).is_err());
        assert!(own(1_000_000).is_err());
    }
}
