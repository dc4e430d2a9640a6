//! Names of fields.

/// The field that names the user.
pub(super) const USER: &str = "wasession_user";

/// The field with the journal's id.
pub(super) const MESSAGE_ID: &str = "message_id";
