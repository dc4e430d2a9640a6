//! Every verb is legal in every state, and answers within its deadline.
//!
//! The table is `verbs/table.rs`. Each of its cells is played here, by a user who was really brought
//! there, on a real daemon:
//!
//! `cargo test --features simulator --test rehearsal verbs -- --nocapture` prints it.

mod place;
mod table;
mod verb;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use wasessiond::protocol::{Command, Phase, Request};

use self::place::{Place, There, clear_the_way, each};
use self::table::column;
use self::verb::Verb;
use crate::conformance::person::Person;
use crate::stage::Stage;

/// How many daemons run at a time.
const DAEMONS: usize = 4;

/// A cell, and what the table says.
type Cell = (Verb, &'static str);

/// What was played, and how long the answer took.
struct Played {
    cell: Cell,
    took: Duration,
    /// What was not as the table says.
    wrong: Option<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_in_every_state() {
    for &phase in Phase::ALL {
        let mut places = Place::ALL.iter();
        assert!(places.any(|place| place.phase() == Some(phase)), "{phase}");
    }
    let few = Arc::new(Semaphore::new(DAEMONS));
    let mut running = Vec::new();
    for &place in Place::ALL {
        let few = Arc::clone(&few);
        running.push((
            place,
            tokio::spawn(async move {
                let _turn = few.acquire().await.expect("it is open");
                play(place).await
            }),
        ));
    }
    let (mut cells, mut wrong) = (0, Vec::new());
    for (place, played) in running {
        let played = played
            .await
            .unwrap_or_else(|e| panic!("{}: {e}", place.name()));
        print(place, &played);
        cells += played.len();
        let bad = played.iter().filter_map(|p| p.wrong.as_ref());
        wrong.extend(bad.map(|why| format!("{}: {why}", place.name())));
    }
    assert!(
        wrong.is_empty(),
        "not as the table says:\n{}",
        wrong.join("\n")
    );
    assert_eq!(
        cells,
        Place::ALL.len() * column(Place::Nobody).into_cells().len()
    );
}

/// Plays a column: what changes nothing, one after the other with one user; what does, each with a
/// user of its own, all at the same time.
async fn play(place: Place) -> Vec<Played> {
    let mut stage = Stage::with("[logout]\nunlink_timeout = \"2s\"\n").await;
    let cells = column(place).into_cells();
    let (moving, still): (Vec<_>, Vec<_>) = cells
        .into_iter()
        .partition(|(_, told)| told.contains(" -> "));
    let runs = moving.into_iter().map(|cell| vec![cell]);
    let runs: Vec<Vec<Cell>> = std::iter::once(still).chain(runs).collect();

    let people = place.bring(&mut stage, runs.len()).await;
    let pairs: Vec<_> = people.into_iter().zip(runs).collect();
    let done = each(pairs, move |(there, cells)| run(place, there, cells)).await;
    let (people, played): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    if place == Place::PurgeFailed {
        clear_the_way(&stage, people).await;
    }
    played.into_iter().flatten().collect()
}

async fn run(place: Place, mut there: There, cells: Vec<Cell>) -> (There, Vec<Played>) {
    let mut played = Vec::new();
    for cell in cells {
        let begin = Instant::now();
        let (answer, ()) = tokio::join!(cell.0.ask(&there.person), there.meanwhile(cell.0));
        let took = begin.elapsed();
        let wrong = check(place, &mut there.person, cell, &answer, took).await;
        played.push(Played {
            cell,
            took,
            wrong: wrong.err(),
        });
    }
    if let Some(leaving) = there.leaving.take() {
        // Whoever began the logout has the answer that everybody else was given.
        leaving.await.expect("the other client's logout");
    }
    (there, played)
}

/// What was answered, when, and where the session is then.
async fn check(
    place: Place,
    person: &mut Person,
    (verb, told): Cell,
    answer: &str,
    took: Duration,
) -> Result<(), String> {
    let (expected, leads_to) = match told.split_once(" -> ") {
        Some((expected, leads_to)) => (expected, Some(leads_to)),
        None => (told, None),
    };
    let name = verb.name();
    if answer != expected {
        return Err(format!("{name}: {answer:?} instead of {expected:?}"));
    }
    if took > verb.deadline() {
        return Err(format!("{name}: it took {took:?}"));
    }
    let Some(leads_to) = leads_to else {
        let now = person.now().await;
        let stays = now == place.phase();
        return stays
            .then_some(())
            .ok_or(format!("{name}: it is {now:?} then"));
    };
    // Who was linked and begins anew may be shown a QR code.
    if leads_to.starts_with("awaiting") {
        person.device.clear();
    }
    let phase = Phase::ALL
        .iter()
        .copied()
        .find(|phase| phase.as_str() == leads_to);
    assert!(phase.is_some() || leads_to == "no session", "{leads_to}?");
    person.until(phase).await;
    if phase.is_none() {
        let history = person.client.history(Some(&person.user), None).await;
        let ended = history.expect("history")[0].clone();
        person.is_gone(ended.cause, ended.unlink).await;
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "it is a report")]
fn print(place: Place, played: &[Played]) {
    println!("\n{}", place.name());
    for Played { cell, took, wrong } in played {
        let (verb, told) = cell;
        let verdict = if wrong.is_some() { "WRONG" } else { "ok" };
        println!(
            "  {:<16} {told:<58} {verdict:<5} {:>6} ms",
            verb.name(),
            took.as_millis()
        );
    }
}

/// No command is without its rows, and no row without its command. The golden requests have every
/// command that there is.
#[test]
fn every_command_has_its_rows() {
    let golden = include_str!("../golden/requests.txt");
    let commands: Vec<Command> = golden
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str::<Request>(line).expect(line).command)
        .collect();
    let asked_for: Vec<Verb> = commands.iter().flat_map(verb::of).copied().collect();
    let cells = column(Place::Nobody).into_cells();
    let table: Vec<Verb> = cells.into_iter().map(|(verb, _)| verb).collect();
    for verb in &asked_for {
        let rows = table.iter().filter(|row| *row == verb).count();
        assert_eq!(rows, 1, "{verb:?}");
    }
    for row in &table {
        assert!(asked_for.contains(row), "no command asks for {row:?}");
    }
}
