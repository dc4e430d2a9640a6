//! One input of each kind: the rows of the table.

use std::time::Duration;

use super::super::{Close, Input, Request};
use super::scene::{settings, start};
use crate::protocol::fixtures::bare_entry;
use crate::protocol::{
    Account, Cause, GroupJid, PhoneNumber, Redacted, RestrictionKind, Stage, Unlink,
};
use crate::session::clock::after;
use crate::session::{
    Change, OnConflict, OnLocked, PairOptions, PasskeyInput, ProxyChange, Settings, Standing,
};
use crate::store::{ProxyChoice, Record};
use crate::whatsapp::{
    AskError, Assertion, CodeRequest, Ending, Limit, LimitState, LinkEvent, Pace, PairCodeRefused,
    PasskeyEvent, Verdict,
};

/// The number of whatever is asked.
pub(super) const ASKED: Request = Request(7);

/// The close of a session that is closed for the first time, as in all scenes.
const FIRST: Close = Close(1);

/// Makes the enum, the list of all of it, the names and the inputs from one list.
macro_rules! rows {
    ($($row:ident $name:literal $input:expr;)*) => {
        /// A row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Row { $($row),* }

        impl Row {
            pub(super) const ALL: &[Self] = &[$(Self::$row),*];

            /// The name in the table.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$row => $name),* }
            }

            pub(super) fn input(self) -> Input {
                match self { $(Self::$row => $input),* }
            }
        }
    };
}

