//! Changes of the target groups. Pure.

use std::collections::BTreeSet;

use crate::protocol::{Failure, FailureCode, Group, GroupJid, MAX_TARGETS, TargetEdit};

/// A change whose JIDs are JIDs of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// No change: the target groups are only shown.
    Nothing,
    /// To exactly these. A group that is added must be one of the account's, so WhatsApp is asked.
    Set(Vec<GroupJid>),
    /// With these added. Each must be one of the account's groups, so WhatsApp is asked.
    Add(Vec<GroupJid>),
    /// Without these.
    Remove(Vec<GroupJid>),
    /// To none.
    Clear,
}

impl Change {
    /// Reads a change as it came over the socket.
    pub(super) fn parse(edit: TargetEdit) -> Result<Self, Failure> {
        Ok(match edit {
            TargetEdit::Show => Self::Nothing,
            TargetEdit::Set(jids) => Self::Set(parse(jids)?),
            TargetEdit::Add(jids) => Self::Add(parse(jids)?),
            TargetEdit::Remove(jids) => Self::Remove(parse(jids)?),
            TargetEdit::Clear => Self::Clear,
        })
    }

    /// The JIDs that must be groups of the account: those that are not targets already.
    pub(super) fn newcomers(&self, present: &[GroupJid]) -> Vec<GroupJid> {
        match self {
            Self::Set(jids) | Self::Add(jids) => jids
                .iter()
                .filter(|jid| !present.contains(jid))
                .cloned()
                .collect(),
            Self::Nothing | Self::Remove(_) | Self::Clear => Vec::new(),
        }
    }

    /// The target groups after the change, in order of their JIDs.
    pub(super) fn apply(&self, present: &[GroupJid]) -> Result<Vec<GroupJid>, Failure> {
        let mut targets: BTreeSet<GroupJid> = present.iter().cloned().collect();
        match self {
            Self::Nothing => {}
            Self::Set(jids) => targets = jids.iter().cloned().collect(),
            Self::Add(jids) => targets.extend(jids.iter().cloned()),
            Self::Remove(jids) => targets.retain(|jid| !jids.contains(jid)),
            Self::Clear => targets.clear(),
        }
        if targets.len() > MAX_TARGETS {
            let message = format!(
                "{} target groups are more than the {MAX_TARGETS} a user may choose. Nothing was changed",
                targets.len()
            );
            return Err(Failure::new(FailureCode::InvalidArgument, message));
        }
        Ok(targets.into_iter().collect())
    }
}

fn parse(jids: Vec<String>) -> Result<Vec<GroupJid>, Failure> {
    jids.into_iter()
        .map(|jid| {
            GroupJid::try_from(jid)
                .map_err(|e| Failure::new(FailureCode::InvalidArgument, e.to_string()))
        })
        .collect()
}

/// Makes sure that every newcomer is one of the account's groups.
pub(super) fn check(newcomers: &[GroupJid], groups: &[Group]) -> Result<(), Failure> {
    let stranger = newcomers
        .iter()
        .find(|jid| !groups.iter().any(|group| group.jid == **jid));
    match stranger {
        None => Ok(()),
        Some(jid) => Err(Failure::new(
            FailureCode::InvalidArgument,
            format!(
                "{jid} is not one of the account's groups; `wactl groups USER` lists them. Nothing was changed"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(n: u8) -> GroupJid {
        format!("12036300000000000{n}@g.us").parse().expect("jid")
    }

    fn change(edit: TargetEdit) -> Change {
        Change::parse(edit).expect("good")
    }

    #[test]
    fn changes() {
        let present = [jid(1), jid(2)];
        let text = |n: u8| jid(n).to_string();
        for (edit, after, newcomers) in [
            (TargetEdit::Show, vec![1, 2], vec![]),
            (
                TargetEdit::Set(vec![text(3), text(1), text(3)]),
                vec![1, 3],
                vec![3, 3],
            ),
            (
                TargetEdit::Add(vec![text(2), text(3)]),
                vec![1, 2, 3],
                vec![3],
            ),
            (TargetEdit::Remove(vec![text(1), text(9)]), vec![2], vec![]),
            (TargetEdit::Clear, vec![], vec![]),
        ] {
            let change = change(edit.clone());
            let after: Vec<_> = after.into_iter().map(jid).collect();
            let newcomers: Vec<_> = newcomers.into_iter().map(jid).collect();
            assert_eq!(change.apply(&present), Ok(after), "{edit:?}");
            assert_eq!(change.newcomers(&present), newcomers, "{edit:?}");
        }
    }

    #[test]
    fn what_is_no_group_is_refused() {
        let bad = TargetEdit::Add(vec!["15550100999@s.whatsapp.net".to_owned()]);
        let failure = Change::parse(bad).expect_err("a person");
        assert_eq!(failure.code, FailureCode::InvalidArgument);
        assert!(failure.message.contains("15550100999@s.whatsapp.net"));
        let stranger = check(&[jid(7)], &[]).expect_err("a stranger");
        assert!(stranger.message.contains(jid(7).as_str()));
    }

    #[test]
    fn there_is_a_bound() {
        let many = (0..=MAX_TARGETS)
            .map(|n| format!("1203630000000{n:05}@g.us"))
            .collect();
        let failure = change(TargetEdit::Set(many))
            .apply(&[])
            .expect_err("too many");
        assert_eq!(failure.code, FailureCode::InvalidArgument);
    }
}
