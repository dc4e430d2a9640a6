//! What watchers are told, against what is so.

mod watching;
