//! The bytes of every message and every variant, kept in `tests/golden`. What the JSON of version 1 says
//! must stay, and only grows; when the bytes of bincode change, its revision is raised.
//!
//! - each golden text is decoded and encoded again, in both encodings;
//! - [`mirror`] reads the bincode ones with another implementation, into types of its own;
//! - [`schema`] keeps `contrib/schema/wasession-1.json`, and holds the JSON ones against it;
//! - [`attributes`] refuses what bincode cannot carry;
//! - [`revision`] demands that the revision of bincode is raised when its bytes change;
//! - [`newer`] reads what a newer daemon may say.
//!
//! With `WASESSION_GOLDEN=write` in the environment the files are written anew.

mod attributes;
mod coverage;
mod growth;
mod mirror;
mod newer;
mod revision;
mod schema;
mod values;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::Encoding;
pub(crate) use growth::{open_names, open_variants};
pub(crate) use schema::Time;
#[cfg(feature = "ctl")]
pub(crate) use schema::{plain, validate};

/// A message as it is kept.
struct Kept {
    name: String,
    json: String,
    bincode: Vec<u8>,
}

fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a file of the tree with what it should be, or writes it where that is asked for.
pub(crate) fn keep(path: &str, should_be: &str) {
    let file = in_tree(path);
    if std::env::var_os("WASESSION_GOLDEN").is_some_and(|how| how == "write") {
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        std::fs::write(&file, should_be).expect("written");
    }
    let is = std::fs::read_to_string(&file).expect("the file is there");
    if is == should_be {
        return;
    }
    let differs = is.lines().zip(should_be.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| is.lines().count().min(should_be.lines().count()));
    panic!(
        "{path}:{} is not what the code makes of it:\n  {}\n  {}\nJSON only grows: \
         see \"What may change within version 1\". If this is such a growth, run the tests with \
         WASESSION_GOLDEN=write",
        line + 1,
        is.lines().nth(line).unwrap_or("(ends)"),
        should_be.lines().nth(line).unwrap_or("(ends)"),
    );
}

/// Three lines a message: its name, its JSON, its bincode in hexadecimal digits.
fn written<T: Serialize>(values: &[(String, T)]) -> String {
    let mut text = String::new();
    for (name, value) in values {
        let json = Encoding::Json.encode(value).expect("JSON");
        let json = String::from_utf8(json).expect("text");
        let mut hex = String::new();
        for byte in Encoding::Bincode.encode(value).expect("bincode") {
            write!(hex, "{byte:02x}").expect("text");
        }
        writeln!(text, "# {name}\n{json}\n{hex}\n").expect("text");
    }
    text
}

fn read(path: &str) -> Vec<Kept> {
    let text = std::fs::read_to_string(in_tree(path)).expect("the file is there");
    let kept = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let kept = kept.map(|block| {
        let lines: Vec<&str> = block.lines().collect();
        let [name, json, hex] = lines[..] else {
            panic!("not three lines: {block}");
        };
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a byte");
        Kept {
            name: name.strip_prefix("# ").expect("a name").to_owned(),
            json: json.to_owned(),
            bincode: (0..hex.len()).step_by(2).map(byte).collect(),
        }
    });
    kept.collect()
}

fn check<T>(path: &str, values: &[(String, T)])
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    keep(path, &written(values));
    let kept = read(path);
    assert_eq!(kept.len(), values.len());
    for (kept, (name, value)) in kept.iter().zip(values) {
        assert_eq!(&kept.name, name);
        let json: T = Encoding::Json.decode(kept.json.as_bytes()).expect("JSON");
        assert_eq!(&json, value, "{name}");
        let bincode: T = Encoding::Bincode.decode(&kept.bincode).expect("bincode");
        assert_eq!(&bincode, value, "{name}");
    }
}

const REQUESTS: &str = "tests/golden/requests.txt";
const MESSAGES: &str = "tests/golden/messages.txt";

#[test]
fn every_request_has_its_bytes() {
    check(REQUESTS, &values::requests());
}

#[test]
fn every_message_has_its_bytes() {
    check(MESSAGES, &values::messages());
}
