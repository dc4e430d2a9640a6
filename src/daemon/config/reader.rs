//! Walks TOML documents, key by key, and collects everything that is wrong with them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::files::Text;
use super::origins::Name;
use super::problem::{ConfigError, Problems};

/// A value with its place in the file.
type Value<'t> = Spanned<DeValue<'t>>;

/// The documents, a later one over an earlier one, and what is wrong with them so far.
pub(super) struct Reader<'t> {
    layers: Vec<Layer<'t>>,
    keys: BTreeMap<Name, (PathBuf, usize)>,
}

struct Layer<'t> {
    table: DeTable<'t>,
    problems: Problems<'t>,
}

impl<'t> Reader<'t> {
    /// Takes the documents, and refuses what is not in `known`: sections, with their keys.
    pub(super) fn new(texts: &'t [Text], known: &[(&str, &[&str])]) -> Self {
        Self {
            layers: texts.iter().map(|text| Layer::new(text, known)).collect(),
            keys: BTreeMap::new(),
        }
    }

    /// Which key was set where; or everything that is wrong.
    pub(super) fn finish(self) -> Result<BTreeMap<Name, (PathBuf, usize)>, ConfigError> {
        let layers = self.layers.into_iter();
        let faults: Vec<_> = layers
            .filter_map(|layer| layer.problems.into_fault())
            .collect();
        if faults.is_empty() {
            Ok(self.keys)
        } else {
            Err(ConfigError { faults })
        }
    }

    /// Reads one key. `None` when it is nowhere, or wrong: then a problem is noted.
    pub(super) fn read<T>(
        &mut self,
        section: &'static str,
        key: &'static str,
        parse: impl Fn(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<T> {
        self.read_value(section, key, |value, wrong| {
            parse(value.get_ref())
                .map_err(|why| wrong(&value.span(), why))
                .ok()
        })
    }

    /// Reads a list, each element for itself.
    pub(super) fn read_list<T>(
        &mut self,
        section: &'static str,
        key: &'static str,
        parse: impl Fn(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.read_value(section, key, |value, wrong| {
            let DeValue::Array(elements) = value.get_ref() else {
                wrong(&value.span(), wrong_type("a list", value.get_ref()));
                return None;
            };
            let read = elements.iter().filter_map(|element| {
                parse(element.get_ref())
                    .map_err(|why| wrong(&element.span(), why))
                    .ok()
            });
            Some(read.collect())
        })
    }

    /// Reads a key in every document that has it: what is wrong is wrong, also where it does not
    /// count. The last one counts.
    fn read_value<T>(
        &mut self,
        section: &'static str,
        key: &'static str,
        parse: impl Fn(&Value<'t>, &mut dyn FnMut(&Range<usize>, String)) -> Option<T>,
    ) -> Option<T> {
        let mut last = None;
        for Layer { table, problems } in &mut self.layers {
            let Some(value) = find(table, section, key) else {
                continue;
            };
            let mut wrong = |span: &Range<usize>, why| {
                problems.add(span, format!("`{section}.{key}`: {why}"));
            };
            last = parse(value, &mut wrong);
            if last.is_some() {
                let (file, line) = problems.place(value.span().start);
                self.keys.insert((section, key), (file.to_owned(), line));
            } else {
                self.keys.remove(&(section, key));
            }
        }
        last
    }

    /// Refuses a key in every document that has it.
    pub(super) fn refuse(&mut self, section: &str, key: &str, why: impl Fn() -> String) {
        for Layer { table, problems } in &mut self.layers {
            if let Some(value) = find(table, section, key) {
                problems.add(&value.span(), why());
            }
        }
    }

    /// Refuses two keys that do not go together, at the one that was said last. `why` is told where
    /// each of them stands, when that is in two documents. One that is wrong by itself was told of.
    pub(super) fn refuse_together(
        &mut self,
        section: &'static str,
        keys: [&'static str; 2],
        why: impl FnOnce([String; 2]) -> String,
    ) {
        let places = keys.map(|key| {
            let layers = self.layers.iter().enumerate().rev();
            let mut having = layers.filter_map(|(nth, layer)| {
                let value = find(&layer.table, section, key)?;
                Some((nth, value.span()))
            });
            having.next()
        });
        let is_wrong = |(key, place): (&'static str, &Option<_>)| {
            place.is_some() && !self.keys.contains_key(&(section, key))
        };
        if keys.into_iter().zip(&places).any(is_wrong) {
            return;
        }
        let apart = matches!(&places, [Some((a, _)), Some((b, _))] if a != b);
        let named = places.each_ref().map(|place| match place {
            Some((nth, span)) if apart => {
                let (file, line) = self.layers[*nth].problems.place(span.start);
                format!(", {}:{line}", file.display())
            }
            _ => String::new(),
        });
        // Of two in one document the first key is where a person looks; max_by_key takes the last.
        let from_last = places.into_iter().flatten().rev();
        if let Some((nth, span)) = from_last.max_by_key(|(nth, _)| *nth) {
            self.layers[nth].problems.add(&span, why(named));
        }
    }
}

impl<'t> Layer<'t> {
    fn new(text: &'t Text, known: &[(&str, &[&str])]) -> Self {
        let mut problems = Problems::of(&text.file, &text.text);
        let (document, errors) = DeTable::parse_recoverable(&text.text);
        if !errors.is_empty() {
            // After an error of syntax the rest is a guess, so nothing else of it is looked at.
            for error in errors {
                problems.add(&error.span().unwrap_or(0..0), error.message());
            }
            return Self {
                table: DeTable::default(),
                problems,
            };
        }
        let table = document.into_inner();
        refuse_unknown(&table, &mut problems, known);
        Self { table, problems }
    }
}

fn find<'a, 't>(table: &'a DeTable<'t>, section: &str, key: &str) -> Option<&'a Value<'t>> {
    let DeValue::Table(table) = table.get(section)?.get_ref() else {
        return None;
    };
    table.get(key)
}

fn refuse_unknown(table: &DeTable<'_>, problems: &mut Problems<'_>, known: &[(&str, &[&str])]) {
    for (name, value) in table {
        let Some((section, keys)) = known.iter().find(|(s, _)| *s == name.get_ref().as_ref())
        else {
            problems.add(&name.span(), unknown_section(name.get_ref(), known));
            continue;
        };
        let DeValue::Table(table) = value.get_ref() else {
            let what = format!("`{section}` is a section: write [{section}] above its keys");
            problems.add(&name.span(), what);
            continue;
        };
        for key in table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                let what = unknown_key(section, key.get_ref(), keys, known);
                problems.add(&key.span(), what);
            }
        }
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
) -> impl Fn(&DeValue<'_>) -> Result<usize, String> {
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
