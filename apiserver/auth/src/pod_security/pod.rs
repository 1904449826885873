//! A pod as the checks look at it, and the words their messages share.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::limits::LISTED_ITEMS_MAX;
use crate::node::{containers, list};

/// Metadata and spec of a pod or of a pod template.
#[derive(Clone, Copy)]
pub(super) struct Pod<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
}

/// A missing field and a null one are the same.
pub(super) fn field<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    value.pointer(pointer).filter(|field| !field.is_null())
}

pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    field(value, pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn is_true(value: &Value, pointer: &str) -> bool {
    field(value, pointer).and_then(Value::as_bool) == Some(true)
}

impl<'a> Pod<'a> {
    pub(super) fn containers(self) -> impl Iterator<Item = &'a Value> {
        containers(self.spec)
    }

    pub(super) fn volumes(self) -> impl Iterator<Item = &'a Value> {
        list(self.spec, "volumes")
    }

    /// The names of the containers that are bad.
    pub(super) fn containers_where(self, mut bad: impl FnMut(&'a Value) -> bool) -> Vec<&'a str> {
        self.containers()
            .filter(|container| bad(container))
            .map(|container| text(container, "/name"))
            .collect()
    }

    pub(super) fn annotation(self, key: &str) -> Option<&'a str> {
        self.metadata.get("annotations")?.get(key)?.as_str()
    }

    pub(super) fn is_windows(self) -> bool {
        text(self.spec, "/os/name") == "windows"
    }

    /// True if root in the pod is nobody on the node.
    pub(super) fn has_own_users(self) -> bool {
        field(self.spec, "/hostUsers").and_then(Value::as_bool) == Some(false)
    }
}

/// `"a", "b"`; a list that is far too long is cut.
pub(super) fn quote<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> = items
        .into_iter()
        .take(LISTED_ITEMS_MAX)
        .map(|item| format!("\"{}\"", item.as_ref()))
        .collect();
    quoted.join(", ")
}

pub(super) fn plural<'w>(one: &'w str, many: &'w str, count: usize) -> &'w str {
    if count == 1 { one } else { many }
}

/// `container "a"` or `containers "a", "b"`.
pub(super) fn name_containers(names: &[&str]) -> String {
    format!(
        "{} {}",
        plural("container", "containers", names.len()),
        quote(names)
    )
}

/// Who set something bad: `pod and container "a"`; `None` if nobody did.
pub(super) fn setters(pod: bool, containers: &[&str]) -> Option<String> {
    match (pod, containers.is_empty()) {
        (false, true) => None,
        (true, true) => Some("pod".to_owned()),
        (false, false) => Some(name_containers(containers)),
        (true, false) => Some(format!("pod and {}", name_containers(containers))),
    }
}

/// Looks at one field of the pod and of every container: who sets it to something bad, and to what.
pub(super) fn bad_settings<'a>(
    pod: Pod<'a>,
    pointer: &str,
    allowed: impl Fn(&str) -> bool,
) -> (bool, Vec<&'a str>, BTreeSet<&'a str>) {
    let mut values = BTreeSet::new();
    let mut is_bad = |value: &'a Value| {
        // The parent is set: then the field counts even if it is empty.
        let (parent, _) = pointer.rsplit_once('/').expect("a pointer has a slash");
        let bad = field(value, parent).is_some() && !allowed(text(value, pointer));
        if bad {
            values.insert(text(value, pointer));
        }
        bad
    };
    let of_pod = is_bad(pod.spec);
    let of_containers = pod.containers_where(&mut is_bad);
    (of_pod, of_containers, values)
}
