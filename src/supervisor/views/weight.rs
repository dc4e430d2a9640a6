//! Roughly how many bytes of memory a value takes.

use crate::protocol::{Account, EventKind, HistoryEntry, Redacted, Restriction, Status};

/// The bytes that the allocator needs in addition for each piece of memory.
const PIECE: usize = 16;

pub(super) fn of_status(status: &Status) -> usize {
    let proxy = status.proxy.as_ref();
    let texts = [
        Some(status.user.as_str()),
        Some(status.next_action.as_str()),
        status.error.as_deref(),
        status.expect.as_deref(),
        proxy.and_then(|proxy| proxy.url.as_deref()),
        proxy.and_then(|proxy| proxy.error.as_deref()),
    ];
    let qr = status.qr.as_ref().and_then(|qr| qr.code.as_ref());
    let pair_code = status.pair_code.as_ref();
    let code = pair_code.and_then(|pair_code| pair_code.code.as_ref());
    let passkey = status
        .passkey
        .as_ref()
        .and_then(|passkey| passkey.code.as_ref());
    let token = status.appeal_token.as_ref();
    let secrets = [qr, code, passkey, token].into_iter().flatten();
    let secrets: usize = secrets.map(|secret| piece(secret.reveal().len())).sum();
    let targets = status.targets.iter();
    let targets: usize = targets
        .map(|jid| size_of_val(jid) + piece(jid.as_str().len()))
        .sum();
    let warnings = status.warnings.iter();
    let warnings: usize = warnings
        .map(|warning| size_of_val(warning) + piece(warning.text.len()))
        .sum();
    piece(size_of::<Status>())
        + of_texts(texts)
        + secrets
        + pair_code.map_or(0, |code| piece(code.phone.len()))
        + status.account.as_ref().map_or(0, of_account)
        + targets
        + of_restrictions(&status.restrictions)
        + warnings
}

pub(super) fn of_kind(kind: &EventKind) -> usize {
    kind.ended().map_or(0, of_entry)
}

fn of_entry(entry: &HistoryEntry) -> usize {
    let token = entry.appeal_token.as_ref().map(Redacted::reveal);
    let texts = [Some(entry.user.as_str()), entry.text.as_deref(), token];
    piece(size_of::<HistoryEntry>())
        + of_texts(texts)
        + entry.account.as_ref().map_or(0, of_account)
        + of_restrictions(&entry.restrictions)
}

fn of_restrictions(restrictions: &[Restriction]) -> usize {
    let each = restrictions
        .iter()
        .map(|restriction| size_of_val(restriction) + of_texts([restriction.detail.as_deref()]));
    each.sum()
}

fn of_account(account: &Account) -> usize {
    let name = account.name.as_deref();
    of_texts([Some(&account.jid), Some(&account.phone), name])
}

fn of_texts<const N: usize>(texts: [Option<&str>; N]) -> usize {
    let texts = texts.into_iter().flatten();
    texts.map(|text| piece(text.len())).sum()
}

fn piece(bytes: usize) -> usize {
    bytes + PIECE
}
