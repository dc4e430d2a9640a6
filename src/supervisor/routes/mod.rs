//! The routes: which task gets a command.
//!
//! A command goes from the client's task straight to the session's task. The registry is asked only where
//! there is no session and one is to begin. Only the registry changes the table.

mod ask;
mod order;
mod table;
#[cfg(test)]
mod tests;

pub(super) use order::{Begin, Order};
pub(super) use table::{AfterTask, COMMANDS, Handed, Route, Routes, not_found, stopping};
