//! What the JSON Schema says where names may grow: it describes those that are known, and allows others.

use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

const NEWER: &str =
    "Only a newer daemon says it. Show it by its name, and by what stands beside it.";

/// Any name at all.
pub(super) fn any_name() -> Value {
    json!({ "description": NEWER, "type": "string" })
}

/// The lines of a documentation as one text.
fn text(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.trim()).collect();
    lines.join("\n")
}

/// An enum of names.
pub(crate) fn open_names(about: &[&str], names: &[(&str, &[&str])]) -> Schema {
    let known = names.iter().map(
        |(name, about)| json!({ "const": name, "description": text(about), "type": "string" }),
    );
    let all: Vec<_> = known.chain([any_name()]).collect();
    json_schema!({ "description": text(about), "anyOf": all })
}

/// Opens an enum with data: a name, or an object with a name as its only key, whatever the name.
pub(crate) fn open_variants(schema: &mut Schema) {
    let Some(Value::Array(mut variants)) = schema.remove("oneOf") else {
        panic!("not an enum with data: {schema:?}");
    };
    let names: Vec<String> = variants.iter().map(name_of).collect();
    // What has a known name must be as that one is.
    let others = json!({ "not": { "enum": names } });
    variants.push(json!({ "description": NEWER, "type": "string", "not": { "enum": names } }));
    variants.push(json!({
        "description": NEWER, "type": "object", "minProperties": 1, "maxProperties": 1,
        "propertyNames": others,
    }));
    schema.insert("anyOf".to_owned(), Value::Array(variants));
}

fn name_of(variant: &Value) -> String {
    let field = |map: &Map<String, Value>| map.keys().next().cloned();
    let properties = variant.get("properties").and_then(Value::as_object);
    let name = variant
        .get("const")
        .and_then(Value::as_str)
        .map(str::to_owned);
    name.or_else(|| properties.and_then(field)).expect("a name")
}
