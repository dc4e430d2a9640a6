//! The table of keys.

use std::path::PathBuf;
use std::time::Duration;

use super::values::{self, Admin, OwnProxies, Version};
use crate::service::config::declare::configuration;
use crate::service::config::kinds;
use crate::supervisor::{OnConflict, OnLocked, Settings};
use crate::whatsapp::{Presence, Proxy};

configuration! {
    /// The whole configuration. The fields are the sections of the files, and their keys.
    Config;

    /// `[socket]`: the control socket.
    socket: Socket, AtRestart {
        /// The control socket, for a daemon that makes it itself: where systemd passes one, wasessiond.socket
        /// says where it is, and its mode and group. The default is control.sock in the runtime directory.
        path: Option<PathBuf> = None, kinds::optional(kinds::path()),
            example "\"/run/wasessiond/control.sock\"";
        /// Its permissions. Whoever may write to it may connect; `[access]` says who may do what.
        mode: u32 = 0o660, kinds::mode();
        /// The group that owns it. Not set by default: the daemon's own group.
        group: Option<String> = None, kinds::optional(kinds::text()), example "\"wasession\"";
    }

    /// `[state]`: what is on the disk.
    state: State, AtRestart {
        /// Where the sessions are kept, with their credentials. The directory must belong to the daemon's own
        /// user, and only one daemon at a time uses it. The default is the state directory that systemd passes.
        directory: Option<PathBuf> = None, kinds::optional(kinds::path()),
            example "\"/var/lib/wasessiond\"";
    }

    /// `[access]`: who may do what.
    access: Access, AtReload {
        /// Who sees and controls every session, besides root and the daemon's own user: names, uids, and groups
        /// with an "@" before them. Everybody else sees only the sessions that they created.
        admins: Vec<Admin> = vec![Admin::User("root".to_owned())],
            kinds::list(values::admin, values::write_admin);
        /// Who chooses the proxies of sessions (`wactl proxy`, `wactl connect --proxy`). "admins": only admins.
        /// "owners": also those who created a session, for theirs. The daemon connects to a proxy with its own
        /// rights, so an owner reaches any port of this machine and its networks that the daemon reaches, and
        /// leaves the proxy below. What was chosen before a change stays.
        own_proxies: OwnProxies = OwnProxies::Admins, values::own_proxies();
        /// How many sessions one uid may have created, 1 to 100000.
        max_sessions_per_uid: usize = Settings::default().max_sessions_per_uid,
            kinds::number(1..=100_000);
        /// How many connections one uid may have open, 1 to 1024.
        max_connections_per_uid: usize = 64, kinds::number(1..=1024);
    }

    /// `[whatsapp]`: how WhatsApp is reached.
    whatsapp: WhatsApp, AtRestart {
        /// How this device is called in the phone's list under Linked devices: at most 50 characters.
        device_name: String = "wasessiond".to_owned(), values::device_name();
        /// What sessions that are online say of themselves. "unavailable": the phones go on to show
        /// notifications. "available": contacts see the accounts online, and the phones may stay silent.
        /// A reload changes it for sessions that are online.
        presence: Presence = Settings::default().presence, values::presence(),
            takes_effect AtReload;
        /// The proxy of all sessions that have none of their own (`wactl proxy`), and of the fetch of
        /// WhatsApp's version: "http://", "socks5://" (names of hosts are looked up here) or "socks5h://" (the
        /// proxy looks them up), perhaps a user, a host and a port. Not set by default: none. A password may
        /// stand in the URL only where not everybody may read this file.
        proxy: Option<Proxy> = None, kinds::optional(values::proxy()),
            example "\"http://proxy.example:3128\"";
        /// The file whose first line is the password of the proxy's user. Not everybody may read it. Not set by
        /// default: the credential "wasessiond.proxy-password" counts, if the service manager passes one.
        proxy_password_file: Option<PathBuf> = None, kinds::optional(kinds::path()),
            example "\"/etc/wasessiond/proxy-password\"";
        /// A simulator's WebSocket, on a loopback address. Not set by default. Only a build for rehearsals
        /// (`--features simulator`) takes this key, and it needs it.
        endpoint: Option<String> = None, kinds::optional(values::endpoint()),
            example "\"ws://127.0.0.1:8430/ws/chat\"", only_with "simulator";
        /// The version of WhatsApp Web to name at least. Not set by default: WhatsApp is asked for it, once a day.
        /// Set it where that page cannot be reached, or names a version that WhatsApp does not accept any more.
        /// A build for rehearsals names exactly this one. A change takes effect at a reload.
        version: Option<Version> = None, kinds::optional(values::version()),
            example "\"2.3000.1020000000\"",
            takes_effect AtReload;
    }

    /// `[sessions]`: how sessions are kept up.
    sessions: Sessions, AtReload {
        /// What happens when another program connects with the same credentials. "logout": the session ends and
        /// its credentials are removed. "park": they are kept, and the session waits for `wactl connect`.
        on_conflict: OnConflict = Settings::default().on_conflict, values::on_conflict();
        /// What happens when WhatsApp locks the account (login failure 403). "hold": the credentials are kept, and
        /// the session tries again after an hour, six hours, then once a day; after two weeks of nothing but
        /// refusals it ends. "logout": it ends at once, and its credentials are removed.
        on_locked: OnLocked = Settings::default().on_locked, values::on_locked();
        /// How many sessions connect at a time, 1 to 1000: after a start, and when many have lost their links.
        /// Whoever says `wactl connect` does not wait for the others.
        restore_concurrency: usize = Settings::default().restore_concurrency,
            kinds::number(1..=1000);
        /// Disconnect (never remove) a session that nobody used for so long, like "30d"; or "never".
        idle_after: Option<Duration> = Settings::default().idle_after, kinds::length_or_never();
        /// How many sessions there may be, 1 to 100000.
        max: usize = Settings::default().max_sessions, kinds::number(1..=100_000);
    }

    /// `[logout]`: how sessions end.
    logout: Logout, AtReload {
        /// How long `wactl force-logout` waits for WhatsApp to unlink the device: shorter than the deadline, and
        /// never more than half of it.
        unlink_timeout: Duration = Settings::default().unlink_timeout, kinds::length();
        /// How long a logout may take in all. When the time is over, `wactl force-logout` says what is left, and
        /// the removal goes on.
        deadline: Duration = Settings::default().logout_deadline, kinds::length();
        /// How many ended sessions the history keeps, 1 to 1000000. Their owners share the room fairly.
        history_limit: usize = Settings::default().history_limit, kinds::number(1..=1_000_000);
    }

    /// `[log]`: what is logged.
    log: Log, AtReload {
        /// What is logged: a level ("error", "warn", "info", "debug", "trace"), or parts and their levels, like
        /// `info,wasessiond::session=debug`. `$WASESSIOND_LOG` overrides it.
        filter: String = "info".to_owned(), values::filter();
    }
}
