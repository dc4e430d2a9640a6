//! The client against a daemon's end that follows a script.

mod following;
mod newer;
mod requests;
mod watching;
mod welcome;
