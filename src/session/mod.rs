//! One session: the task that runs it, the pure state machine that decides, the logout.
//!
//! The machine ([`Machine`]) is a function of a state and an input; it knows no clock and does no
//! I/O. The task ([`run`]) feeds it commands, link events, deadlines and results, and performs the
//! effects it asks for, one after the other. So at any moment one thing happens to a session, and
//! what follows from it can be read, and tested, as a table.
//!
//! How the task ended is its return value ([`Outcome`]); nobody has to remember to set a flag.

mod advice;
mod backoff;
mod clock;
mod command;
mod logout;
mod machine;
mod narration;
mod pairing;
mod projection;
mod settings;
mod standing;
mod targets;
mod task;

pub use clock::Clock;
pub use command::{LogoutReply, SessionCommand, Stopped};
pub use logout::{answer, report};
pub use machine::{Effect, Input, Machine, Moment, Origin};
pub use settings::{OnConflict, Settings};
pub use standing::{Standing, look};
pub use task::{Ended, Outcome, Report, SessionContext, run};
