//! Lines that begin with the user whom they are about.
//!
//! In the journal the user is a field of its own, which `journalctl` does not show by itself.

use std::error::Error;
use std::fmt;

use tracing::Event;
use tracing::field::{DisplayValue, Field, Value, Visit, display};

const MESSAGE: &str = "message";

/// Passes on the same event with this user at the beginning of its message, if the user does not stand
/// there already.
pub(super) fn with_user(event: &Event<'_>, user: &str, pass_on: impl FnOnce(&Event<'_>)) {
    let fields = event.metadata().fields();
    let mut copied = Copied {
        user,
        values: Vec::new(),
    };
    copied.values.resize_with(fields.len(), || None);
    event.record(&mut copied);
    let values: Vec<_> = copied.values.iter().map(Option::as_deref).collect();
    let values = fields.value_set_all(&values);
    pass_on(&Event::new(event.metadata(), &values));
}

/// The values of an event, in the order of its fields.
struct Copied<'u> {
    user: &'u str,
    values: Vec<Option<Box<dyn Value>>>,
}

impl Copied<'_> {
    fn keep(&mut self, field: &Field, value: impl Value + 'static) {
        if let Some(place) = self.values.get_mut(field.index()) {
            *place = Some(Box::new(value));
        }
    }

    fn keep_text(&mut self, field: &Field, text: String) {
        let begins_with_user = || {
            let rest = text.strip_prefix(self.user);
            rest.is_some_and(|rest| rest.starts_with([':', ' ']))
        };
        let text = if field.name() == MESSAGE && !begins_with_user() {
            format!("{}: {text}", self.user)
        } else {
            text
        };
        let text: DisplayValue<String> = display(text);
        self.keep(field, text);
    }
}

impl Visit for Copied<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.keep(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep_text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.keep_text(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep_text(field, format!("{value:?}"));
    }
}
