//! The end of a session that was asked for.

use crate::protocol::LogoutReport;

use super::fields::Fields;
use super::history::removed;
use super::status::account;
use super::{cause, plain};

/// The result of a logout: how the unlink went, what was removed, and what to do now.
pub(crate) fn report(report: &LogoutReport) -> String {
    let entry = &report.entry;
    let mut fields = Fields::default();
    fields.add_some("account", entry.account.as_ref().map(account));
    let words = cause::unlink_in_words(entry.unlink);
    fields.add("unlink", format!("{} ({words})", entry.unlink));
    fields.add("removed", removed(entry.removed));
    fields.add("next", plain(&report.next_action));
    format!("{}: nothing of the session is left\n{fields}", entry.user)
}
