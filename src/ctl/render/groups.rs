//! Groups.

use crate::ctl::terminal::Terminal;
use crate::protocol::Group;

use super::plain;
use super::table::table;

/// A line for each group.
pub(crate) fn groups(terminal: &Terminal, groups: &[Group]) -> String {
    let rows = groups.iter().map(|group| {
        [
            group.jid.to_string(),
            group.size.to_string(),
            plain(&group.subject),
        ]
    });
    table(terminal, ["JID", "PEOPLE", "SUBJECT"], rows)
}