rows! {
    Connect "connect" connect();
    ConnectByCode "connect by code" by_code(ASKED, 7);
    ConnectExpecting "connect, expecting" Input::Connect(ASKED, PairOptions { expect: Some(phone(7)), ..PairOptions::default() });
    ConnectThrough "connect, own proxy" Input::Connect(ASKED, PairOptions { proxy: Some(ProxyChoice::Direct), ..PairOptions::default() });
    Disconnect "disconnect" Input::Disconnect { request: ASKED, by: 7 };
    ForceLogout "force-logout" Input::ForceLogout { request: ASKED, by: 7, within: Duration::from_secs(10) };
    Groups "groups" Input::Groups(ASKED);
    TargetsShown "targets, shown" Input::Targets(ASKED, Change::Nothing);
    TargetsCleared "targets, cleared" Input::Targets(ASKED, Change::Clear);
    TargetsAdded "targets, added" Input::Targets(ASKED, Change::Add(targets(3)));
    PasskeyFetched "passkey, fetched" Input::Passkey(ASKED, PasskeyInput::Challenge);
    PasskeyAnswered "passkey, answered" Input::Passkey(ASKED, PasskeyInput::Assert(Box::new(assertion())));
    PasskeyConfirmed "passkey, confirmed" Input::Passkey(ASKED, PasskeyInput::Confirm);
    ProxyShown "proxy, shown" Input::Proxy(ASKED, ProxyChange::Nothing);
    ProxyChanged "proxy, changed" Input::Proxy(ASKED, ProxyChange::To(Some(ProxyChoice::Direct)));
    Stop "stop" Input::Stop;
    Stage "stage" Input::Link(LinkEvent::Stage(Stage::Sync));
    Qr "qr" Input::Link(qr(2));
    QrExhausted "qr exhausted" Input::Link(LinkEvent::QrExhausted);
    Ready "ready for a pair code" Input::Link(LinkEvent::ReadyForPairCode);
    PairCode "pair code" Input::Link(pair_code());
    PairCodeStale "pair code stale" Input::Link(LinkEvent::PairCodeStale);
    PairCodeRefused "pair code refused" Input::Link(refused(false));
    TooManyPairCodes "too many pair codes" Input::Link(refused(true));
    PasskeyAnnounced "passkey announced" Input::Link(LinkEvent::Passkey(PasskeyEvent::Announced));
    PasskeyWanted "passkey wanted" Input::Link(challenge());
    PasskeyCode "passkey code" Input::Link(passkey_code(false));
    PasskeyProof "passkey proof" Input::Link(passkey_code(true));
    PasskeyFailed "passkey failed" Input::Link(LinkEvent::Passkey(PasskeyEvent::Failed("no".to_owned())));
    Paired "paired" Input::Link(LinkEvent::Paired(account(1)));
    PairFailed "pair failed" Input::Link(LinkEvent::PairFailed("wrong signature".to_owned()));
    Online "online" Input::Link(LinkEvent::Online(account(1)));
    Name "name" Input::Link(LinkEvent::Name("Alice".to_owned()));
    Activity "activity" Input::Link(LinkEvent::Activity);
    PhoneHeard "phone heard" Input::Link(LinkEvent::PhoneHeard { ago: Duration::ZERO });
    Restricted "limit reached" Input::Link(restricted());
    LimitNear "limit near" Input::Link(LinkEvent::Limit(near()));
    LimitFree "limit free" Input::Link(LinkEvent::Limit(free(RestrictionKind::ReachoutTimelock)));
    SettingsMissing "settings missing" Input::Link(LinkEvent::Settings { complete: false });
    SettingsHere "settings here" Input::Link(LinkEvent::Settings { complete: true });
    Wipe "ended: wipe" ended(Verdict::Wipe(Cause::Unlinked, Unlink::NotLinked));
    ConflictLogout "ended: conflict, logout" ended(Verdict::Conflict);
    ConflictPark "ended: conflict, park" ended(Verdict::Conflict);
    LockedHold "ended: locked, hold" ended(Verdict::Locked);
    LockedLogout "ended: locked, logout" ended(Verdict::Locked);
    Park "ended: park" ended(Verdict::Park(Cause::Refused(Some(409))));
    Hold "ended: hold" ended(Verdict::Hold(Cause::TemporaryBan, Duration::from_hours(1)));
    RetryAtOnce "ended: retry at once" ended(Verdict::Retry(Cause::StreamEnded, Pace::AtOnce));
    RetryUsual "ended: retry" ended(Verdict::Retry(Cause::ConnectionLost, Pace::Usual));
    RetryLong "ended: retry late" ended(Verdict::Retry(Cause::RateLimited, Pace::Long));
    MaybeOutdated "ended: outdated?" ended(Verdict::Retry(Cause::ClientOutdated, Pace::Usual));
    Outdated "ended: outdated" ended(Verdict::Retry(Cause::ClientOutdated, Pace::Outdated));
    Damaged "ended: damaged" ended(Verdict::Unusable);
    VersionChanged "version changed" Input::VersionChanged;
    DueEarly "due, too early" Input::Due;
    Due "due" Input::Due;
    Reachable "reachable" Input::Reachable;
    Opened "opened" Input::Opened;
    Unusable "opened: unusable" Input::Unusable("vault.db: not a database".to_owned());
    Unavailable "opened: not now" Input::Unavailable("the disk is full".to_owned());
    Copied "opened: a copy" Input::Copied("a copy".to_owned());
    Closed "closed" Input::Closed(FIRST, Ok(()));
    NotClosed "closed: not in time" Input::Closed(FIRST, Err("3 tasks run".to_owned()));
    Saved "saved" Input::Saved(Ok(()));
    NotSaved "saved: failed" Input::Saved(Err("the disk is full".to_owned()));
    Found "looked: a session" Input::Looked(Standing::Session { record: Box::new(stored()), paired: true });
    FoundUnusable "looked: unusable" Input::Looked(Standing::Unusable { record: None, why: "vault.db: not a database".to_owned() });
    FoundUnavailable "looked: not now" Input::Looked(Standing::Unavailable { record: None, why: "the disk is full".to_owned() });
    FoundNothing "looked: nothing" Input::Looked(Standing::Nothing);
    GroupsAnswered "groups answered" Input::GroupsAnswered(ASKED, Ok(Vec::new()));
    PasskeyTaken "passkey taken" Input::PasskeyAnswered(Some(ASKED), Ok(()));
    PasskeyRefused "passkey refused" Input::PasskeyAnswered(Some(ASKED), Err(AskError::Refused("no".to_owned())));
    Unlinked "unlinked" Input::Unlinked(Unlink::Confirmed.into());
    Removed "removed" Input::Removed(Ok(Box::new(bare_entry("alice", Cause::Unlinked))));
    RemovalFailed "removed: failed" Input::Removed(Err("vault.db is left".to_owned()));
}

