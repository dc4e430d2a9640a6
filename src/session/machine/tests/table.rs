//! Every phase and every input: what comes of it.
//!
//! A cell says the phase it leads to with its reason, then what the task must do, in order. `noted`:
//! nobody is told, but something is remembered. An input that has no line in a column does nothing there:
//! the state is what it was.

use std::fmt::Write as _;

use super::super::{Answer, Effect, Exit, Machine};
use super::going::GOING;
use super::input::Row;
use super::linked::LINKED;
use super::scene::Scene;
use super::unlinked::UNLINKED;
use crate::protocol::Phase;
use crate::store::Desired;

/// What a scene's column of the table says, a line for each input that does something.
pub(super) type Column = (Scene, &'static str);

#[test]
fn every_phase_and_every_input() {
    let mut wrong = String::new();
    for scene in Phase::ALL.iter().flat_map(|phase| Scene::of(*phase)) {
        let played = column(*scene);
        let columns = LINKED.iter().chain(UNLINKED).chain(GOING);
        let told: Vec<_> = columns.filter(|(of, _)| of == scene).collect();
        assert!(told.len() <= 1, "{scene:?} stands twice in the table");
        let told = told.first().map_or("", |(_, told)| told.trim());
        let told: Vec<_> = told.lines().map(str::trim).collect();
        let played: Vec<_> = played.lines().collect();
        if told != played {
            let _ = writeln!(wrong, "{scene:?} is");
            for line in &played {
                let sign = if told.contains(line) { ' ' } else { '+' };
                let _ = writeln!(wrong, "{sign}   {line}");
            }
        }
    }
    assert!(wrong.is_empty(), "the table says otherwise:\n{wrong}");
}

fn column(scene: Scene) -> String {
    let mut lines = String::new();
    for &row in Row::ALL {
        let mut staged = scene.stage();
        staged.settings = row.settings();
        match row {
            Row::Due => staged.pass_until_due(),
            // What waits shortest waits for less than a second.
            Row::DueEarly => {}
            _ => staged.pass(1),
        }
        let before = staged.machine.clone();
        let effects = staged.step_now(row.input());
        if let Some(cell) = cell(&before, &staged.machine, &effects) {
            let _ = writeln!(lines, "{:<24}| {cell}", row.name());
        }
    }
    lines
}

/// What comes of it; `None`: nothing.
fn cell(before: &Machine, after: &Machine, effects: &[Effect]) -> Option<String> {
    if before == after && effects.is_empty() {
        return None;
    }
    let mut words = Vec::new();
    if before.phase != after.phase {
        words.push(match after.reason {
            Some(reason) => format!("{} ({reason}):", after.phase),
            None => format!("{}:", after.phase),
        });
    }
    if before.record.desired != after.record.desired {
        words.push(match after.record.desired {
            Desired::Up => "desired up,".to_owned(),
            Desired::Down => "desired down,".to_owned(),
        });
    }
    words.push(if effects.is_empty() {
        "noted".to_owned()
    } else {
        effects.iter().map(word).collect::<Vec<_>>().join(", ")
    });
    Some(words.join(" "))
}

fn word(effect: &Effect) -> String {
    let word = match effect {
        Effect::OpenLink(_) => "open",
        Effect::CloseLink { goodbye: true, .. } => "close",
        Effect::CloseLink { goodbye: false, .. } => "cut",
        Effect::AskPairCode(_, phone) => return format!("ask a code for {phone}"),
        Effect::ShowUp => "show up",
        Effect::AnswerPasskey(..) => "answer the passkey",
        Effect::ConfirmPasskey(_) => "confirm the passkey",
        Effect::AskGroups(_) => "ask for groups",
        Effect::Save(_) => "save",
        Effect::Look => "look",
        Effect::Unlink { paired: true, .. } => "unlink",
        Effect::Unlink { paired: false, .. } => "unlink if just paired",
        Effect::Remove(_) => "remove",
        Effect::Publish(kind, _) => return format!("tell {kind}"),
        Effect::Answer(_, Answer::Status(_)) => "answer status",
        Effect::Answer(_, Answer::Groups(_)) => "answer groups",
        Effect::Answer(_, Answer::Targets(_)) => "answer targets",
        Effect::Answer(_, Answer::Passkey(_)) => "answer challenge",
        Effect::Answer(_, Answer::Proxy(_)) => "answer proxy",
        Effect::Answer(_, Answer::Refused(failure)) => return format!("refuse: {}", failure.code),
        Effect::End(Exit::LoggedOut(_)) => "end, logged out",
        Effect::End(Exit::Stopped) => "end, stopped",
        Effect::End(Exit::NothingOnDisk) => "end, nothing on disk",
    };
    word.to_owned()
}
