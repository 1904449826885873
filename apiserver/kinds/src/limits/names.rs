//! Kinds of resource names (`cpu`, `hugepages-2Mi`, `example.com/gpu`).

use mainstay_machinery::validate::qualified_name;

pub(super) const REQUESTS: &str = "requests.";
pub(super) const HUGE_PAGES: &str = "hugepages-";
/// A device class asked for as if it were an extended resource.
const DEVICE_CLASS: &str = "deviceclass.resource.kubernetes.io/";

/// Whether the name is Kubernetes' own: without a prefix, or with one of `kubernetes.io`.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether containers may ask for the resource by this name although Kubernetes does not know it.
pub(super) fn is_extended(name: &str) -> bool {
    if name.starts_with(DEVICE_CLASS) {
        return true;
    }
    !is_native(name)
        && !name.starts_with(REQUESTS)
        && qualified_name(&format!("{REQUESTS}{name}")).is_empty()
}

/// Whether a quota limits an extended resource by this name.
pub(super) fn is_extended_quota(name: &str) -> bool {
    name.strip_prefix(REQUESTS)
        .is_some_and(|rest| !is_native(name) || rest.starts_with(DEVICE_CLASS))
}

/// Whether a pod may ask for the resource as a whole, instead of by container.
pub(super) fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with(HUGE_PAGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        // The name, whether a container asks for an extended resource by it, whether a quota limits one by it.
        for (name, asked, limited) in [
            ("cpu", false, false),
            ("requests.cpu", false, false),
            ("hugepages-2Mi", false, false),
            ("example.com/gpu", true, false),
            ("requests.example.com/gpu", false, true),
            ("node.kubernetes.io/x", false, false),
            ("requests.node.kubernetes.io/x", false, false),
            ("deviceclass.resource.kubernetes.io/gpu", true, false),
            (
                "requests.deviceclass.resource.kubernetes.io/gpu",
                false,
                true,
            ),
            ("exa mple.com/gpu", false, false),
        ] {
            assert_eq!(
                (is_extended(name), is_extended_quota(name)),
                (asked, limited),
                "{name}"
            );
        }
    }
}
