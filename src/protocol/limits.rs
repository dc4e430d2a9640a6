//! How much of anything there may be, so that whatever is said fits into a frame.

#[cfg(any(feature = "daemon", test))]
use super::{Account, HistoryEntry, Redacted, Restriction, Status};

/// The largest frame either side may send, in bytes, without its length prefix: 1 MiB.
pub const MAX_FRAME: usize = 1024 * 1024;

/// A status or an ended session has at most this many bytes, in either encoding: the sum of what
/// follows below.
pub const MAX_ITEM: usize = 240 * 1024;

/// A page of sessions or of the history has at most this many bytes as JSON, which is the longer of the
/// two encodings: 256 KiB.
pub const MAX_PAGE: usize = 256 * 1024;

/// The list of an account's groups has at most this many bytes as JSON.
pub const MAX_GROUPS: usize = MAX_FRAME - 4 * 1024;

/// The most target groups a user may choose.
pub const MAX_TARGETS: usize = 1000;

/// The most users a watch may name.
pub const MAX_WATCHED: usize = 1000;

/// How many ended sessions `history` tells when nobody says how many.
pub const DEFAULT_HISTORY: u32 = 100;

/// The most ended sessions on one page of `history`.
pub const MAX_HISTORY: u32 = 1000;

/// What a status or an ended session says in words is cut after this many bytes: errors, what WhatsApp
/// said, the advice.
pub const MAX_TEXT: usize = 2048;

/// Names, phone numbers, JIDs of accounts and subjects of groups are cut after this many bytes.
/// WhatsApp's own limits are lower.
pub const MAX_NAME: usize = 512;

/// The most restrictions of a status or an ended session, and the most warnings of a status.
pub const MAX_NOTES: usize = 8;

/// Codes and tokens are cut after this many bytes. No QR code can hold that much.
pub const MAX_SECRET: usize = 4096;

/// The challenge of a passkey, and the answer to it, have at most this many bytes: 64 KiB.
pub const MAX_PASSKEY: usize = 64 * 1024;

/// The message of a [`Failure`](super::Failure) is cut after this many bytes.
pub const MAX_MESSAGE: usize = 8192;

/// Cuts a text after so many bytes, at a character; an ellipsis, within them, shows that it was cut.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() > most {
        let mut end = most.saturating_sub(ELLIPSIS.len_utf8());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push(ELLIPSIS);
    }
    text
}

#[cfg(any(feature = "daemon", test))]
fn cut_secret(secret: Redacted) -> Redacted {
    if secret.reveal().len() > MAX_SECRET {
        cut(secret.reveal().to_owned(), MAX_SECRET).into()
    } else {
        secret
    }
}

#[cfg(any(feature = "daemon", test))]
impl Account {
    fn bounded(self) -> Self {
        Self {
            jid: cut(self.jid, MAX_NAME),
            phone: cut(self.phone, MAX_NAME),
            name: self.name.map(|name| cut(name, MAX_NAME)),
        }
    }
}

#[cfg(any(feature = "daemon", test))]
fn bounded(mut restrictions: Vec<Restriction>) -> Vec<Restriction> {
    restrictions.truncate(MAX_NOTES);
    for restriction in &mut restrictions {
        restriction.detail = restriction
            .detail
            .take()
            .map(|detail| cut(detail, MAX_NAME));
    }
    restrictions
}

#[cfg(any(feature = "daemon", test))]
impl Status {
    /// The same with nothing in it that is longer than the protocol allows.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        self.next_action = cut(self.next_action, MAX_TEXT);
        self.error = self.error.map(|error| cut(error, MAX_TEXT));
        self.account = self.account.map(Account::bounded);
        if let Some(qr) = &mut self.qr {
            qr.code = qr.code.take().map(cut_secret);
        }
        if let Some(pair_code) = &mut self.pair_code {
            pair_code.code = pair_code.code.take().map(cut_secret);
            pair_code.phone = cut(std::mem::take(&mut pair_code.phone), MAX_NAME);
        }
        if let Some(passkey) = &mut self.passkey {
            passkey.code = passkey.code.take().map(cut_secret);
        }
        if let Some(proxy) = &mut self.proxy {
            proxy.url = proxy.url.take().map(|url| cut(url, MAX_NAME));
            proxy.error = proxy.error.take().map(|error| cut(error, MAX_NAME));
        }
        self.expect = self.expect.map(|phone| cut(phone, MAX_NAME));
        self.targets.truncate(MAX_TARGETS);
        self.appeal_token = self.appeal_token.map(cut_secret);
        self.restrictions = bounded(self.restrictions);
        self.warnings.truncate(MAX_NOTES);
        for warning in &mut self.warnings {
            warning.text = cut(std::mem::take(&mut warning.text), MAX_NAME);
        }
        self
    }
}

#[cfg(any(feature = "daemon", test))]
impl HistoryEntry {
    /// The same with nothing in it that is longer than the protocol allows.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        self.account = self.account.map(Account::bounded);
        self.text = self.text.map(|text| cut(text, MAX_TEXT));
        self.appeal_token = self.appeal_token.map(cut_secret);
        self.restrictions = bounded(self.restrictions);
        self
    }
}

