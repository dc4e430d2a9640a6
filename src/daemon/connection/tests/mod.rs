//! Clients of every kind, against the real supervisor, with the clock of the tests.

mod access;
mod hostile;
mod large;
mod manual;
mod polite;
mod slow;
mod versions;
mod waiting;
