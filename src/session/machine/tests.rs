//! The state machine: every cell of its table, and what must hold on every way through it.

mod account;
mod cases;
mod deadlines;
mod endings;
mod going;
mod input;
mod linked;
mod linking;
mod links;
mod logouts;
mod looks;
mod model;
mod network;
mod pairings;
mod passkeys;
mod removals;
mod requests;
mod restarts;
mod scene;
mod statuses;
mod table;
mod unlinked;
mod walk;
