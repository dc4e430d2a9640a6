//! Who gets a command: the tasks of all sessions, by user.
//!
//! A command goes from the client's own task straight to the session's. Only where there is no session
//! and one is to begin, the registry is asked. The registry is the only one that changes the table.

mod ask;
mod order;
mod table;
#[cfg(test)]
mod tests;

pub(super) use order::{Begin, Order};
pub(super) use table::{COMMANDS, Handed, Route, Routes, TaskEnd, not_found, stopping};
