//! Walks TOML documents, key by key, and collects everything that is wrong with them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::files::Text;
use super::kinds::{Kind, Value};
use super::origins::Name;
use super::problem::{ConfigError, Problems};
use super::table::Section;

/// The documents, a later one over an earlier one, and what is wrong with them so far.
pub(crate) struct Reader<'t> {
    layers: Vec<Layer<'t>>,
    keys: BTreeMap<Name, (PathBuf, usize)>,
}

struct Layer<'t> {
    table: DeTable<'t>,
    problems: Problems<'t>,
}

impl<'t> Reader<'t> {
    /// Takes the documents, and refuses what is not in `known`.
    pub(crate) fn new(texts: &'t [Text], known: &[Section]) -> Self {
        Self {
            layers: texts.iter().map(|text| Layer::new(text, known)).collect(),
            keys: BTreeMap::new(),
        }
    }

    /// Which key was set where; or everything that is wrong.
    pub(crate) fn finish(self) -> Result<BTreeMap<Name, (PathBuf, usize)>, ConfigError> {
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

    /// Reads a key in every document that has it: what is wrong is wrong, also where it does not
    /// count. The last one counts. `None` when the key is nowhere, or wrong: then a problem is noted.
    pub(crate) fn read<T>(
        &mut self,
        section: &'static str,
        key: &'static str,
        kind: &impl Kind<T>,
    ) -> Option<T> {
        let mut last = None;
        for Layer { table, problems } in &mut self.layers {
            let Some(value) = find(table, section, key) else {
                continue;
            };
            let mut wrong = |span: &Range<usize>, why| {
                problems.add(span, format!("`{section}.{key}`: {why}"));
            };
            last = kind.read(value, &mut wrong);
            if last.is_some() {
                let (file, line) = problems.place(value.span().start);
                self.keys.insert((section, key), (file.to_owned(), line));
            } else {
                self.keys.remove(&(section, key));
            }
        }
        last
    }

    /// Refuses a key in every document that has it, whatever its value is.
    pub(crate) fn refuse(&mut self, section: &str, key: &str, why: impl Fn() -> String) {
        for Layer { table, problems } in &mut self.layers {
            let Some(section) = table.get_mut(section) else {
                continue;
            };
            if let DeValue::Table(keys) = section.get_mut()
                && let Some(value) = keys.remove(key)
            {
                problems.add(&value.span(), why());
            }
        }
    }

    /// Refuses two keys that do not go together, at the one that was read last. `why` gets the place of
    /// each of them if they are in two documents. A key that is wrong by itself is a problem already.
    pub(crate) fn refuse_together(
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
    fn new(text: &'t Text, known: &[Section]) -> Self {
        let mut problems = Problems::of(&text.file, &text.text);
        let (document, errors) = DeTable::parse_recoverable(&text.text);
        if !errors.is_empty() {
            // After an error of syntax the rest is a guess, so nothing else of the file is read.
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

fn refuse_unknown(table: &DeTable<'_>, problems: &mut Problems<'_>, known: &[Section]) {
    for (name, value) in table {
        let found = known.iter().find(|s| s.name == name.get_ref().as_ref());
        let Some(section) = found else {
            problems.add(&name.span(), unknown_section(name.get_ref(), known));
            continue;
        };
        let DeValue::Table(table) = value.get_ref() else {
            let name_of = section.name;
            let what = format!("`{name_of}` is a section: write [{name_of}] above its keys");
            problems.add(&name.span(), what);
            continue;
        };
        for key in table.keys() {
            if !section.has(key.get_ref()) {
                let what = unknown_key(section, key.get_ref(), known);
                problems.add(&key.span(), what);
            }
        }
    }
}

fn unknown_section(name: &str, known: &[Section]) -> String {
    if let Some(section) = known.iter().find(|section| section.has(name)) {
        let section = section.name;
        return format!("`{name}` stands outside its section: write it under [{section}]");
    }
    let names = known.iter().map(|section| section.name);
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

fn unknown_key(section: &Section, key: &str, known: &[Section]) -> String {
    let (section, keys) = (section.name, section.keys.iter().map(|key| key.name));
    if let Some(near) = nearest(key, keys.clone()) {
        return format!("[{section}] has no key `{key}`; did you mean `{near}`?");
    }
    if let Some(other) = known.iter().find(|section| section.has(key)) {
        let other = other.name;
        return format!("[{section}] has no key `{key}`; it belongs under [{other}]");
    }
    let keys: Vec<String> = keys.map(|key| format!("`{key}`")).collect();
    format!(
        "[{section}] has no key `{key}`; its keys are {}",
        keys.join(", ")
    )
}

/// The name that was probably meant, if one is near enough.
pub(crate) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}
