//! One session: the task that runs it, the pure state machine that decides, the logout.
//!
//! The machine ([`Machine`]) is a function of a state and an input; it knows no clock and does no
//! I/O. The task ([`run`]) feeds it commands, link events, what is due and what came of effects, and
//! performs the effects it asks for beside its own loop: it always answers. So at any moment one thing
//! happens to a session, and what follows from it can be read, and tested, as a table.
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

pub use clock::{Clock, Due, Monotonic};
pub use command::{LogoutReply, SessionCommand, Stopped};
pub use logout::{answer, report};
pub use machine::{Answer, Effect, Exit, Input, Machine, Moment, Origin, Request, Unlinked};
pub use settings::{OnConflict, Settings};
pub use standing::{Standing, look};
pub use targets::Change;
pub use task::{Ended, Outcome, Report, SessionContext, run};