#[cfg(feature = "daemon")]
impl super::Group {
    /// The same with nothing in it that is longer than the protocol allows.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        self.subject = cut(self.subject, MAX_NAME);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::codec::Encoding;
    use crate::protocol::{
        Cause, Connecting, Failure, FailureCode, PairCode, Passkey, PasskeyStep, Phase,
        ProxySource, Qr, Removed, RestrictionKind, SessionProxy, Stage, UnknownName, Unlink,
        UserId, Warning, WarningKind,
    };

    /// Nothing is longer as JSON, byte for byte, than control characters.
    fn long() -> String {
        "\u{1}".repeat(MAX_FRAME)
    }

    fn account() -> Account {
        Account {
            jid: long(),
            phone: long(),
            name: Some(long()),
        }
    }

    fn restriction() -> Restriction {
        Restriction {
            kind: RestrictionKind::Unknown(UnknownName::new(&long())),
            since: jiff::Timestamp::MAX,
            until: Some(jiff::Timestamp::MAX),
            detail: Some(long()),
        }
    }

    fn sizes<T: serde::Serialize>(value: &T) -> [usize; 2] {
        [Encoding::Json, Encoding::Bincode].map(|encoding| {
            let bytes = encoding.encode(value);
            bytes.expect("it fits into a frame").len()
        })
    }

    #[test]
    fn the_largest_status_has_a_bound() {
        let time = jiff::Timestamp::MAX;
        let warning = Warning {
            kind: WarningKind::Unknown(UnknownName::new(&long())),
            since: time,
            due: Some(time),
            text: long(),
        };
        let jid = |n| format!("{}-{n:015}@g.us", "1".repeat(24)).parse();
        let status = Status {
            user: "u".repeat(UserId::MAX_LEN).parse().expect("an id"),
            phase: Phase::AwaitingScan,
            since: time,
            next_action: long(),
            owner: u32::MAX,
            account: Some(account()),
            connecting: Some(Connecting {
                attempt: u32::MAX,
                stage: Stage::Transport,
                stage_since: time,
            }),
            qr: Some(Qr {
                code: Some(long().into()),
                number: u32::MAX,
                remaining: u32::MAX,
                expires_at: time,
            }),
            pair_code: Some(PairCode {
                code: Some(long().into()),
                phone: long(),
                expires_at: time,
            }),
            retry_at: Some(time),
            held_until: Some(time),
            reason: Some(Cause::Refused(Some(u16::MAX))),
            error: Some(long()),
            targets: (0..=MAX_TARGETS).map(|n| jid(n).expect("a JID")).collect(),
            last_activity: Some(time),
            appeal_token: Some(long().into()),
            restrictions: vec![restriction(); MAX_NOTES + 1],
            warnings: vec![warning; MAX_NOTES + 1],
            passkey: Some(Passkey {
                step: PasskeyStep::Confirmation,
                code: Some(long().into()),
                expires_at: time,
            }),
            proxy: Some(SessionProxy {
                source: ProxySource::Session,
                url: Some(long()),
                authenticated: true,
                error: Some(long()),
            }),
            expect: Some(long()),
        };
        let [json, bincode] = sizes(&status.bounded());
        assert!(bincode < json && json <= MAX_ITEM, "{json} {bincode}");
    }

    #[test]
    fn the_largest_ended_session_has_a_bound() {
        let entry = HistoryEntry {
            at: jiff::Timestamp::MAX,
            user: "u".repeat(UserId::MAX_LEN).parse().expect("an id"),
            cause: Cause::Refused(Some(u16::MAX)),
            account: Some(account()),
            owner: u32::MAX,
            requested_by: Some(u32::MAX),
            unlink: Unlink::Unreachable,
            removed: Removed {
                files: u64::MAX,
                bytes: u64::MAX,
                targets: u32::MAX,
            },
            text: Some(long()),
            appeal_token: Some(long().into()),
            restrictions: vec![restriction(); MAX_NOTES + 1],
            linked_at: Some(jiff::Timestamp::MAX),
        };
        let [json, bincode] = sizes(&entry.bounded());
        assert!(bincode < json && json <= MAX_ITEM, "{json} {bincode}");
    }

    #[test]
    fn whatever_is_in_a_frame_fits() {
        // A page is full before its last item, or is one item; an event has a status or an entry.
        const { assert!(MAX_PAGE + MAX_ITEM < MAX_FRAME) };
        let failure = Failure::new(FailureCode::Internal, long());
        let [json, bincode] = sizes(&failure);
        assert!(json < 7 * MAX_MESSAGE && bincode < json, "{json} {bincode}");
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        for (text, most, left) in [
            ("short", 5, "short"),
            ("longer", 5, "lo…"),
            ("äöüäö", 7, "äö…"),
            ("äöüäö", 8, "äö…"),
            ("äöüäö", 9, "äöü…"),
            ("äöüäö", 10, "äöüäö"),
        ] {
            let short = cut(text.to_owned(), most);
            assert_eq!(short, left);
            assert!(short.len() <= most);
        }
    }
}