impl Row {
    /// The row that an input belongs to. A new kind of input does not compile without one.
    pub(super) fn of(input: &Input, settings: &Settings, due: bool) -> Self {
        match input {
            Input::Connect(_, options) if options.proxy.is_some() => Self::ConnectThrough,
            Input::Connect(_, options) if options.expect.is_some() => Self::ConnectExpecting,
            Input::Connect(_, options) if options.phone.is_some() => Self::ConnectByCode,
            Input::Connect(..) => Self::Connect,
            Input::Disconnect { .. } => Self::Disconnect,
            Input::ForceLogout { .. } => Self::ForceLogout,
            Input::Groups(_) => Self::Groups,
            Input::Targets(_, Change::Nothing) => Self::TargetsShown,
            Input::Targets(_, Change::Clear | Change::Remove(_)) => Self::TargetsCleared,
            Input::Targets(_, Change::Add(_) | Change::Set(_)) => Self::TargetsAdded,
            Input::Passkey(_, PasskeyInput::Challenge) => Self::PasskeyFetched,
            Input::Passkey(_, PasskeyInput::Assert(_)) => Self::PasskeyAnswered,
            Input::Passkey(_, PasskeyInput::Confirm) => Self::PasskeyConfirmed,
            Input::PasskeyAnswered(_, Ok(())) => Self::PasskeyTaken,
            Input::PasskeyAnswered(_, Err(_)) => Self::PasskeyRefused,
            Input::Proxy(_, ProxyChange::Nothing) => Self::ProxyShown,
            Input::Proxy(_, ProxyChange::To(_)) => Self::ProxyChanged,
            Input::Stop => Self::Stop,
            Input::Link(event) => Self::from_event(event, settings),
            Input::VersionChanged => Self::VersionChanged,
            Input::Due if due => Self::Due,
            Input::Due => Self::DueEarly,
            Input::Reachable => Self::Reachable,
            Input::Opened => Self::Opened,
            Input::Unusable(_) => Self::Unusable,
            Input::Unavailable(_) => Self::Unavailable,
            Input::Copied(_) => Self::Copied,
            Input::Closed(_, Ok(())) => Self::Closed,
            Input::Closed(_, Err(_)) => Self::NotClosed,
            Input::Saved(Ok(())) => Self::Saved,
            Input::Saved(Err(_)) => Self::NotSaved,
            Input::Looked(Standing::Session { .. }) => Self::Found,
            Input::Looked(Standing::Unusable { .. }) => Self::FoundUnusable,
            Input::Looked(Standing::Unavailable { .. }) => Self::FoundUnavailable,
            Input::Looked(Standing::Nothing) => Self::FoundNothing,
            Input::GroupsAnswered(..) => Self::GroupsAnswered,
            Input::Unlinked(_) => Self::Unlinked,
            Input::Removed(Ok(_)) => Self::Removed,
            Input::Removed(Err(_)) => Self::RemovalFailed,
        }
    }

