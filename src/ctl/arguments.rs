//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::protocol::{GroupJid, PhoneNumber, ProxyEdit, Redacted, Since, TargetEdit, UserId};

/// Controls wasessiond, which owns the WhatsApp sessions of this machine's users.
#[derive(Debug, Parser)]
#[command(name = "wactl", version, arg_required_else_help = true, after_long_help = AFTER)]
pub(super) struct Cli {
    #[arg(long, global = true, value_name = "PATH", help = SOCKET)]
    pub(super) socket: Option<PathBuf>,
    /// Print objects for programs: one, or one a line where the command goes on
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

const SOCKET: &str = "The daemon's socket [default: $WASESSIOND_SOCKET, then the user's own \
                      daemon, then the system's]";

const AFTER: &str = "\
Exit status:
    0  done
    1  the daemon said no
    2  the command line is wrong
    3  the user has no session
    4  logged out, or the pairing ended, while waiting
   69  no daemon there, or it went away
   76  the other end does not keep to the protocol
   77  not allowed
  130  interrupted

Environment:
  WASESSIOND_SOCKET  the daemon's socket
  NO_COLOR           no colours";

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Bring a session up: show QR codes until it is linked, and wait until it is online
    Connect(Connect),
    /// Close a session and keep its credentials
    Disconnect(User),
    /// Unlink a device at WhatsApp and remove everything of its session
    ForceLogout(ForceLogout),
    /// Show one session
    Status(User),
    /// Show all sessions
    List,
    /// Show what happens to sessions, as it happens
    Watch(Watch),
    /// Show sessions that ended
    History(History),
    /// Show the live QR code of a session, or write it to a file
    Qr(Qr),
    /// Do what a pairing needs for which WhatsApp wants a passkey; without an option: print the challenge
    Passkey(Passkey),
    /// Show the groups of an account, asked from WhatsApp
    Groups(User),
    /// Show or change the target groups of a user
    Targets(Targets),
    /// Show or change the proxy through which a session reaches WhatsApp
    Proxy(Proxy),
    /// About the daemon itself
    #[command(subcommand)]
    Daemon(Daemon),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Clone, Args)]
pub(super) struct User {
    /// The user's id
    pub(super) user: UserId,
}

const CONNECT_PROXY: &str = "The proxy of a session that begins now, from its first connection on, as in \
                             `wactl proxy USER --set URL`; or none, for no proxy. A session that is there \
                             already keeps its own: `wactl proxy` changes it";

