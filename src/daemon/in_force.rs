//! The configuration in force.

use super::access::Policy;
use super::config::Config;
use crate::service::config::Origins;

/// The configuration in force, and what follows from it. A reload replaces it as a whole.
#[derive(Debug)]
pub struct InForce {
    /// The configuration.
    pub config: Config,
    /// Where its values come from.
    pub origins: Origins,
    /// Who may do what.
    pub policy: Policy,
}
