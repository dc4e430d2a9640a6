//! The state machine: every cell of its table, and what must hold on every way through it.

mod deadlines;
mod input;
mod linked;
mod links;
mod model;
mod purges;
mod restarts;
mod scene;
mod statuses;
mod table;
mod turns;
mod unlinked;
mod walk;
