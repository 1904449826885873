//! One rule of a role and when it matches a request.

use serde_json::{Map, Value, json};

use crate::attributes::Attributes;
use crate::text::quoted_list;

/// A rule: verbs on resources (by group, resource and name) or on URL paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyRule {
    /// The verbs, `*` for all.
    pub verbs: Vec<String>,
    /// API groups, empty text for core, `*` for all.
    pub api_groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale`, `*`.
    pub resources: Vec<String>,
    /// Object names; none means every name.
    pub resource_names: Vec<String>,
    /// Paths, exact or ending in `*`; they count in cluster-wide bindings only.
    pub non_resource_urls: Vec<String>,
}

impl PolicyRule {
    /// Reads a rule of a stored role. Whatever is not a string is left out: the schema refused it before.
    pub fn from_value(value: &Value) -> PolicyRule {
        let list = |key: &str| strings(value.get(key));
        PolicyRule {
            verbs: list("verbs"),
            api_groups: list("apiGroups"),
            resources: list("resources"),
            resource_names: list("resourceNames"),
            non_resource_urls: list("nonResourceURLs"),
        }
    }

    /// The rule as JSON, without empty lists (verbs are always there).
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        let lists = [
            ("apiGroups", &self.api_groups),
            ("nonResourceURLs", &self.non_resource_urls),
            ("resourceNames", &self.resource_names),
            ("resources", &self.resources),
        ];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            out.insert(key.to_owned(), json!(list));
        }
        out.insert("verbs".to_owned(), json!(self.verbs));
        Value::Object(out)
    }

    /// True if the rule allows the request.
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        if !attributes.resource_request {
            return self.verb_matches(attributes.verb)
                && self
                    .non_resource_urls
                    .iter()
                    .any(|url| url_matches(url, attributes.path));
        }
        self.verb_matches(attributes.verb)
            && self.group_matches(attributes.group)
            && self.resource_matches(attributes.resource, attributes.subresource)
            && self.name_matches(attributes.name)
    }

    pub(crate) fn verb_matches(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == "*" || own == verb)
    }

    pub(crate) fn group_matches(&self, group: &str) -> bool {
        self.api_groups.iter().any(|own| own == "*" || own == group)
    }

    pub(crate) fn name_matches(&self, name: &str) -> bool {
        self.resource_names.is_empty() || self.resource_names.iter().any(|own| own == name)
    }

    fn resource_matches(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|own| {
            own == "*"
                || is_combined(own, resource, subresource)
                || (!subresource.is_empty() && own.strip_prefix("*/") == Some(subresource))
        })
    }

    /// The short form used in escalation messages: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    pub fn compact_string(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:{}", quoted_list(list)))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// True if `own` is `resource` or, with a subresource, `resource/subresource`.
fn is_combined(own: &str, resource: &str, subresource: &str) -> bool {
    if subresource.is_empty() {
        return own == resource;
    }
    own.strip_prefix(resource)
        .and_then(|rest| rest.strip_prefix('/'))
        == Some(subresource)
}

pub(crate) fn url_matches(own: &str, path: &str) -> bool {
    own == "*" || own == path || (own.ends_with('*') && path.starts_with(own.trim_end_matches('*')))
}

/// The strings of a JSON list; anything else is left out.
pub(crate) fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::UserInfo;

    fn list(text: &str) -> Vec<String> {
        text.split(',')
            .filter(|item| !item.is_empty())
            .map(|item| item.replace("core", ""))
            .collect()
    }

    fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
        PolicyRule {
            verbs: list(verbs),
            api_groups: list(groups),
            resources: list(resources),
            resource_names: list(names),
            non_resource_urls: Vec::new(),
        }
    }

    #[test]
    fn resource_rules_match_as_upstream() {
        let user = UserInfo::new("u", &[]);
        // verbs, groups, resources, names | verb group resource/sub name | allowed
        for (verbs, groups, resources, names, request, allowed) in [
            ("get", "core", "pods", "", "get,,pods,,x", true),
            ("get", "core", "pods", "", "list,,pods,,", false),
            ("*", "core", "pods", "", "anything,,pods,,", true),
            ("get", "core", "pods", "", "get,apps,pods,,x", false),
            ("get", "*", "pods", "", "get,apps,pods,,x", true),
            ("get", "core", "pods", "", "get,,pods,log,x", false),
            ("get", "core", "pods/log", "", "get,,pods,log,x", true),
            ("get", "core", "pods/log", "", "get,,pods,,x", false),
            ("get", "core", "*/log", "", "get,,pods,log,x", true),
            ("get", "core", "*/log", "", "get,,pods,,x", false),
            ("get", "core", "*/log", "", "get,,pods,catalog,x", false),
            ("get", "core", "pods/*", "", "get,,pods,log,x", false),
            ("get", "core", "*", "", "get,,pods,log,x", true),
            ("get", "core", "pods", "a,b", "get,,pods,,b", true),
            ("get", "core", "pods", "a,b", "get,,pods,,c", false),
            ("list", "core", "pods", "a", "list,,pods,,", false),
            ("", "core", "pods", "", "get,,pods,,", false),
            ("get", "", "pods", "", "get,,pods,,", false),
            ("get", "core", "", "", "get,,pods,,", false),
        ] {
            let request: Vec<&str> = request.split(',').collect();
            let [verb, group, resource, sub, name] = request[..] else {
                panic!("five parts")
            };
            let attributes = Attributes::resource(&user, verb, group, resource)
                .part(sub)
                .object("", name);
            let rule = rule(verbs, groups, resources, names);
            assert_eq!(rule.allows(&attributes), allowed, "{rule:?} on {request:?}");
        }
    }

    #[test]
    fn paths_match_exactly_or_by_a_trailing_star() {
        let user = UserInfo::new("u", &[]);
        for (url, path, allowed) in [
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/etcd", false),
            ("/healthz/*", "/healthz/etcd", true),
            ("/healthz/*", "/healthz", false),
            ("/api*", "/apis/apps", true),
            ("/api**", "/apis/apps", true),
            ("*", "/anything", true),
            ("/a/*/b", "/a/x/b", false),
        ] {
            let rule = PolicyRule {
                verbs: vec!["get".to_owned()],
                non_resource_urls: vec![url.to_owned()],
                ..PolicyRule::default()
            };
            assert_eq!(
                rule.allows(&Attributes::path(&user, "get", path)),
                allowed,
                "{url} on {path}"
            );
            assert!(!rule.allows(&Attributes::path(&user, "post", path)));
            assert!(!rule.allows(&Attributes::resource(&user, "get", "", "pods")));
        }
    }

    #[test]
    fn the_compact_form_leaves_out_what_is_empty() {
        let rule = rule("get,list", "core", "pods", "a");
        assert_eq!(
            rule.compact_string(),
            r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}"#
        );
    }
}
