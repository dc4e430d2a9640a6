//! Names of fields.

/// The field with the journal's id.
pub(super) const MESSAGE_ID: &str = "message_id";