    fn from_event(event: &LinkEvent, settings: &Settings) -> Self {
        match event {
            LinkEvent::Stage(_) => Self::Stage,
            LinkEvent::Qr { .. } => Self::Qr,
            LinkEvent::QrExhausted => Self::QrExhausted,
            LinkEvent::ReadyForPairCode => Self::Ready,
            LinkEvent::PairCode { .. } => Self::PairCode,
            LinkEvent::PairCodeStale => Self::PairCodeStale,
            LinkEvent::PairCodeRefused(_, why) if why.rate_limited => Self::TooManyPairCodes,
            LinkEvent::PairCodeRefused(..) => Self::PairCodeRefused,
            LinkEvent::Passkey(PasskeyEvent::Announced) => Self::PasskeyAnnounced,
            LinkEvent::Passkey(PasskeyEvent::Challenge(_)) => Self::PasskeyWanted,
            LinkEvent::Passkey(PasskeyEvent::Confirm { skip: false, .. }) => Self::PasskeyCode,
            LinkEvent::Passkey(PasskeyEvent::Confirm { skip: true, .. }) => Self::PasskeyProof,
            LinkEvent::Passkey(PasskeyEvent::Failed(_)) => Self::PasskeyFailed,
            LinkEvent::Paired(_) => Self::Paired,
            LinkEvent::PairFailed(_) => Self::PairFailed,
            LinkEvent::Online(_) => Self::Online,
            LinkEvent::Name(_) => Self::Name,
            LinkEvent::Activity => Self::Activity,
            LinkEvent::PhoneHeard { .. } => Self::PhoneHeard,
            LinkEvent::Limit(limit) => match limit.state {
                LimitState::Reached { .. } => Self::Restricted,
                LimitState::Near { .. } => Self::LimitNear,
                LimitState::Free => Self::LimitFree,
            },
            LinkEvent::Settings { complete: false } => Self::SettingsMissing,
            LinkEvent::Settings { complete: true } => Self::SettingsHere,
            LinkEvent::Ended(ending) => match ending.verdict {
                Verdict::Wipe(..) => Self::Wipe,
                Verdict::Conflict => match settings.on_conflict {
                    OnConflict::Logout => Self::ConflictLogout,
                    OnConflict::Park => Self::ConflictPark,
                },
                Verdict::Locked => match settings.on_locked {
                    OnLocked::Hold => Self::LockedHold,
                    OnLocked::Logout => Self::LockedLogout,
                },
                Verdict::Park(_) => Self::Park,
                Verdict::Hold(..) => Self::Hold,
                Verdict::Retry(_, Pace::Outdated) => Self::Outdated,
                Verdict::Retry(Cause::ClientOutdated, _) => Self::MaybeOutdated,
                Verdict::Retry(_, Pace::AtOnce) => Self::RetryAtOnce,
                Verdict::Retry(_, Pace::Usual) => Self::RetryUsual,
                Verdict::Retry(_, Pace::Long) => Self::RetryLong,
                Verdict::Unusable => Self::Damaged,
            },
        }
    }

    /// Whether it is what came of an effect.
    pub(super) fn is_result(self) -> bool {
        self as usize >= Self::Opened as usize
    }

    /// The policies that the row is about.
    pub(super) fn settings(self) -> Settings {
        let on_conflict = match self {
            Self::ConflictPark => OnConflict::Park,
            _ => OnConflict::Logout,
        };
        let on_locked = match self {
            Self::LockedLogout => OnLocked::Logout,
            _ => OnLocked::Hold,
        };
        settings(on_conflict, on_locked)
    }
}

#[test]
fn every_row_holds_an_input_of_its_kind() {
    for &row in Row::ALL {
        let due = row == Row::Due;
        assert_eq!(Row::of(&row.input(), &row.settings(), due), row);
    }
}

/// Asks by QR code.
pub(super) fn connect() -> Input {
    Input::Connect(ASKED, PairOptions::default())
}

/// Asks by pair code for this phone.
pub(super) fn by_code(request: Request, n: u8) -> Input {
    let options = PairOptions {
        phone: Some(phone(n)),
        expect: None,
        proxy: None,
    };
    Input::Connect(request, options)
}

