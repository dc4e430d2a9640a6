//! What a user can ask of a session, and what is answered, in words.

use std::time::Duration;

use wasessiond::client::{Client, ClientError, Disconnected, Options};
use wasessiond::protocol::{
    Command, GroupJid, HistoryEntry, ProxyEdit, ProxySource, SessionProxy, Status, TargetEdit,
};

use super::super::conformance::person::Person;

pub(super) const CHOIR: (&str, &str) = ("120363000000000001@g.us", "Choir");
pub(super) const TEAM: (&str, &str) = ("120363000000000002@g.us", "Team");

/// Makes the verbs, the struct with one of something for each, and the walk through it, from one list.
macro_rules! verbs {
    ($($verb:ident $field:ident $name:literal $seconds:literal;)*) => {
        /// Something that a user can ask.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Verb { $($verb),* }

        /// One of something for every verb: without one it does not compile.
        pub(super) struct Verbs<T> { $(pub(super) $field: T),* }

        impl<T> Verbs<T> {
            /// In the order of the table.
            pub(super) fn into_cells(self) -> Vec<(Verb, T)> {
                vec![$((Verb::$verb, self.$field)),*]
            }
        }

        impl Verb {
            /// As the table says it.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$verb => $name),* }
            }

            /// The longest that its answer may take, whatever hangs.
            pub(super) fn deadline(self) -> Duration {
                Duration::from_secs(match self { $(Self::$verb => $seconds),* })
            }
        }
    };
}

verbs! {
    Status        status         "status"          5;
    List          list           "list"            5;
    Watch         watch          "watch"           5;
    History       history        "history"         5;
    Groups        groups         "groups"          25;
    TargetsShow   targets_show   "targets"         25;
    TargetsSet    targets_set    "targets --set"   25;
    TargetsAdd    targets_add    "targets --add"   25;
    TargetsRemove targets_remove "targets --remove" 25;
    TargetsClear  targets_clear  "targets --clear" 25;
    Passkey       passkey        "passkey"         25;
    ProxyShow     proxy_show     "proxy"           15;
    ProxyClear    proxy_clear    "proxy --clear"   15;
    Connect       connect        "connect"         45;
    ConnectByCode connect_code   "connect --phone" 45;
    Disconnect    disconnect     "disconnect"      15;
    ForceLogout   force_logout   "force-logout"    20;
}

/// The verbs that a command stands for.
pub(super) fn of(command: &Command) -> &'static [Verb] {
    match command {
        Command::Connect { phone: None, .. } => &[Verb::Connect],
        Command::Connect { phone: Some(_), .. } => &[Verb::ConnectByCode],
        Command::Disconnect { .. } => &[Verb::Disconnect],
        Command::ForceLogout { .. } => &[Verb::ForceLogout],
        Command::Status { .. } => &[Verb::Status],
        Command::List { .. } => &[Verb::List],
        Command::Watch { .. } => &[Verb::Watch],
        Command::History { .. } => &[Verb::History],
        Command::Groups { .. } => &[Verb::Groups],
        Command::Targets { edit, .. } => match edit {
            TargetEdit::Show => &[Verb::TargetsShow],
            TargetEdit::Set(_) => &[Verb::TargetsSet],
            TargetEdit::Add(_) => &[Verb::TargetsAdd],
            TargetEdit::Remove(_) => &[Verb::TargetsRemove],
            TargetEdit::Clear => &[Verb::TargetsClear],
            other => panic!("{other:?} has no rows in the table"),
        },
        Command::Passkey { .. } => &[Verb::Passkey],
        Command::Proxy { edit, .. } => match edit {
            ProxyEdit::Show => &[Verb::ProxyShow],
            // The others lead away from the server, so they are tried elsewhere.
            _ => &[Verb::ProxyClear],
        },
        // About the daemon, not about a session.
        Command::Ping | Command::Info | Command::Reload | Command::RotateKey => &[],
        other => panic!("{other:?} has no rows in the table"),
    }
}

