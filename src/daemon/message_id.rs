//! The journal's ids for what an administrator may want to look up or react to. Each belongs to an
//! entry of the journal's catalog; an id is never used for anything else, and never changes.

/// The configuration could not be read again, and the old one stays.
pub const NOT_RELOADED: &str = "971b2ed5dc1543399752e497fdc15f1d";

/// A connection or a request was refused: over a limit, of nobody known, or by somebody who may not.
pub const REFUSED: &str = "25a1b2cadf4a4b52952746cbe39ebde4";