pub(super) const CHALLENGE: &str = "challenge-secret";
pub(super) const PASSKEY_CODE: &str = "PKEY-CODE";

pub(super) fn challenge() -> LinkEvent {
    LinkEvent::Passkey(PasskeyEvent::Challenge(Redacted::from(CHALLENGE)))
}

pub(super) fn passkey_code(skip: bool) -> LinkEvent {
    LinkEvent::Passkey(PasskeyEvent::Confirm {
        code: Redacted::from(PASSKEY_CODE),
        skip,
    })
}

pub(super) fn assertion() -> Assertion {
    let answer = r#"{"rawId":"AQ","response":{"clientDataJSON":"AQ","authenticatorData":"AQ","signature":"AQ"}}"#;
    Assertion::parse(&answer.into()).expect("an assertion")
}

pub(super) fn phone(n: u8) -> PhoneNumber {
    format!("+1555010099{n}").parse().expect("a phone number")
}

pub(super) fn account(n: u8) -> Account {
    Account {
        jid: format!("1555010099{n}:3@s.whatsapp.net"),
        phone: phone(n).to_string(),
        name: None,
    }
}

/// So many target groups.
pub(super) fn targets(count: u8) -> Vec<GroupJid> {
    (0..count)
        .map(|n| format!("12036300000000000{n}@g.us").parse().expect("a JID"))
        .collect()
}

/// The record of a paired session.
pub(super) fn stored() -> Record {
    let mut record = Record::new(1000);
    record.account = Some(account(1));
    record
}

/// A time-lock that ends a week after the beginning of every test.
pub(super) fn restricted() -> LinkEvent {
    LinkEvent::Limit(Limit {
        kind: RestrictionKind::ReachoutTimelock,
        state: LimitState::Reached {
            until: Some(after(start(), Duration::from_hours(7 * 24))),
            detail: Some("RESTRICT_ALL_COMPANIONS".to_owned()),
        },
    })
}

pub(super) fn near() -> Limit {
    Limit {
        kind: RestrictionKind::NewChatLimit,
        state: LimitState::Near {
            until: None,
            detail: "FIRST_WARNING, 40 of 50 used".to_owned(),
        },
    }
}

pub(super) fn free(kind: RestrictionKind) -> Limit {
    Limit {
        kind,
        state: LimitState::Free,
    }
}

pub(super) const QR: &str = "2@qr-secret";
pub(super) const CODE: &str = "CODE-SECRET";

pub(super) fn qr(number: u32) -> LinkEvent {
    LinkEvent::Qr {
        code: Redacted::from(QR),
        valid_for: Duration::from_secs(if number == 1 { 60 } else { 20 }),
        number,
        remaining: 6 - number,
    }
}

/// The answer to the first request for a pair code.
pub(super) fn pair_code() -> LinkEvent {
    pair_code_of(CodeRequest(1))
}

pub(super) fn pair_code_of(request: CodeRequest) -> LinkEvent {
    LinkEvent::PairCode {
        request,
        code: Redacted::from(CODE),
        valid_for: Duration::from_mins(3),
    }
}

pub(super) fn refused(rate_limited: bool) -> LinkEvent {
    refused_of(CodeRequest(1), rate_limited)
}

pub(super) fn refused_of(request: CodeRequest, rate_limited: bool) -> LinkEvent {
    let refusal = PairCodeRefused {
        rate_limited,
        retry_after: rate_limited.then_some(Duration::from_mins(1)),
        error: "no".to_owned(),
    };
    LinkEvent::PairCodeRefused(request, refusal)
}

pub(super) fn ended(verdict: Verdict) -> Input {
    Input::Link(LinkEvent::Ended(Ending {
        verdict,
        error: "it ended".to_owned(),
        text: Some("said WhatsApp".to_owned()),
        appeal_token: Some(Redacted::from("appeal-secret")),
    }))
}
