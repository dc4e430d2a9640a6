//! Commands about an account: what it needs, and what WhatsApp restricts it to.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use wasim::{AppState, ChatLimit, Command, Hosting, Timelock};

use crate::arguments::switch;
use crate::verbs::argument;

/// What to set for an account.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountVerb {
    /// Whether a new device has to prove the passkey of the account's owner
    Passkey {
        /// The phone's number
        phone: String,
        /// on or off
        #[arg(value_parser = switch, action = clap::ArgAction::Set)]
        needed: bool,
    },
    /// Whether the account is a business that also uses the Cloud API
    Hosting {
        /// The phone's number
        phone: String,
        /// not; account: it is; device: it is, and new devices are hosted, too
        #[arg(value_parser = hosting)]
        hosting: Hosting,
    },
    /// What becomes of the app state that a new device needs
    AppState {
        /// The phone's number
        phone: String,
        /// served, or why it never comes: no-keys, unanswered, failed, refused (for now), denied (for good), omitted,
        /// no-snapshot, garbled
        #[arg(value_parser = app_state)]
        app_state: AppState,
    },
    /// Set when the phone signed the list of its devices
    PhoneSeen {
        /// The phone's number
        phone: String,
        /// How long ago, in seconds; otherwise each time just now
        #[arg(long, value_name = "SECONDS")]
        ago: Option<u64>,
    },
    /// Somebody reads a message on the phone, and its devices are told: now, or when they are there
    PhoneSpeaks {
        /// The phone's number
        phone: String,
        /// How long ago, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        ago: u64,
    },
    /// Refuse older clients with 405
    MinimumVersion {
        /// Such as 2.3000.1030000000, or any
        #[arg(value_parser = version)]
        version: Version,
    },
    /// Tell clients when WhatsApp stops to accept them, now and at each login
    ClientExpiration {
        /// In how many seconds; otherwise nobody is told any more
        #[arg(long = "in", value_name = "SECONDS")]
        seconds: Option<u64>,
    },
    /// Sign with the owner's passkey what WhatsApp asks a client for
    SignPasskey {
        /// The phone's number
        phone: String,
        /// The request (JSON) that the client was sent, or - to read it from standard input
        options: String,
    },
    /// Keep the account from writing to new people
    Timelock {
        /// The phone's number
        phone: String,
        /// Lift it
        #[arg(long, conflicts_with_all = ["kind", "seconds"])]
        lift: bool,
        /// WhatsApp's word for its kind
        #[arg(long, default_value = "DEFAULT")]
        kind: String,
        /// How long, in seconds; otherwise WhatsApp does not say
        #[arg(long = "for", value_name = "SECONDS")]
        seconds: Option<u64>,
        #[command(flatten)]
        quiet: Quiet,
    },
    /// Limit the account's chats with new people
    ChatLimit {
        /// The phone's number
        phone: String,
        /// Lift it
        #[arg(long, conflicts_with_all = ["status", "total", "used", "seconds"])]
        lift: bool,
        /// `NONE`, `FIRST_WARNING`, `SECOND_WARNING` or `CAPPED`
        #[arg(long, default_value = "CAPPED")]
        status: String,
        /// How many chats a cycle may have
        #[arg(long, default_value_t = 50)]
        total: u32,
        /// How many it has had
        #[arg(long, default_value_t = 50)]
        used: u32,
        /// How long the cycle goes on, in seconds
        #[arg(long = "for", value_name = "SECONDS", default_value_t = 604_800)]
        seconds: u64,
        #[command(flatten)]
        quiet: Quiet,
    },
}

/// Whether devices are told.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Quiet {
    /// Tell no device: each learns it when it asks
    #[arg(long)]
    quiet: bool,
}

impl AccountVerb {
    pub(crate) fn command(self) -> Result<Command, String> {
        Ok(match self {
            Self::Passkey { phone, needed } => Command::SetPasskey { phone, needed },
            Self::Hosting { phone, hosting } => Command::SetHosting { phone, hosting },
            Self::AppState { phone, app_state } => Command::SetAppState { phone, app_state },
            Self::PhoneSeen { phone, ago } => Command::SetPhoneSeen {
                phone,
                at: ago.map(|ago| now().saturating_sub(ago)),
            },
            Self::PhoneSpeaks { phone, ago } => Command::PhoneSpeaks {
                phone,
                at: Some(now().saturating_sub(ago)),
            },
            Self::MinimumVersion {
                version: Version(version),
            } => Command::SetMinimumVersion { version },
            Self::ClientExpiration { seconds } => Command::SetClientExpiration {
                at: seconds.map(|seconds| now() + seconds),
            },
            Self::SignPasskey { phone, options } => Command::SignPasskey {
                phone,
                options: argument(options)?,
            },
            Self::Timelock {
                phone,
                lift,
                kind,
                seconds,
                quiet: Quiet { quiet },
            } => Command::SetTimelock {
                phone,
                timelock: (!lift).then(|| Timelock {
                    kind,
                    until: seconds.map(|seconds| now() + seconds),
                }),
                quiet,
            },
            Self::ChatLimit {
                phone,
                lift,
                status,
                total,
                used,
                seconds,
                quiet: Quiet { quiet },
            } => Command::SetChatLimit {
                phone,
                limit: (!lift).then(|| ChatLimit {
                    status,
                    total,
                    used,
                    begins: now(),
                    ends: now() + seconds,
                }),
                quiet,
            },
        })
    }
}

/// A version, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(Option<[u32; 3]>);

fn version(text: &str) -> Result<Version, String> {
    if text == "any" {
        return Ok(Version(None));
    }
    let parts: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
    let parts: Option<[u32; 3]> = parts.ok().and_then(|parts| parts.try_into().ok());
    parts
        .map(|parts| Version(Some(parts)))
        .ok_or_else(|| "three numbers, such as 2.3000.1030000000, or any".to_owned())
}

fn hosting(text: &str) -> Result<Hosting, String> {
    match text {
        "not" => Ok(Hosting::Not),
        "account" => Ok(Hosting::Account),
        "device" => Ok(Hosting::Device),
        _ => Err("not, account or device".to_owned()),
    }
}

fn app_state(text: &str) -> Result<AppState, String> {
    match text {
        "served" => Ok(AppState::Served),
        "no-keys" => Ok(AppState::NoKeys),
        "unanswered" => Ok(AppState::Unanswered),
        "failed" => Ok(AppState::Failed),
        "refused" => Ok(AppState::Refused),
        "denied" => Ok(AppState::Denied),
        "omitted" => Ok(AppState::Omitted),
        "no-snapshot" => Ok(AppState::NoSnapshot),
        "garbled" => Ok(AppState::Garbled),
        _ => Err(
            "served, no-keys, unanswered, failed, refused, denied, omitted, no-snapshot or garbled"
                .to_owned(),
        ),
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_words_are_read() {
        let read = version("2.3000.1030000000");
        assert_eq!(read, Ok(Version(Some([2, 3000, 1_030_000_000]))));
        assert_eq!(version("any"), Ok(Version(None)));
        for text in ["", "2", "2.3000", "2.3000.x", "1.2.3.4"] {
            assert!(version(text).is_err(), "{text}");
        }
        assert_eq!(hosting("device"), Ok(Hosting::Device));
        assert_eq!(app_state("no-snapshot"), Ok(AppState::NoSnapshot));
        assert!(hosting("x").is_err() && app_state("x").is_err());
    }
}