impl Verb {
    /// Asks, and says in words what was answered.
    pub(super) async fn ask(self, person: &Person) -> String {
        let (client, user) = (&person.client, person.user.as_str());
        let choir = || vec![CHOIR.0.to_owned()];
        let team = || vec![TEAM.0.to_owned()];
        let phone = format!("+{}", person.phone);
        let told = match self {
            Self::Connect => client
                .connect_session(user, None)
                .await
                .map(|s| from_status(&s)),
            Self::ConnectByCode => client
                .connect_session(user, Some(&phone))
                .await
                .map(|s| from_status(&s)),
            Self::Disconnect => client.disconnect(user).await.map(|done| match done {
                Disconnected::Kept(status) => from_status(&status),
                Disconnected::Removed(report) => gone(&report.entry),
            }),
            Self::ForceLogout => client.force_logout(user).await.map(|r| gone(&r.entry)),
            Self::Status => client.status(user).await.map(|s| from_status(&s)),
            Self::List => client.list().await.map(|all| listed(&all, user)),
            Self::Watch => watched(person).await,
            Self::History => {
                let entries = client.history(Some(user), None).await;
                entries.map(|entries| format!("{} ended", entries.len()))
            }
            Self::Groups => client.groups(user).await.map(|groups| {
                let names: Vec<_> = groups.iter().map(|g| g.subject.as_str()).collect();
                format!("groups {}", names.join(", "))
            }),
            Self::Passkey => client
                .passkey_challenge(user)
                .await
                .map(|_| "challenge".to_owned()),
            Self::TargetsShow => targets(person, TargetEdit::Show).await,
            Self::TargetsSet => {
                let both = [choir(), team()].concat();
                targets(person, TargetEdit::Set(both)).await
            }
            Self::TargetsAdd => targets(person, TargetEdit::Add(team())).await,
            Self::TargetsRemove => targets(person, TargetEdit::Remove(choir())).await,
            Self::TargetsClear => targets(person, TargetEdit::Clear).await,
            Self::ProxyShow => client.proxy(user, ProxyEdit::Show).await.map(|p| proxy(&p)),
            Self::ProxyClear => client
                .proxy(user, ProxyEdit::Clear)
                .await
                .map(|p| proxy(&p)),
        };
        match told {
            Ok(told) => told,
            Err(ClientError::Failure(failure)) => {
                // It says whose session it is about, and something to do about it.
                assert!(failure.message.contains(user), "{failure:?}");
                format!("failure {}", failure.code)
            }
            Err(other) => format!("no answer: {other}"),
        }
    }
}

fn proxy(proxy: &SessionProxy) -> String {
    let shown = proxy.url.as_deref().unwrap_or("none");
    match proxy.source {
        ProxySource::Default => format!("proxy {shown}"),
        source => format!("proxy {shown}, {source}"),
    }
}

fn from_status(status: &Status) -> String {
    assert!(!status.next_action.is_empty(), "{status:?}");
    format!("status {}", status.phase)
}

fn gone(entry: &HistoryEntry) -> String {
    format!("gone ({}, unlink {})", entry.cause, entry.unlink)
}

fn listed(all: &[Status], user: &str) -> String {
    let code = |s: &Status| {
        let qr = s.qr.as_ref().and_then(|qr| qr.code.as_ref());
        qr.is_some() || s.pair_code.as_ref().and_then(|c| c.code.as_ref()).is_some()
    };
    assert!(!all.iter().any(code), "a secret in the list");
    let ours = all.iter().find(|s| s.user.as_str() == user);
    ours.map_or("not listed".to_owned(), |s| format!("listed {}", s.phase))
}

/// On a connection of its own: one has one watch.
async fn watched(person: &Person) -> Result<String, ClientError> {
    let client = Client::connect(person.socket(), Options::default()).await?;
    let watch = client.watch([person.user.as_str()], None).await?;
    let shown = watch.view().sessions().next().map(|s| s.phase);
    Ok(format!(
        "watching {}",
        shown.map_or("nobody".to_owned(), |phase| phase.to_string())
    ))
}

async fn targets(person: &Person, edit: TargetEdit) -> Result<String, ClientError> {
    let now = person.client.targets(&person.user, edit).await?;
    let name = |jid: &GroupJid| {
        let known = [CHOIR, TEAM]
            .into_iter()
            .find(|(known, _)| *known == jid.as_str());
        known.map_or("?", |(_, name)| name)
    };
    let names: Vec<_> = now.iter().map(name).collect();
    Ok(format!(
        "targets {}",
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    ))
}
