//! Names of operations, from which client generators make method names.

/// `CoreV1`, `RbacAuthorizationV1`: the group without its domain, in camel case, and the version.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    let mut id = String::new();
    for part in group_parts(group) {
        id.push_str(&title(part));
    }
    id + &title(version)
}

/// `core_v1`, `rbacAuthorization_v1`: the tag that operations of a version are filed under.
pub(crate) fn tag(group: &str, version: &str) -> String {
    let mut parts = group_parts(group);
    let mut tag = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        tag.push_str(&title(part));
    }
    tag + "_" + version
}

fn group_parts(group: &str) -> impl Iterator<Item = &str> {
    let group = if group.is_empty() { "core" } else { group };
    group.strip_suffix(".k8s.io").unwrap_or(group).split('.')
}

/// With the first letter in upper case.
pub(crate) fn title(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(chars)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lose_their_domain() {
        assert_eq!(group_version("", "v1"), "CoreV1");
        assert_eq!(group_version("apps", "v1"), "AppsV1");
        assert_eq!(
            group_version("flowcontrol.apiserver.k8s.io", "v1"),
            "FlowcontrolApiserverV1"
        );
        assert_eq!(tag("", "v1"), "core_v1");
        assert_eq!(
            tag("rbac.authorization.k8s.io", "v1"),
            "rbacAuthorization_v1"
        );
    }
}
