//! The golden bytes, read by another implementation of the encoding into types of its own, and written
//! back by it.
//!
//! wincode reads and writes the layout of bincode's `standard()` when it is told to write integers with
//! variable lengths. The types here are what the documentation says travels, with nothing but strings
//! and numbers: what the protocol's own types do on the way (`try_from`, `transparent`) must not show.

use serde::Serialize;
use wincode::config::Configuration;
use wincode::{SchemaRead, SchemaWrite};

use super::{Kept, MESSAGES, REQUESTS, read};

/// A type that travels.
macro_rules! mirror {
    ($(struct $name:ident { $($field:ident: $type:ty),+ $(,)? })+) => {
        $(
            #[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
            struct $name { $($field: $type),+ }
        )+
    };
}

/// Names that may grow are strings, like times.
type Name = String;
type Time = String;

mirror! {
    struct Request { id: u64, command: Command }
    struct Since { epoch: Option<u64>, seq: u64 }
    struct Reply { id: u64, result: Outcome }
    struct Failure {
        code: Name,
        message: String,
        retry_after: Option<u64>,
        last_logout: Option<Entry>,
    }
    struct Info {
        version: String,
        pid: u32,
        started_at: Time,
        epoch: u64,
        state_directory: String,
        config_file: Option<String>,
        simulator: bool,
        summary: String,
        phases: Vec<Count>,
        logouts: Vec<Count>,
        purge_failures: u64,
        purge_median_ms: Option<u64>,
        purges: u64,
        purge_total_ms: u64,
        purge_longest_ms: Option<u64>,
        warnings: Vec<Warning>,
        proxy: Option<String>,
        master_key: Option<MasterKey>,
    }
    struct MasterKey {
        source: Option<Name>,
        id: Option<String>,
        rotating: bool,
        error: Option<String>,
    }
    struct RotatedKey {
        id: String,
        begun: bool,
        wrapped: u64,
        left: Vec<LeftKey>,
        left_total: u64,
        finished: bool,
    }
    struct LeftKey { user: String, why: String }
    struct Warning { kind: Name, since: Time, due: Option<Time>, text: String }
    struct Restriction { kind: Name, since: Time, until: Option<Time>, detail: Option<String> }
    struct Count { name: String, count: u64 }
    struct Reloaded { changed: Vec<String>, needs_restart: Vec<String> }
    struct Account { jid: String, phone: String, name: Option<String> }
    struct Status {
        user: String,
        phase: Name,
        since: Time,
        next_action: String,
        owner: u32,
        account: Option<Account>,
        connecting: Option<Connecting>,
        qr: Option<Qr>,
        pair_code: Option<PairCode>,
        retry_at: Option<Time>,
        held_until: Option<Time>,
        reason: Option<Name>,
        error: Option<String>,
        targets: Vec<String>,
        last_activity: Option<Time>,
        appeal_token: Option<String>,
        restrictions: Vec<Restriction>,
        warnings: Vec<Warning>,
        passkey: Option<Passkey>,
        proxy: Option<SessionProxy>,
        expect: Option<String>,
    }
    struct Connecting { attempt: u32, stage: Name, stage_since: Time }
    struct Qr { code: Option<String>, number: u32, remaining: u32, expires_at: Time }
    struct PairCode { code: Option<String>, phone: String, expires_at: Time }
    struct Passkey { step: Name, code: Option<String>, expires_at: Time }
    struct Challenge { options: String, expires_at: Time }
    struct Sessions { sessions: Vec<Status>, next: Option<String> }
    struct History { entries: Vec<Entry>, next: Option<String> }
    struct Entry {
        at: Time,
        user: String,
        cause: Name,
        account: Option<Account>,
        owner: u32,
        requested_by: Option<u32>,
        unlink: Name,
        removed: Removed,
        text: Option<String>,
        appeal_token: Option<String>,
        restrictions: Vec<Restriction>,
        linked_at: Option<Time>,
    }
    struct Removed { files: u64, bytes: u64, targets: u32 }
    struct Report { entry: Entry, next_action: String }
    struct Watching { epoch: u64, seq: u64, gap: bool }
    struct SessionProxy {
        source: Name,
        url: Option<String>,
        authenticated: bool,
        error: Option<String>,
    }
    struct Group { jid: String, subject: String, size: u32 }
    struct Event { seq: u64, at: Time, user: String, kind: Kind, status: Option<Status> }
}

