//! One user's trouble stays that user's: a hundred are online on one daemon, one of them is in trouble,
//! and the other 99 do not miss a beat.

#![allow(clippy::print_stdout, reason = "the figures are half of the proof")]

mod crowd;
mod pulse;
mod running;
mod start;
