//! The JSON Schema of the protocol, made from its types, and a small validator for it.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{MESSAGES, REQUESTS, growth, keep, read};
use crate::protocol::{GroupJid, Message, Request, UserId, cause};

const PATH: &str = "contrib/schema/wasession-1.json";

/// A time, as it stands in JSON.
pub(crate) struct Time;

/// A string with a shape of its own.
macro_rules! text {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text!(Time, "Time", {
    "description": "A time in UTC, as in RFC 3339.",
    "type": "string",
    "format": "date-time",
});
text!(UserId, "UserId", {
    "description": "The id of a user.",
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._+@-]{0,63}$",
});
text!(GroupJid, "GroupJid", {
    "description": "The JID of a group.",
    "type": "string",
    "pattern": "^[0-9]+(-[0-9]+)?@g\\.us$",
});

impl JsonSchema for cause::Cause {
    fn schema_name() -> Cow<'static, str> {
        "Cause".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = cause::NAMES.iter().map(|(_, name)| *name).collect();
        json_schema!({
            "description": "Why a session ended, waits, or tries again; `refused_<code>` where WhatsApp refused the login with a code.",
            "anyOf": [
                { "type": "string", "enum": names },
                { "type": "string", "pattern": "^refused(_[0-9]{1,5})?$" },
                growth::any_name(),
            ],
        })
    }
}

/// The schema as it stands in the file.
fn schema() -> Value {
    let mut definitions = Map::new();
    // A field of a request that may be null may be left out; the daemon leaves nothing out.
    let mut requests = SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator();
    requests.subschema_for::<Request>();
    definitions.extend(requests.take_definitions(true));
    let mut messages = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    messages.subschema_for::<Message>();
    definitions.extend(messages.take_definitions(true));
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wasession/1",
        "description": "What travels over the control socket of wasessiond in JSON, one message a frame: a client sends Request, the daemon Message.",
        "anyOf": [{ "$ref": "#/$defs/Request" }, { "$ref": "#/$defs/Message" }],
        "$defs": definitions,
    });
    plain(&mut schema);
    schema
}

/// Takes the links out of what the documentation says: `[`text`](where)` becomes `text`.
pub(crate) fn plain(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = unlinked(text);
            }
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

fn unlinked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((name, after)) = after.split_once("`]") else {
            break;
        };
        out.push_str(before);
        out.push('`');
        out.push_str(name);
        out.push('`');
        rest = after;
        if let Some(target) = rest.strip_prefix('(') {
            rest = target.split_once(')').map_or("", |(_, after)| after);
        }
    }
    out + rest
}

#[test]
fn the_schema_is_what_the_types_are() {
    let text = serde_json::to_string_pretty(&schema()).expect("JSON");
    keep(PATH, &(text + "\n"));
}

/// Whether a value has the type of this name.
fn is(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the validator knows no type {other}"),
    }
}

