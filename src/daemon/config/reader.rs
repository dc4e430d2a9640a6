//! Walks a TOML document, key by key, and collects everything that is wrong with it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problems;

/// A value with its place in the file.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// The document, and what is wrong with it so far.
pub(super) struct Reader<'a, 't> {
    table: &'a DeTable<'t>,
    pub(super) problems: Problems<'t>,
}

impl<'a, 't> Reader<'a, 't> {
    /// Takes the document, and refuses what is not in `known`: sections, with their keys.
    pub(super) fn new(
        table: &'a DeTable<'t>,
        problems: Problems<'t>,
        known: &[(&str, &[&str])],
    ) -> Self {
        let mut reader = Self { table, problems };
        reader.refuse_unknown(known);
        reader
    }

    fn refuse_unknown(&mut self, known: &[(&str, &[&str])]) {
        for (name, value) in self.table {
            let Some((section, keys)) = known.iter().find(|(s, _)| *s == name.get_ref().as_ref())
            else {
                let what = unknown_section(name.get_ref(), known);
                self.problems.add(&name.span(), what);
                continue;
            };
            let DeValue::Table(table) = value.get_ref() else {
                let what = format!("`{section}` is a section: write [{section}] above its keys");
                self.problems.add(&name.span(), what);
                continue;
            };
            for key in table.keys() {
                if !keys.contains(&key.get_ref().as_ref()) {
                    let what = unknown_key(section, key.get_ref(), keys, known);
                    self.problems.add(&key.span(), what);
                }
            }
        }
    }

    fn value(&self, section: &str, key: &str) -> Option<&'a Value<'t>> {
        let DeValue::Table(table) = self.table.get(section)?.get_ref() else {
            return None;
        };
        table.get(key)
    }

    /// Where a key's value stands, if the file has the key.
    pub(super) fn span(&self, section: &str, key: &str) -> Option<Range<usize>> {
        self.value(section, key).map(Spanned::span)
    }

    /// Reads one key. `None` when it is not there, or wrong: then a problem is noted.
    pub(super) fn read<T>(
        &mut self,
        section: &str,
        key: &str,
        parse: impl FnOnce(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(section, key)?;
        match parse(value.get_ref()) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.problems
                    .add(&value.span(), format!("`{section}.{key}`: {why}"));
                None
            }
        }
    }

    /// Reads a list, each element for itself.
    pub(super) fn read_list<T>(
        &mut self,
        section: &str,
        key: &str,
        parse: impl Fn(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.value(section, key)?;
        let DeValue::Array(elements) = value.get_ref() else {
            let why = wrong_type("a list", value.get_ref());
            self.problems
                .add(&value.span(), format!("`{section}.{key}`: {why}"));
            return None;
        };
        let mut list = Vec::new();
        for element in elements {
            match parse(element.get_ref()) {
                Ok(parsed) => list.push(parsed),
                Err(why) => self
                    .problems
                    .add(&element.span(), format!("`{section}.{key}`: {why}")),
            }
        }
        Some(list)
    }
}

/// What a value of the wrong type is told.
fn wrong_type(wanted: &str, value: &DeValue<'_>) -> String {
    let article = match value.type_str() {
        "integer" | "array" => "an",
        _ => "a",
    };
    format!("this must be {wanted}, not {article} {}", value.type_str())
}

pub(super) fn string(value: &DeValue<'_>) -> Result<String, String> {
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

/// A whole number in a range.
pub(super) fn number(
    range: std::ops::RangeInclusive<usize>,
) -> impl FnOnce(&DeValue<'_>) -> Result<usize, String> {
    move |value| {
        let number = value
            .as_integer()
            .ok_or_else(|| wrong_type("a whole number", value))?;
        usize::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| format!("this must be between {} and {}", range.start(), range.end()))
    }
}

fn unknown_section(name: &str, known: &[(&str, &[&str])]) -> String {
    if let Some((section, _)) = known.iter().find(|(_, keys)| keys.contains(&name)) {
        return format!("`{name}` stands outside its section: write it under [{section}]");
    }
    let names = known.iter().map(|(section, _)| *section);
    match nearest(name, names.clone()) {
        Some(near) => format!("there is no section [{name}]; did you mean [{near}]?"),
        None => format!(
            "there is no section [{name}]; the sections are {}",
            names
                .map(|n| format!("[{n}]"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn unknown_key(section: &str, key: &str, keys: &[&str], known: &[(&str, &[&str])]) -> String {
    if let Some(near) = nearest(key, keys.iter().copied()) {
        return format!("[{section}] has no key `{key}`; did you mean `{near}`?");
    }
    if let Some((other, _)) = known.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("[{section}] has no key `{key}`; it belongs under [{other}]");
    }
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    format!(
        "[{section}] has no key `{key}`; its keys are {}",
        keys.join(", ")
    )
}

/// The name that was probably meant, if one is near enough.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}
