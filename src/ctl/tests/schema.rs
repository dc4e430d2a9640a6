//! The JSON Schema of what `--json` writes, made from the types that are written. Whatever the tests of
//! commands read is held against it.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::ctl::json::{
    Beginning, Challenge, Code, Failed, Groups, Happened, History, Lagged, Pong, Proxy, SCHEMA,
    Sessions, Targets,
};
use crate::protocol::golden::{keep, plain, validate};
use crate::protocol::{Info, LogoutReport, Reloaded, RotatedKey, Status};

const PATH: &str = "contrib/schema/wactl-1.json";

/// Which command writes what. What is not among them is an error.
const COMMANDS: &[(&str, &[&str])] = &[
    ("connect USER", &["Status", "Happened", "Lagged"]),
    ("disconnect USER", &["Status", "LogoutReport"]),
    ("force-logout USER", &["LogoutReport"]),
    ("status USER", &["Status"]),
    ("list", &["Sessions"]),
    ("watch", &["Beginning", "Happened", "Lagged"]),
    ("history", &["History"]),
    ("qr USER", &["Code"]),
    ("passkey USER", &["Challenge", "Status"]),
    ("groups USER", &["Groups"]),
    ("targets USER", &["Targets"]),
    ("proxy USER", &["Proxy"]),
    ("daemon info", &["Info"]),
    ("daemon ping", &["Pong"]),
    ("daemon reload", &["Reloaded"]),
    ("daemon rotate-key", &["RotatedKey"]),
    ("any of them", &["Failed"]),
];

/// The schema as it stands in the file.
static WHOLE: LazyLock<Value> = LazyLock::new(schema);

fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    macro_rules! define {
        ($($type:ty),+ $(,)?) => { $(generator.subschema_for::<$type>();)+ };
    }
    define!(
        Status,
        LogoutReport,
        Info,
        Reloaded,
        RotatedKey,
        Sessions<'_>,
        History<'_>,
        Groups<'_>,
        Targets<'_>,
        Proxy<'_>,
        Pong<'_>,
        Code<'_>,
        Challenge<'_>,
        Failed<'_>,
        Beginning<'_>,
        Lagged<'_>,
        Happened<'_>,
    );
    let mut definitions: Map<String, Value> = generator.take_definitions(true);
    let version = json!({
        "description": "What stands in every object, beside what belongs to it.",
        "type": "object",
        "properties": { "schema": { "const": SCHEMA } },
        "required": ["schema"],
    });
    definitions.insert("Versioned".to_owned(), version);
    let mut objects: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for (command, written) in COMMANDS {
        lines.push(format!("`{command}`: {}", written.join(", ")));
        for name in *written {
            if !objects.contains(name) {
                objects.push(name);
            }
        }
    }
    let objects: Vec<_> = objects
        .iter()
        .map(|name| json!({ "$ref": format!("#/$defs/{name}") }))
        .collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wactl/1",
        "description": format!(
            "What `wactl --json` writes, one object a line. Fields and names may be added: pass over \
             fields that you do not know.\n\n{}",
            lines.join("\n")
        ),
        "allOf": [{ "$ref": "#/$defs/Versioned" }],
        "anyOf": objects,
        "$defs": definitions,
    });
    plain(&mut schema);
    schema
}

/// Holds an object against the schema.
pub(super) fn fits(object: &Value) {
    if let Err(why) = validate(&WHOLE, &WHOLE, object, "object") {
        panic!("{PATH} does not allow this object: {why}: {object:#}");
    }
}

#[test]
fn the_schema_is_what_is_written() {
    let text = serde_json::to_string_pretty(&*WHOLE).expect("JSON");
    keep(PATH, &(text + "\n"));
}

#[test]
fn the_schema_refuses_what_is_not_written() {
    for wrong in [
        json!({}),
        json!({"schema": 1}),
        json!({"sessions": []}),
        json!({"schema": 2, "sessions": []}),
        json!({"schema": 1, "sessions": [{}]}),
        json!({"schema": 1, "error": {"code": "usage"}}),
        json!({"schema": 1, "user": "alice", "event": "online"}),
    ] {
        assert!(
            validate(&WHOLE, &WHOLE, &wrong, "object").is_err(),
            "{wrong}"
        );
    }
    fits(&json!({"schema": 1, "sessions": [], "of_tomorrow": 1}));
}