/// Holds a value against a schema: the words that this schema uses, and no others. `Err` says where.
pub(crate) fn validate(
    root: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let Value::Object(words) = schema else {
        return Ok(());
    };
    let fails = |why: &str| Err(format!("{at}: {why}: {value}"));
    let count = |schemas: &Value| {
        let schemas = schemas.as_array().expect("an array").iter();
        schemas
            .filter(|s| validate(root, s, value, at).is_ok())
            .count()
    };
    for (word, rule) in words {
        match word.as_str() {
            "$ref" => {
                let name = rule.as_str().and_then(|r| r.strip_prefix("#/$defs/"));
                let target = &root["$defs"][name.expect("a definition")];
                assert!(target.is_object(), "{rule} is not defined");
                validate(root, target, value, at)?;
            }
            "type" => {
                if !rule.as_array().map_or_else(
                    || is(rule, value),
                    |any| any.iter().any(|rule| is(rule, value)),
                ) {
                    return fails("has another type");
                }
            }
            "const" if value != rule => return fails("is not the one value"),
            "enum" if !rule.as_array().is_some_and(|any| any.contains(value)) => {
                return fails("is none of these");
            }
            "allOf" => {
                for part in rule.as_array().into_iter().flatten() {
                    validate(root, part, value, at)?;
                }
            }
            "anyOf" if count(rule) == 0 => return fails("fits nothing"),
            "oneOf" if count(rule) != 1 => return fails("does not fit exactly one"),
            "required" => {
                let names = rule.as_array().expect("an array").iter();
                let mut missing =
                    names.filter(|name| value.get(name.as_str().expect("a name")).is_none());
                if let Some(name) = missing.next() {
                    return fails(&format!("has no {name}"));
                }
            }
            "properties" => {
                for (name, schema) in rule.as_object().expect("an object") {
                    if let Some(value) = value.get(name) {
                        validate(root, schema, value, &format!("{at}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(rule, &json!(false), "the validator knows only false");
                let known = words.get("properties").and_then(Value::as_object);
                let stranger = value.as_object().and_then(|object| {
                    object
                        .keys()
                        .find(|key| !known.is_some_and(|known| known.contains_key(*key)))
                });
                if let Some(stranger) = stranger {
                    return fails(&format!("has a stranger, {stranger}"));
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    validate(root, rule, item, &format!("{at}[]"))?;
                }
            }
            "not" if validate(root, rule, value, at).is_ok() => {
                return fails("is what it must not be");
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(Map::keys) {
                    validate(root, rule, &json!(name), &format!("{at}.{name}"))?;
                }
            }
            "minProperties" | "maxProperties" if value.is_object() => {
                let len = value.as_object().map_or(0, Map::len) as u64;
                let limit = rule.as_u64().expect("a number");
                if (word == "minProperties" && len < limit)
                    || (word == "maxProperties" && len > limit)
                {
                    return fails("has another number of keys");
                }
            }
            "minimum" if value.is_number() && value.as_u64() < rule.as_u64() => {
                return fails("is too small");
            }
            "maximum" if value.as_u64() > rule.as_u64() => return fails("is too large"),
            "const" | "enum" | "anyOf" | "oneOf" | "minimum" | "maximum" | "description"
            | "default" | "title" | "format" | "pattern" | "$schema" | "$defs" | "not"
            | "minProperties" | "maxProperties" => {}
            other => panic!("the validator does not know {other}"),
        }
    }
    Ok(())
}

fn fits(schema: &Value, of: &str, value: &Value) -> Result<(), String> {
    validate(schema, &schema["$defs"][of], value, of)
}

#[test]
fn every_golden_text_fits_the_schema() {
    let schema = schema();
    for (path, of) in [(REQUESTS, "Request"), (MESSAGES, "Message")] {
        for kept in read(path) {
            let value: Value = serde_json::from_str(&kept.json).expect("JSON");
            fits(&schema, of, &value).expect(&kept.name);
        }
    }
}

/// Every field of every golden message is required, and has its type: without it, or with another
/// value in its place, the text fits no more.
#[test]
fn the_schema_is_strict_about_what_the_daemon_says() {
    fn places(value: &Value, path: &str, found: &mut Vec<String>) {
        if let Value::Object(map) = value {
            for (key, inner) in map {
                let path = format!("{path}/{key}");
                places(inner, &path, found);
                found.push(path);
            }
        }
    }
    let schema = schema();
    for kept in read(MESSAGES) {
        let value: Value = serde_json::from_str(&kept.json).expect("JSON");
        let mut found = Vec::new();
        places(&value, "", &mut found);
        for place in found {
            let (parent, key) = place.rsplit_once('/').expect("a place");
            let mut without = value.clone();
            let object = without.pointer_mut(parent).and_then(Value::as_object_mut);
            object.expect("an object").remove(key);
            assert!(
                fits(&schema, "Message", &without).is_err(),
                "{} without {place}",
                kept.name
            );
            let mut other = value.clone();
            *other.pointer_mut(&place).expect("a value") = json!([[true]]);
            assert!(
                fits(&schema, "Message", &other).is_err(),
                "{} with another {place}",
                kept.name
            );
        }
    }
}

#[test]
fn what_a_request_may_leave_out() {
    let schema = schema();
    for (text, good) in [
        (r#"{"id":1,"command":"ping"}"#, true),
        (r#"{"id":1,"command":{"list":{}}}"#, true),
        (r#"{"id":1,"command":{"connect":{"user":"alice"}}}"#, true),
        (r#"{"id":1,"command":{"watch":{"users":[]}}}"#, true),
        (r#"{"id":1,"command":{"connect":{"phone":null}}}"#, false),
        (r#"{"id":-1,"command":"ping"}"#, false),
        (r#"{"command":"ping"}"#, false),
        (r#"{"id":1,"command":"dance"}"#, false),
    ] {
        let value: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(fits(&schema, "Request", &value).is_ok(), good, "{text}");
        assert_eq!(
            serde_json::from_str::<Request>(text).is_ok(),
            good,
            "{text}"
        );
    }
}

#[test]
fn links_are_taken_out_of_descriptions() {
    let text = "Answer: [`Answer::Pong`](super::Answer::Pong), see [`Status`]. A [0] stays.";
    assert_eq!(
        unlinked(text),
        "Answer: `Answer::Pong`, see `Status`. A [0] stays."
    );
}

/// Holds a message against the schema.
pub(super) fn fits_message(value: &Value) -> Result<(), String> {
    fits(&schema(), "Message", value)
}
