//! One session: the task that runs it, the pure state machine that decides, the logout.
//!
//! The machine ([`Machine`]) is a function of a state and an input. It knows no clock and does no
//! I/O. The task ([`run`]) gives the machine its inputs: commands, link events, timers, and the results
//! of effects. It performs the machine's effects beside its own loop, so it always answers. Inputs come
//! one after the other, so what a session does can be read, and tested, as a table.
//!
//! The task's return value ([`Outcome`]) says how it ended; nobody has to remember to set a flag.

mod advice;
mod backoff;
mod clock;
mod command;
mod devices;
mod gate;
mod logout;
mod machine;
mod narration;
mod pairing;
mod passkey;
mod projection;
mod proxy;
mod settings;
mod standing;
mod targets;
mod task;

pub use clock::{Clock, Due, Monotonic};
pub use command::{Disconnected, LogoutReply, PasskeyReply, SessionCommand};
pub use devices::Devices;
pub use gate::{Gate, Turn};
pub use logout::{answer, report};
pub use machine::{
    Answer, Effect, Exit, Input, LOGIN_MAY_BE_OPEN, Machine, Moment, Origin, Request, Unlinked,
};
pub use pairing::{PairOptions, Past};
pub use passkey::PasskeyInput;
pub use proxy::{ProxyChange, log_proxy, parse_proxy};
pub use settings::{OnConflict, OnLocked, Settings};
pub(crate) use standing::look_further;
pub use standing::{Standing, look};
pub use targets::Change;
pub use task::{FirstLink, Outcome, Report, SessionContext, SessionEnd, run};
