//! Kinds of values: how each is read from a file, and how it is written.

use std::marker::PhantomData;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::duration;

/// A value with its place in the file.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// Takes what is wrong with a value, and where.
pub(crate) type Wrong<'w> = &'w mut dyn FnMut(&Range<usize>, String);

/// A kind of value.
pub(crate) trait Kind<T> {
    /// Reads a value. `None`: the value is wrong, and `wrong` got the reason.
    fn read(&self, value: &Value<'_>, wrong: Wrong<'_>) -> Option<T>;

    /// Writes a value as TOML; `None`: it is not set.
    fn write(&self, value: &T) -> Option<String>;
}

/// A kind that is read and written by a function each.
struct Single<T, R, W> {
    read: R,
    write: W,
    of: PhantomData<fn() -> T>,
}

impl<T, R, W> Kind<T> for Single<T, R, W>
where
    R: Fn(&DeValue<'_>) -> Result<T, String>,
    W: Fn(&T) -> String,
{
    fn read(&self, value: &Value<'_>, wrong: Wrong<'_>) -> Option<T> {
        (self.read)(value.get_ref())
            .map_err(|why| wrong(&value.span(), why))
            .ok()
    }

    fn write(&self, value: &T) -> Option<String> {
        Some((self.write)(value))
    }
}

/// A kind that is read and written by these functions.
pub(crate) fn single<T>(
    read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    write: impl Fn(&T) -> String,
) -> impl Kind<T> {
    Single {
        read,
        write,
        of: PhantomData,
    }
}

/// A list of values that are read and written by a function each.
struct List<T, R, W>(Single<T, R, W>);

impl<T, R, W> Kind<Vec<T>> for List<T, R, W>
where
    R: Fn(&DeValue<'_>) -> Result<T, String>,
    W: Fn(&T) -> String,
{
    /// Each element is read for itself, so that every wrong one is reported.
    fn read(&self, value: &Value<'_>, wrong: Wrong<'_>) -> Option<Vec<T>> {
        let DeValue::Array(elements) = value.get_ref() else {
            wrong(&value.span(), wrong_type("a list", value.get_ref()));
            return None;
        };
        let read = elements
            .iter()
            .filter_map(|element| self.0.read(element, wrong));
        Some(read.collect())
    }

    fn write(&self, values: &Vec<T>) -> Option<String> {
        let written: Vec<_> = values.iter().map(|value| (self.0.write)(value)).collect();
        Some(format!("[{}]", written.join(", ")))
    }
}

/// A list whose elements are read and written by these functions.
pub(crate) fn list<T>(
    read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    write: impl Fn(&T) -> String,
) -> impl Kind<Vec<T>> {
    List(Single {
        read,
        write,
        of: PhantomData,
    })
}

struct Optional<K>(K);

impl<T, K: Kind<T>> Kind<Option<T>> for Optional<K> {
    fn read(&self, value: &Value<'_>, wrong: Wrong<'_>) -> Option<Option<T>> {
        self.0.read(value, wrong).map(Some)
    }

    fn write(&self, value: &Option<T>) -> Option<String> {
        self.0.write(value.as_ref()?)
    }
}

/// A value that need not be set.
pub(crate) fn optional<T>(kind: impl Kind<T>) -> impl Kind<Option<T>> {
    Optional(kind)
}

/// A text in one line that is not empty.
pub(crate) fn text() -> impl Kind<String> {
    single(string, |text: &String| quoted(text))
}

/// A whole number in a range.
pub(crate) fn number(range: RangeInclusive<usize>) -> impl Kind<usize> {
    let read = move |value: &DeValue<'_>| {
        let number = value
            .as_integer()
            .ok_or_else(|| wrong_type("a whole number", value))?;
        usize::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| format!("this must be between {} and {}", range.start(), range.end()))
    };
    single(read, ToString::to_string)
}

/// An absolute path.
pub(crate) fn path() -> impl Kind<PathBuf> {
    let read = |value: &DeValue<'_>| {
        let path = PathBuf::from(string(value)?);
        if path.is_absolute() {
            Ok(path)
        } else {
            // A daemon's working directory is nobody's business.
            Err(format!(
                "{} is not absolute: begin it with \"/\"",
                path.display()
            ))
        }
    };
    single(read, |path: &PathBuf| quoted(&path.display().to_string()))
}

/// The permissions of a socket.
pub(crate) fn mode() -> impl Kind<u32> {
    let read = |value: &DeValue<'_>| {
        if value.is_integer() {
            return Err("write the mode as a string of octal digits, like \"0660\"".to_owned());
        }
        let text = string(value)?;
        let octal = text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let mode = u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| octal && *mode <= 0o777);
        match mode {
            None => Err(format!(
                "{text:?} is not a mode: write octal digits, like \"0660\""
            )),
            Some(mode) if mode & 0o600 != 0o600 => Err(format!(
                "{text:?} keeps the socket's owner out: the mode must include 0600"
            )),
            Some(mode) => Ok(mode),
        }
    };
    single(read, |mode: &u32| quoted(&format!("{mode:04o}")))
}

/// A duration that is longer than zero.
pub(crate) fn length() -> impl Kind<Duration> {
    single(read_length, |length: &Duration| {
        quoted(&duration::render(*length))
    })
}

/// A duration, or `"never"`, which is `None`.
pub(crate) fn length_or_never() -> impl Kind<Option<Duration>> {
    let read = |value: &DeValue<'_>| {
        if value.as_str() == Some("never") {
            return Ok(None);
        }
        read_length(value)
            .map(Some)
            .map_err(|why| format!("{why}; or \"never\""))
    };
    single(read, |length: &Option<Duration>| {
        quoted(&length.map_or_else(|| "never".to_owned(), duration::render))
    })
}

fn read_length(value: &DeValue<'_>) -> Result<Duration, String> {
    if value.is_integer() || value.is_float() {
        return Err(
            "a duration needs a unit: write it as a string, like \"5s\" or \"10m\"".to_owned(),
        );
    }
    duration::parse(&string(value)?)
}

/// Reads a text in one line that is not empty.
pub(crate) fn string(value: &DeValue<'_>) -> Result<String, String> {
    let text = value
        .as_str()
        .ok_or_else(|| wrong_type("a string", value))?;
    if text.is_empty() {
        return Err("this must not be empty; leave the key out for its default".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("this must not hold control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Writes a TOML basic string. Control characters were refused when the file was read.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The words about a value of the wrong type.
fn wrong_type(wanted: &str, value: &DeValue<'_>) -> String {
    let article = match value.type_str() {
        "integer" | "array" => "an",
        _ => "a",
    };
    format!("this must be {wanted}, not {article} {}", value.type_str())
}
