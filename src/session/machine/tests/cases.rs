//! x
use super::table::Column;
pub(super) const LINKED: &[Column] = &[];
