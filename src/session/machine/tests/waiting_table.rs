//! x
use super::table::Column;
pub(super) const UNLINKED: &[Column] = &[];
