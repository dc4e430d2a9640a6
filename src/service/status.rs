//! Exit statuses, besides 0 and the 2 of a wrong command line. They are those of `sysexits.h`, as
//! systemd knows them.

/// A fault of the program itself.
pub const SOFTWARE: u8 = 70;
/// The operating system refused something every program needs.
pub const OSERR: u8 = 71;
/// A socket cannot be made.
pub const CANTCREAT: u8 = 73;
/// A directory cannot be read or written.
pub const IOERR: u8 = 74;
/// Another running program has what this one needs for itself.
pub const TEMPFAIL: u8 = 75;
/// A directory or a socket is not this user's to use.
pub const NOPERM: u8 = 77;
/// The configuration is wrong.
pub const CONFIG: u8 = 78;
