//! Fields of a pod as texts: `fieldRef`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use super::error::ConfigError;
use super::node_facts::NodeFacts;

/// What a variable may ask for: what files may, and what is known only when a container starts.
///
/// # Errors
/// If there is no such field.
pub(super) fn variable_field(
    pod: &Pod,
    path: &str,
    pod_ips: &[String],
    node: &NodeFacts,
) -> Result<String, ConfigError> {
    let spec = pod.spec.as_ref();
    let addresses = || node.addresses.iter().map(ToString::to_string);
    Ok(match path {
        "spec.nodeName" => spec
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_default(),
        "spec.serviceAccountName" => spec
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_default(),
        "status.hostIP" => addresses().next().unwrap_or_default(),
        "status.hostIPs" => addresses().collect::<Vec<_>>().join(","),
        "status.podIP" => pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => pod_ips.join(","),
        _ => return file_field(pod, path),
    })
}

/// What a file of a downwardAPI volume may ask for.
///
/// # Errors
/// If there is no such field.
pub(crate) fn file_field(pod: &Pod, path: &str) -> Result<String, ConfigError> {
    let metadata = &pod.metadata;
    if let Some((of, key)) = subscript(path) {
        let map = match of {
            "metadata.annotations" => &metadata.annotations,
            "metadata.labels" => &metadata.labels,
            _ => {
                let why = format!("fieldPath {path:?} does not support subscript");
                return Err(ConfigError::new(why));
            }
        };
        let value = map.as_ref().and_then(|map| map.get(key));
        return Ok(value.cloned().unwrap_or_default());
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(match path {
        "metadata.annotations" => lines(metadata.annotations.as_ref()),
        "metadata.labels" => lines(metadata.labels.as_ref()),
        "metadata.name" => text(&metadata.name),
        "metadata.namespace" => text(&metadata.namespace),
        "metadata.uid" => text(&metadata.uid),
        _ => return Err(ConfigError::new(format!("unsupported fieldPath: {path}"))),
    })
}

/// `metadata.labels['key']`
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (of, key) = path.strip_suffix("']")?.split_once("['")?;
    (!of.is_empty()).then_some((of, key))
}

/// `key="value"` lines.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let quoted = map.into_iter().flatten();
    let quoted: Vec<_> = quoted.map(|(k, v)| format!("{k}={}", quote(v))).collect();
    quoted.join("\n")
}

/// Quotes as Go's `strconv.Quote`, which is what readers of these files parse.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if c < ' ' || c == '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() || (c.is_whitespace() && c != ' ') || c == '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};

    #[test]
    fn fields_of_a_pod() {
        let mut pod = pod("{nodeName: n, serviceAccountName: sa, containers: []}");
        pod.metadata.labels = Some(BTreeMap::from([
            ("app".into(), "x \"y\"\n".into()),
            ("a.b/c".into(), "1".into()),
        ]));
        let ips = ["10.1.0.1".to_owned(), "fd00::5".to_owned()];
        for (path, expected) in [
            ("metadata.name", Ok("p")),
            ("metadata.namespace", Ok("ns")),
            ("metadata.uid", Ok("u-1")),
            ("metadata.labels", Ok("a.b/c=\"1\"\napp=\"x \\\"y\\\"\\n\"")),
            ("metadata.labels['a.b/c']", Ok("1")),
            ("metadata.labels['none']", Ok("")),
            ("metadata.annotations", Ok("")),
            ("metadata.annotations['x']", Ok("")),
            ("spec.nodeName", Ok("n")),
            ("spec.serviceAccountName", Ok("sa")),
            ("status.podIP", Ok("10.1.0.1")),
            ("status.podIPs", Ok("10.1.0.1,fd00::5")),
            ("status.hostIP", Ok("192.0.2.1")),
            ("status.hostIPs", Ok("192.0.2.1")),
            ("spec.x", Err("unsupported fieldPath: spec.x")),
            (
                "spec.x['y']",
                Err("fieldPath \"spec.x['y']\" does not support subscript"),
            ),
        ] {
            let read = variable_field(&pod, path, &ips, &facts());
            let read = read.as_deref().map_err(ToString::to_string);
            assert_eq!(read, expected.map_err(str::to_owned), "{path}");
        }
        assert!(file_field(&pod, "status.podIP").is_err());
    }

    #[test]
    fn quotes_are_gos() {
        for (text, quoted) in [
            ("", "\"\""),
            ("a\\b\"c", "\"a\\\\b\\\"c\""),
            ("\x01\t\u{7f}é\u{a0}", "\"\\x01\\t\\x7fé\\u00a0\""),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
