//! Objects as the history has them.

use mainstay_check::api::{Item, Seen, State};
use serde_json::Value;

use super::kind::Kind;

/// The annotation with what a write is known by.
pub(super) const TOKEN: &str = "mainstay.test/token";
/// The annotation with a number that must not go back.
pub(super) const EPOCH: &str = "mainstay.test/epoch";

/// A number that tells contents apart: of everything but the version, and but for what lists leave out.
pub(super) fn digest(object: &Value) -> u64 {
    let mut bare = object.clone();
    if let Some(object) = bare.as_object_mut() {
        object.remove("kind");
        object.remove("apiVersion");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
    }
    fnv(bare.to_string().as_bytes())
}

/// FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The version of an object, or of a list.
pub(super) fn version(object: &Value) -> Option<i64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

/// What a client was shown, if it is an object.
pub(super) fn seen(object: &Value) -> Option<Seen> {
    if object["kind"] == "Status" {
        return None;
    }
    Some(Seen {
        version: version(object)?,
        uid: text(&object["metadata"]["uid"]),
        digest: digest(object),
    })
}

/// An object of a list or an event.
pub(super) fn item(kind: Kind, object: &Value) -> Option<Item> {
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    Some(Item {
        key: kind.key(namespace, metadata["name"].as_str()?),
        version: version(object)?,
        digest: digest(object),
    })
}

/// What is in the store under a key.
pub(super) fn state(key: &str, bytes: &[u8]) -> State {
    let Ok(object) = serde_json::from_slice::<Value>(bytes) else {
        return State {
            digest: fnv(bytes),
            ..State::default()
        };
    };
    let metadata = &object["metadata"];
    let annotation = |name: &str| metadata["annotations"][name].as_str();
    let tokens = annotation(TOKEN)
        .into_iter()
        .chain(object["status"]["reason"].as_str())
        .filter(|token| token.starts_with("t-"))
        .map(str::to_owned)
        .collect();
    let labels = metadata["labels"].as_object().into_iter().flatten();
    let mut state = State {
        uid: text(&metadata["uid"]),
        digest: digest(&object),
        tokens,
        labels: labels
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        epoch: annotation(EPOCH).and_then(|epoch| epoch.parse().ok()),
        deleting: !metadata["deletionTimestamp"].is_null(),
        ..State::default()
    };
    for name in ["name", "namespace"] {
        let value = text(&metadata[name]);
        state.fields.insert(format!("metadata.{name}"), value);
    }
    if key.starts_with(Kind::Pod.prefix()) {
        let node = text(&object["spec"]["nodeName"]);
        state.fields.insert("spec.nodeName".to_owned(), node);
        let phase = text(&object["status"]["phase"]);
        state.fields.insert("status.phase".to_owned(), phase);
    }
    if key.starts_with(Kind::Service.prefix()) {
        service(&object["spec"], &mut state);
    }
    state
}

fn service(spec: &Value, state: &mut State) {
    let addresses = spec["clusterIPs"].as_array().into_iter().flatten();
    state.addresses = addresses
        .filter_map(Value::as_str)
        .filter(|address| *address != "None")
        .map(str::to_owned)
        .collect();
    let ports = spec["ports"].as_array().into_iter().flatten();
    state.ports = ports
        .filter_map(|port| port["nodePort"].as_u64())
        .filter_map(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
        .collect();
    // Two protocols of one service may share a port.
    state.ports.sort_unstable();
    state.ports.dedup();
}

#[cfg(test)]
mod tests {
    use super::{digest, state};
    use serde_json::json;

    #[test]
    fn contents_are_told_apart_and_versions_are_not() {
        let a = json!({"kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "5"}, "data": {"x": "1"}});
        let b = json!({"metadata": {"name": "a", "resourceVersion": "7"}, "data": {"x": "1"}});
        let c = json!({"metadata": {"name": "a"}, "data": {"x": "2"}});
        assert_eq!(digest(&a), digest(&b));
        assert_ne!(digest(&a), digest(&c));
    }

    #[test]
    fn what_selectors_and_checkers_look_at_is_read() {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "a", "uid": "u", "labels": {"color": "red"},
                "annotations": {"mainstay.test/token": "t-1"}, "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "reason": "t-2"},
        });
        let read = state("pods/a/p", pod.to_string().as_bytes());
        assert_eq!(read.tokens, ["t-1", "t-2"]);
        assert_eq!(read.fields["spec.nodeName"], "n1");
        assert_eq!(read.labels["color"], "red");
        assert!(read.deleting);
        let service = json!({"spec": {"clusterIPs": ["10.0.0.9"], "ports": [{"nodePort": 30001}, {"nodePort": 30001}]}});
        let read = state("services/specs/a/s", service.to_string().as_bytes());
        assert_eq!(
            (read.addresses.len(), read.ports.as_slice()),
            (1, &[30001][..])
        );
    }
}
