//! The few things a session remembers, told a second time and as simply as possible.

use proptest::prelude::*;

use super::super::{Input, Machine};
use super::walk::{Taken, many, walks};
use crate::protocol::{Account, Cause, EventKind, GroupJid, Phase};
use crate::store::Desired;
use crate::whatsapp::LinkEvent;

proptest! {
    #![proptest_config(many())]

    #[test]
    fn account_targets_and_what_is_wanted(walk in walks()) {
        let mut model = Model::of(&walk.begin().0);
        walk.go(|step| {
            let other = model.take(step);
            prop_assert_eq!(&model, &Model::of(step.after));
            let told = step.has(&super::super::Effect::Publish(EventKind::AccountChanged));
            prop_assert_eq!(told, other, "another account");
            Ok(())
        })?;
    }
}

#[derive(Debug, PartialEq)]
struct Model {
    account: Option<Account>,
    targets: Vec<GroupJid>,
    desired: Desired,
}

impl Model {
    fn of(machine: &Machine) -> Self {
        Self {
            account: machine.record.account.clone(),
            targets: machine.record.targets.clone(),
            desired: machine.record.desired,
        }
    }

    /// Takes a step; says whether another account came.
    fn take(&mut self, step: &Taken<'_>) -> bool {
        use Phase::{
            AwaitingCode, AwaitingScan, Connecting, Disconnected, LoggingOut, Online, PurgeFailed,
            StoreCorrupt,
        };
        let phase = step.before.phase;
        if matches!(phase, LoggingOut | PurgeFailed) {
            return false;
        }
        let linked = matches!(phase, Connecting | AwaitingScan | AwaitingCode | Online);
        match step.input {
            Input::Connect(_) if phase != StoreCorrupt => self.desired = Desired::Up,
            Input::Disconnect { .. } if step.before.paired && phase != StoreCorrupt => {
                self.desired = Desired::Down;
            }
            Input::Due if step.after.reason == Some(Cause::Idle) && phase != Disconnected => {
                self.desired = Desired::Down;
            }
            Input::Targets(targets) if phase != StoreCorrupt => {
                self.targets.clone_from(targets);
            }
            Input::Link(event) if linked => return self.hear(event),
            _ => {}
        }
        false
    }

    fn hear(&mut self, event: &LinkEvent) -> bool {
        match event {
            LinkEvent::Paired(account) => {
                let before = self.account.replace(account.clone());
                let other = before.is_some_and(|before| before.phone != account.phone);
                if other {
                    self.targets.clear();
                }
                return other;
            }
            LinkEvent::Online(account) => self.account = Some(account.clone()),
            LinkEvent::Name(name) => {
                if let Some(account) = &mut self.account {
                    account.name = Some(name.clone());
                }
            }
            _ => {}
        }
        false
    }
}
