//! The few things a session remembers, told a second time and as simply as possible.

use proptest::prelude::*;

use super::super::{Course, Effect, Input, Machine};
use super::walk::{Taken, many, walks};
use crate::protocol::{Account, Cause, EventKind, Phase, PhoneNumber};
use crate::session::Standing;
use crate::store::Desired;
use crate::whatsapp::LinkEvent;

proptest! {
    #![proptest_config(many())]

    #[test]
    fn the_account_and_what_is_desired(walk in walks()) {
        let mut model = Model::from_machine(&walk.begin().0);
        walk.go(|step| {
            let other = model.take(step);
            prop_assert_eq!(&model, &Model::from_machine(step.after));
            let told = step.effects.iter().any(|effect| {
                matches!(effect, Effect::Publish(EventKind::AccountChanged, _))
            });
            prop_assert_eq!(told, other, "another account");
            if other {
                prop_assert!(step.after.record.targets.is_empty());
            }
            Ok(())
        })?;
    }

    /// Target groups change only when they are on the disk, or when another account comes.
    #[test]
    fn target_groups_change_on_the_disk_first(walk in walks()) {
        walk.go(|step| {
            let (before, after) = (&step.before.record, &step.after.record);
            let read = matches!(step.input, Input::Looked(_));
            let cleared = after.targets.is_empty() && before.account != after.account;
            if before.targets != after.targets && !read && !cleared {
                prop_assert_eq!(&step.disk.targets, &after.targets);
                prop_assert_eq!(step.input, &Input::Saved(Ok(())));
            }
            Ok(())
        })?;
    }
}

#[derive(Debug, PartialEq)]
struct Model {
    account: Option<Account>,
    desired: Desired,
}

impl Model {
    fn from_machine(machine: &Machine) -> Self {
        Self {
            account: machine.record.account.clone(),
            desired: machine.record.desired,
        }
    }

    /// Takes a step; says whether another account came.
    fn take(&mut self, step: &Taken<'_>) -> bool {
        let before = step.before;
        if before.intent().is_some() || before.course == Course::Ended {
            return false;
        }
        match step.input {
            Input::Connect(_, options) if before.contradicts(options).is_some() => {}
            Input::Connect(..) if before.phase != Phase::StoreCorrupt && !before.unread => {
                self.desired = Desired::Up;
            }
            Input::Disconnect { .. } => {
                let kept = before.paired && !before.unread && before.phase != Phase::StoreCorrupt;
                if kept {
                    self.desired = Desired::Down;
                }
            }
            Input::Due if step.after.reason == Some(Cause::Idle) => self.desired = Desired::Down,
            Input::Looked(Standing::Session { record, paired })
                if before.looking && !before.is_stopping() =>
            {
                self.account.clone_from(&record.account);
                let phone = record
                    .account
                    .as_ref()
                    .filter(|_| *paired)
                    .map(|a| &a.phone);
                let is_other = |expected: &PhoneNumber| {
                    phone.is_some_and(|phone| *phone != expected.to_string())
                };
                // Whoever expects another account is refused, and nothing is changed.
                let mut look = before.waiting.look.iter();
                let asked = look.any(|(_, options)| {
                    // Nor does anything change for whoever asks for another proxy.
                    let same_proxy = options.proxy.is_none() || options.proxy == record.proxy;
                    same_proxy && !options.expect.as_ref().is_some_and(is_other)
                });
                self.desired = if asked { Desired::Up } else { record.desired };
            }
            Input::Link(event) if before.has_link() => {
                let wrong = step.after.reason == Some(Cause::WrongAccount);
                return self.hear(event) && !wrong;
            }
            _ => {}
        }
        false
    }

    fn hear(&mut self, event: &LinkEvent) -> bool {
        match event {
            LinkEvent::Paired(account) => {
                let before = self.account.replace(account.clone());
                return before.is_some_and(|before| before.phone != account.phone);
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
