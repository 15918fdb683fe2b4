//! The JSON Schema of an entry, generated from the types; the committed file is compared with it here.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Entry, SCHEMA};

pub(super) fn constant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "const": SCHEMA })
}

/// Run with `UPDATE_SCHEMA=1` to write the file anew.
#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
fn the_committed_schema_is_the_one_the_types_give() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.audit-template/schema/entry-v1.schema.json");
    let mut schema = serde_json::to_value(schemars::schema_for!(Entry)).unwrap();
    schema["$id"] = "urn:git-audit:entry:v1".into();
    let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == generated, "run `UPDATE_SCHEMA=1 cargo test --lib schema` and commit the file");
}
