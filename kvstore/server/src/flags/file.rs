//! `--config-file`: YAML or JSON with flag names as keys.

use super::{Values, spec};
use serde_yaml_ng::Value;
use std::path::Path;
use std::time::Duration;

/// Reads a file; the values are checked as flags are.
pub(super) fn read(path: &Path) -> Result<Values, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    from_text(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn from_text(text: &str) -> Result<Values, String> {
    let mut values = Values::default();
    let document: Value = serde_yaml_ng::from_str(text).map_err(|e| e.to_string())?;
    let entries = match document {
        Value::Null => return Ok(values),
        Value::Mapping(entries) => entries,
        _ => return Err("expected a mapping of flag names to values".to_owned()),
    };
    for (key, value) in entries {
        let Value::String(key) = key else {
            return Err("every key must be a flag name".to_owned());
        };
        match key.as_str() {
            "client-transport-security" => section(&mut values, &key, "", value)?,
            "peer-transport-security" => section(&mut values, &key, "peer-", value)?,
            _ => entry(&mut values, &key, &value)?,
        }
    }
    Ok(values)
}

/// TLS options stand in a section of their own, with names that leave the side out.
fn section(values: &mut Values, name: &str, prefix: &str, value: Value) -> Result<(), String> {
    let Value::Mapping(entries) = value else {
        return Err(format!("invalid {name}"));
    };
    for (key, value) in entries {
        let Value::String(key) = key else {
            return Err(format!("invalid {name}"));
        };
        let flag = match (prefix, key.as_str()) {
            ("", "allowed-hostname" | "allowed-hostnames") => "client-cert-allowed-hostname".into(),
            ("peer-", "allowed-cn" | "allowed-cns") => "peer-cert-allowed-cn".into(),
            ("peer-", "allowed-hostname" | "allowed-hostnames") => {
                "peer-cert-allowed-hostname".into()
            }
            ("peer-", "skip-client-san-verification") => "peer-skip-client-san-verification".into(),
            _ => format!("{prefix}{key}"),
        };
        entry(values, &flag, &value)?;
    }
    Ok(())
}

fn entry(values: &mut Values, key: &str, value: &Value) -> Result<(), String> {
    let Some(flag) = spec::find(key) else {
        values
            .notes
            .push(format!("unrecognized key in the configuration file: {key}"));
        return Ok(());
    };
    let text = text(flag.kind, value).ok_or_else(|| format!("invalid value for {key}"))?;
    values
        .set(flag, text.clone())
        .map_err(|why| format!("invalid value {text:?} for {key}: {why}"))
}

fn text(kind: spec::Kind, value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => String::new(),
        Value::Bool(b) => b.to_string(),
        // Go decodes durations from integers as nanoseconds.
        Value::Number(n) if kind == spec::Kind::Duration => {
            format!("{}ns", Duration::from_nanos(n.as_u64()?).as_nanos())
        }
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.clone(),
        Value::Sequence(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            items?.join(",")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_with_sections_lists_and_durations() {
        let values = from_text(
            "name: m1\nsnapshot-count: 5000\npre-vote: false\nlog-outputs: [stderr, /tmp/x]\n\
             watch-progress-notify-interval: 600000000000\nunknown-key: 1\n\
             client-transport-security:\n  cert-file: a.crt\n  client-cert-auth: true\n\
             peer-transport-security:\n  cert-file: p.crt\n  allowed-cn: peer\n",
        )
        .unwrap();
        assert_eq!(values.get("name"), "m1");
        assert_eq!(values.get("log-outputs"), "stderr,/tmp/x");
        assert!(!values.flag("pre-vote"));
        assert_eq!(
            super::super::duration(values.get("watch-progress-notify-interval")),
            Some(Duration::from_secs(600))
        );
        assert_eq!(values.get("cert-file"), "a.crt");
        assert!(values.flag("client-cert-auth"));
        assert_eq!(values.get("peer-cert-file"), "p.crt");
        assert_eq!(values.get("peer-cert-allowed-cn"), "peer");
        assert_eq!(values.notes.len(), 1);
    }

    #[test]
    fn json_and_nothing_are_fine_nonsense_is_not() {
        assert_eq!(
            from_text("{\"name\": \"j\", \"max-txn-ops\": 7}")
                .unwrap()
                .get("name"),
            "j"
        );
        assert_eq!(from_text("").unwrap().get("name"), "default");
        assert!(from_text("- a\n- b\n").is_err());
        assert!(from_text("snapshot-count: many\n").is_err());
        assert!(from_text("peer-transport-security: yes\n").is_err());
    }
}
