//! Attributes that make a type fit for JSON and unfit for bincode, which has no names, no lengths of
//! structs and no types: every field is always there, in its place.

use std::path::Path;

/// What `serde(..)` may say in the types that travel.
const ALLOWED: &[&str] = &[
    "rename_all = \"snake_case\"",
    "transparent",
    "try_from = \"String\"",
    "into = \"String\"",
    // A field that was added later: JSON of an older daemon lacks it, and bincode always has it.
    "default",
    // Both for the last variant of an enum that may grow, see `open.rs`.
    "remote = \"Self\"",
    "skip",
];

/// Where JSON is read in another way than bincode, for enums that may grow.
const OPEN: &str = "src/protocol/open.rs";

/// Everything inside `#[serde(..)]`, wherever it stands, `cfg_attr` included.
fn serde_attributes(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in source.split("serde(").skip(1) {
        let mut depth = 1;
        let inside = part.chars().take_while(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth > 0
        });
        let inside: String = inside.collect();
        found.extend(
            inside
                .split(", ")
                .map(|one| one.trim().trim_end_matches(',').to_owned()),
        );
    }
    found
}

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        // This folder is the tests.
        if path.is_dir() && !path.ends_with("golden") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn the_types_use_nothing_that_bincode_cannot_carry() {
    let mut files = Vec::new();
    sources(&super::in_tree("src/protocol"), &mut files);
    assert!(files.len() > 10, "the sources are not where they were");
    let mut seen = 0;
    for (path, text) in files {
        for attribute in serde_attributes(&text) {
            seen += 1;
            assert!(
                ALLOWED.contains(&attribute.as_str()),
                "{path}: serde({attribute}): can bincode carry it? It writes every field, always, in its place"
            );
        }
        if path.ends_with(OPEN) {
            continue;
        }
        for word in ["deserialize_any", "is_human_readable", "IgnoredAny"] {
            assert!(
                !text.contains(word),
                "{path}: {word} differs between the encodings"
            );
        }
    }
    assert!(seen > 10, "the attributes are not found any more");
}

#[test]
fn the_scan_sees_what_it_should() {
    let source = "#[serde(default, skip_serializing_if = \"Option::is_none\")]\n\
                  #[cfg_attr(any(), serde(flatten))]";
    let seen = serde_attributes(source);
    assert_eq!(
        seen,
        [
            "default",
            "skip_serializing_if = \"Option::is_none\"",
            "flatten"
        ]
    );
}
