//! Look-ups in the history.

use super::caller::Caller;
use crate::protocol::{HistoryEntry, UserId};
use crate::store::Entries;

/// How the user's last session ended, with the id of its line: of those that the caller may see, where
/// one is named.
pub(super) fn last_of(
    entries: &Entries<'_>,
    user: &UserId,
    caller: Option<Caller>,
) -> Option<(String, HistoryEntry)> {
    let sees = |owner| caller.is_none_or(|caller| caller.may_see(owner));
    let last = entries.last_of(user, sees);
    last.map(|(id, entry)| (id.to_owned(), entry.clone()))
}
