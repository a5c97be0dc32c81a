//! Two JSON values, Docker's and netd's, field by field.

use serde_json::Value;

use super::{differences::Differences, words::plain};

/// What differs and is not allowed to, one line a field.
pub fn fields(docker: &Value, netd: &Value, differences: &Differences) -> Vec<String> {
    let mut found = Vec::new();
    walk(docker, netd, &mut Vec::new(), differences, &mut found);
    found
}

fn walk(
    docker: &Value,
    netd: &Value,
    path: &mut Vec<String>,
    differences: &Differences,
    found: &mut Vec<String>,
) {
    let (Value::Object(old), Value::Object(new)) = (docker, netd) else {
        if alike(docker) != alike(netd) && !differences.allow_field(path, "other", netd) {
            found.push(format!("{}: Docker {docker}, netd {netd}", path.join(".")));
        }
        return;
    };
    for (key, value) in old {
        path.push(key.clone());
        match new.get(key) {
            Some(other) => walk(value, other, path, differences, found),
            None if differences.allow_field(path, "not", &Value::Null) => {}
            None => found.push(format!("{}: not in netd: {value}", path.join("."))),
        }
        path.pop();
    }
    for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        path.push(key.clone());
        if !differences.allow_field(path, "only", value) {
            found.push(format!("{}: only in netd: {value}", path.join(".")));
        }
        path.pop();
    }
}

/// Ids and times are made anew each time.
fn alike(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(plain(text)),
        other => other.clone(),
    }
}
