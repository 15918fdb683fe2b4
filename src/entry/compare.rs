//! Whether what a caller hands in again says the same as what is stored.

use serde_json::Value;

use super::parse::pointer_to;

/// The JSON pointers at which `given` and `stored` differ, where the caller gave something.
///
/// `given` is what the caller wrote, `normalised` the same after validation (times in UTC, summaries cut), `stored`
/// the entry in the ledger. A field that the caller left out, or gave as `null`, never differs: it may have been
/// filled in.
pub fn differing(given: &Value, normalised: &Value, stored: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    collect(given, Some(normalised), Some(stored), "", &mut pointers);
    pointers
}

fn collect(
    given: &Value,
    normalised: Option<&Value>,
    stored: Option<&Value>,
    pointer: &str,
    found: &mut Vec<String>,
) {
    match given {
        Value::Null => {}
        Value::Object(fields) => {
            if !stored.is_some_and(Value::is_object) {
                found.push(pointer.to_owned());
                return;
            }
            for (key, value) in fields {
                let normalised = normalised.and_then(|whole| whole.get(key));
                let stored = stored.and_then(|whole| whole.get(key));
                collect(value, normalised, stored, &pointer_to(pointer, key), found);
            }
        }
        _ if normalised == stored => {}
        _ => found.push(pointer.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_caller_gave_can_differ() {
        let stored = json!({"task_id": "t", "status": "failed", "timestamp": "2026-11-20T12:00:00Z", "metadata": {"a": 1, "b": 2}});
        let same = json!({"task_id": "t", "status": "failed", "metadata": {"a": 1}, "title": null});
        assert_eq!(differing(&same, &same, &stored), Vec::<String>::new());
        let other = json!({"status": "completed", "metadata": {"a": 2, "c/d": 1}, "title": "x"});
        assert_eq!(
            differing(&other, &other, &stored),
            ["/metadata/a", "/metadata/c~1d", "/status", "/title"]
        );
    }

    #[test]
    fn a_time_in_another_zone_is_the_same_time() {
        let given = json!({"timestamp": "2026-11-20T13:00:00+01:00"});
        let normalised = json!({"timestamp": "2026-11-20T12:00:00Z"});
        assert_eq!(differing(&given, &normalised, &normalised), Vec::<String>::new());
    }
}