#[derive(Debug, Clone, Args)]
pub(super) struct Connect {
    /// The user's id
    pub(super) user: UserId,
    /// Pair by a code to type on the phone with this number, instead of a QR code
    #[arg(long, value_name = "+E164")]
    pub(super) phone: Option<PhoneNumber>,
    /// The account that is expected: another one is unlinked again
    #[arg(long, value_name = "+E164")]
    pub(super) expect: Option<PhoneNumber>,
    #[arg(long, value_name = "URL", help = CONNECT_PROXY)]
    pub(super) proxy: Option<Redacted>,
    /// The first line of this file is the password of the user in the proxy's URL
    #[arg(long, value_name = "FILE", requires = "proxy")]
    pub(super) password_file: Option<PathBuf>,
    /// Do not wait
    #[arg(long)]
    pub(super) detach: bool,
    /// Wait no longer than this, like 90s or 5m; the session goes on
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "detach")]
    pub(super) timeout: Option<Duration>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ForceLogout {
    /// The user's id
    pub(super) user: UserId,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Watch {
    /// The users' ids; none: everyone's sessions
    #[arg(value_name = "USER")]
    pub(super) users: Vec<UserId>,
    /// First what happened after this event, as far as the daemon remembers. EPOCH is the daemon's
    /// run: with it, a restart in between is noticed
    #[arg(long, value_name = "[EPOCH:]SEQ", value_parser = since)]
    pub(super) since: Option<Since>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct History {
    /// The user's id; none: everyone's
    pub(super) user: Option<UserId>,
    /// At most so many, the newest
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Qr {
    /// The user's id
    pub(super) user: UserId,
    /// How [default: by the name of the output file, else terminal]
    #[arg(long, value_enum)]
    pub(super) format: Option<QrFormat>,
    /// Write it to this file, which only its owner may read: the code links a device
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

const ASSERTION: &str = "Hand in the answer of a passkey to the challenge: a PublicKeyCredential \
                         in JSON; - reads it from the standard input";

#[derive(Debug, Clone, Args)]
pub(super) struct Passkey {
    /// The user's id
    pub(super) user: UserId,
    #[arg(long, value_name = "FILE", help = ASSERTION)]
    pub(super) assertion: Option<PathBuf>,
    /// Say that the code is the same on the phone
    #[arg(long, conflicts_with = "assertion")]
    pub(super) confirm: bool,
}

/// How a QR code is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum QrFormat {
    /// Drawn with block characters
    Terminal,
    /// An SVG image
    Svg,
    /// A PNG image
    Png,
    /// The text in the code, for another program to draw
    Text,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Targets {
    /// The user's id
    pub(super) user: UserId,
    #[command(flatten)]
    pub(super) edit: Edit,
}

#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(super) struct Edit {
    /// Exactly these groups
    #[arg(long, value_name = "JID", num_args = 1..)]
    set: Option<Vec<GroupJid>>,
    /// These groups too
    #[arg(long, value_name = "JID", num_args = 1..)]
    add: Option<Vec<GroupJid>>,
    /// Not these groups
    #[arg(long, value_name = "JID", num_args = 1..)]
    remove: Option<Vec<GroupJid>>,
    /// No groups
    #[arg(long)]
    clear: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Proxy {
    /// The user's id
    pub(super) user: UserId,
    #[command(flatten)]
    pub(super) edit: ProxyArguments,
    /// The first line of this file is the password of the user in the URL
    #[arg(long, value_name = "FILE", requires = "set")]
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(super) struct ProxyArguments {
    /// This proxy: http://, socks5:// (names are looked up here) or socks5h:// (the proxy looks them up),
    /// perhaps USER@ or USER:PASSWORD@, a host and a port; "-" reads it from the standard input. Other
    /// users of this machine can see a command line, and a password in it
    #[arg(long, value_name = "URL")]
    pub(super) set: Option<Redacted>,
    /// No proxy, also where the configuration has one for all sessions
    #[arg(long)]
    none: bool,
    /// What the configuration says for all sessions
    #[arg(long)]
    clear: bool,
    /// Change nothing
    #[arg(long)]
    show: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(super) enum Daemon {
    /// Show the daemon's version, state and counters
    Info,
    /// Ask whether the daemon answers
    Ping,
    /// Let the daemon read its configuration again
    Reload,
    /// Make another master key, and wrap the keys of all sessions with it
    RotateKey,
}

impl From<Edit> for TargetEdit {
    fn from(edit: Edit) -> Self {
        let strings = |jids: Vec<GroupJid>| jids.into_iter().map(String::from).collect();
        match edit {
            Edit { clear: true, .. } => Self::Clear,
            Edit {
                set: Some(jids), ..
            } => Self::Set(strings(jids)),
            Edit {
                add: Some(jids), ..
            } => Self::Add(strings(jids)),
            Edit {
                remove: Some(jids), ..
            } => Self::Remove(strings(jids)),
            _ => Self::Show,
        }
    }
}

impl From<ProxyArguments> for ProxyEdit {
    fn from(arguments: ProxyArguments) -> Self {
        match arguments {
            ProxyArguments { set: Some(url), .. } => Self::Set(url),
            ProxyArguments { none: true, .. } => Self::None,
            ProxyArguments { clear: true, .. } => Self::Clear,
            _ => Self::Show,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = "a duration looks like 90s, 5m or 1h30m";
    let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong.to_owned())?;
    if duration.is_zero() {
        return Err("this is no time to wait; --detach does not wait at all".to_owned());
    }
    Duration::try_from(duration).map_err(|_| "a duration cannot be negative".to_owned())
}

fn since(text: &str) -> Result<Since, String> {
    let wrong =
        |_| "give the number of an event, like 17, or with the daemon's run, like 5:17".to_owned();
    let (epoch, seq) = match text.split_once(':') {
        Some((epoch, seq)) => (Some(epoch.parse().map_err(wrong)?), seq),
        None => (None, text),
    };
    let seq = seq.parse().map_err(wrong)?;
    Ok(Since { epoch, seq })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = std::iter::once("wactl").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.command)
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn good_lines() {
        for line in [
            "connect alice",
            "connect alice --phone +15550100999",
            "connect alice --phone 15550100999 --timeout 5m",
            "connect alice --detach",
            "connect alice --expect +15550100999",
            "connect alice --proxy socks5h://me@proxy:1080 --password-file pw",
            "connect alice --proxy -",
            "connect alice --proxy none",
            "passkey alice",
            "passkey alice --assertion answer.json",
            "passkey alice --assertion -",
            "passkey alice --confirm",
            "disconnect alice",
            "force-logout alice",
            "force-logout alice --yes",
            "status alice --json",
            "--json --socket /run/x status alice",
            "list",
            "watch",
            "watch alice bob",
            "watch --since 17",
            "watch alice --since 5:17",
            "history",
            "history alice --limit 3",
            "qr alice",
            "qr alice --format svg --output code.svg",
            "groups alice",
            "targets alice",
            "targets alice --set 1@g.us 2@g.us",
            "targets alice --clear",
            "proxy alice",
            "proxy alice --show",
            "proxy alice --set http://me@proxy:3128 --password-file pw",
            "proxy alice --set -",
            "proxy alice --none",
            "proxy alice --clear",
            "daemon info",
            "daemon ping",
            "daemon reload",
            "daemon rotate-key",
            "completions zsh",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
        }
    }

    #[test]
    fn bad_lines_are_usage_errors() {
        for line in [
            "",
            "conect alice",
            "connect",
            "connect ../alice",
            "connect alice bob",
            "connect alice --phone 0151",
            "connect alice --expect bob",
            "connect alice --password-file pw",
            "connect alice --proxy",
            "passkey",
            "passkey alice --confirm --assertion -",
            "connect alice --timeout never",
            "connect alice --timeout 0s",
            "connect alice --timeout 0m",
            "connect alice --timeout -5m",
            "connect alice --detach --timeout 5m",
            "status",
            "watch --since x",
            "watch --since 5:",
            "watch --since :5",
            "history alice --limit -1",
            "qr alice --format gif",
            "targets alice --set",
            "targets alice --set bob",
            "targets alice --clear --add 1@g.us",
            "targets alice --set 1@g.us --add 2@g.us",
            "proxy",
            "proxy alice --set",
            "proxy alice --none --clear",
            "proxy alice --password-file pw",
            "daemon",
            "daemon stop",
            "completions tcsh",
            "--socket",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn values_arrive() {
        let Ok(Command::Watch(watch)) = parse("watch alice --since 5:17") else {
            panic!("not a watch");
        };
        assert_eq!(
            watch.since,
            Some(Since {
                epoch: Some(5),
                seq: 17
            })
        );
        let Ok(Command::Connect(connect)) = parse("connect alice --timeout 1h30m") else {
            panic!("not a connect");
        };
        assert_eq!(connect.timeout, Some(Duration::from_mins(90)));
        for (line, edit) in [
            ("targets a", TargetEdit::Show),
            ("targets a --clear", TargetEdit::Clear),
            (
                "targets a --set 1@g.us 2@g.us",
                TargetEdit::Set(vec!["1@g.us".into(), "2@g.us".into()]),
            ),
            (
                "targets a --add 1@g.us",
                TargetEdit::Add(vec!["1@g.us".into()]),
            ),
            (
                "targets a --remove 1@g.us",
                TargetEdit::Remove(vec!["1@g.us".into()]),
            ),
        ] {
            let Ok(Command::Targets(targets)) = parse(line) else {
                panic!("not targets: {line}");
            };
            assert_eq!(TargetEdit::from(targets.edit), edit);
        }
        let url = "http://me:pw@proxy:1";
        let parsed = parse(&format!("connect a --proxy {url}"));
        assert!(!format!("{parsed:?}").contains("pw"), "{parsed:?}");
        let Ok(Command::Connect(connect)) = parsed else {
            panic!("not a connect");
        };
        assert_eq!(connect.proxy, Some(url.into()));
        for (line, edit) in [
            ("proxy a".to_owned(), ProxyEdit::Show),
            ("proxy a --show".to_owned(), ProxyEdit::Show),
            (format!("proxy a --set {url}"), ProxyEdit::Set(url.into())),
            ("proxy a --none".to_owned(), ProxyEdit::None),
            ("proxy a --clear".to_owned(), ProxyEdit::Clear),
        ] {
            let parsed = parse(&line);
            assert!(!format!("{parsed:?}").contains("pw"), "{parsed:?}");
            let Ok(Command::Proxy(proxy)) = parsed else {
                panic!("no proxy: {line}");
            };
            assert_eq!(ProxyEdit::from(proxy.edit), edit);
        }
    }
}
