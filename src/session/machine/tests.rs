//! The state machine: every cell of its table, and what must hold on every way through it.

mod cases;
mod duties;
mod input;
mod ledger;
mod pairing;
mod properties;
mod scene;
mod table;
mod walk;
mod waiting_table;