#[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
enum Command {
    Ping,
    Info,
    Reload,
    Connect {
        user: String,
        phone: Option<String>,
        expect: Option<String>,
        proxy: Option<String>,
    },
    Disconnect {
        user: String,
    },
    ForceLogout {
        user: String,
    },
    Status {
        user: String,
    },
    List {
        after: Option<String>,
    },
    Watch {
        users: Vec<String>,
        since: Option<Since>,
    },
    History {
        user: Option<String>,
        limit: Option<u32>,
        before: Option<String>,
    },
    Groups {
        user: String,
    },
    Targets {
        user: String,
        edit: Edit,
    },
    Passkey {
        user: String,
        action: Action,
    },
    Proxy {
        user: String,
        edit: ProxyEdit,
    },
    RotateKey,
}

#[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
enum Action {
    Challenge,
    Assert(String),
    Confirm,
}

#[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
enum Edit {
    Show,
    Set(Vec<String>),
    Add(Vec<String>),
    Remove(Vec<String>),
    Clear,
}

#[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
enum ProxyEdit {
    Show,
    Set(String),
    None,
    Clear,
}

#[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "it is read, looked at, and dropped"
)]
enum Message {
    Reply(Reply),
    Replayed(Event),
    Present(Status),
    InSync { seq: u64 },
    Event(Event),
    Lagged { missed: u64 },
    Closing(Failure),
}

#[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is read, looked at, and dropped"
)]
enum Outcome {
    Ok(Answer),
    Err(Failure),
}

#[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "it is read, looked at, and dropped"
)]
enum Answer {
    Pong,
    Info(Info),
    Reloaded(Reloaded),
    Status(Status),
    Sessions(Sessions),
    LoggedOut(Report),
    History(History),
    Watching(Watching),
    Groups(Vec<Group>),
    Targets(Vec<String>),
    Passkey(Challenge),
    Proxy(SessionProxy),
    RotatedKey(RotatedKey),
}

#[derive(Debug, Serialize, SchemaRead, SchemaWrite)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "it is read, looked at, and dropped"
)]
enum Kind {
    Connecting,
    Qr,
    PairCode,
    Passkey,
    Paired,
    Online,
    BackingOff,
    Held,
    Parked,
    Disconnected,
    LoggingOut,
    LoggedOut(Entry),
    PairingExpired(Entry),
    PurgeFailed,
    StoreCorrupt,
    Targets,
    AccountChanged,
    Restrictions,
    Warnings,
    Updated,
}

/// Reads the bytes with wincode into a type of its own, compares what came of it with the golden JSON,
/// and writes the bytes again.
macro_rules! reads_the_same {
    ($type:ty, $path:expr) => {
        for Kept {
            name,
            json,
            bincode,
        } in read($path)
        {
            let config = Configuration::default().with_varint_encoding();
            let value: $type = wincode::config::deserialize_exact(&bincode, config).expect(&name);
            assert_eq!(serde_json::to_string(&value).expect("JSON"), json, "{name}");
            let again = wincode::config::serialize(&value, config).expect(&name);
            assert_eq!(again, bincode, "{name}");
        }
    };
}

#[test]
fn another_implementation_reads_and_writes_every_request() {
    reads_the_same!(Request, REQUESTS);
}

#[test]
fn another_implementation_reads_and_writes_every_message() {
    reads_the_same!(Message, MESSAGES);
}
