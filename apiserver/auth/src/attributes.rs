//! What a request wants to do, and what is said when it may not.

use crate::text::quoted;
use crate::user::UserInfo;

/// One term of a field selector that a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field, such as `spec.nodeName`.
    pub field: String,
    /// True for `=` and `==`, false for `!=`.
    pub equal: bool,
    /// The value compared with.
    pub value: String,
}

/// The question put to an authorizer. Borrowed, so that asking allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Who asks.
    pub user: &'a UserInfo,
    /// `get`, `list`, … or the lower-case HTTP method for a path that is no resource.
    pub verb: &'a str,
    /// The API group; empty for core.
    pub group: &'a str,
    /// The API version, `*` in checks that mean any.
    pub version: &'a str,
    /// The plural resource.
    pub resource: &'a str,
    /// The subresource or empty.
    pub subresource: &'a str,
    /// The namespace, empty for cluster-scoped resources and for all namespaces.
    pub namespace: &'a str,
    /// The object's name, empty where the request names none.
    pub name: &'a str,
    /// False for a path that is no resource; then only `verb` and `path` count.
    pub resource_request: bool,
    /// The URL path of a request that is no resource request.
    pub path: &'a str,
    /// The terms of the request's field selector (for list, watch and deletecollection).
    pub field_selector: &'a [FieldRequirement],
}

impl<'a> Attributes<'a> {
    /// A question about a resource; fill in the rest with struct update syntax.
    pub fn resource(
        user: &'a UserInfo,
        verb: &'a str,
        group: &'a str,
        resource: &'a str,
    ) -> Attributes<'a> {
        Attributes {
            user,
            verb,
            group,
            version: "*",
            resource,
            subresource: "",
            namespace: "",
            name: "",
            resource_request: true,
            path: "",
            field_selector: &[],
        }
    }

    /// A question about a path that is no resource.
    pub fn path(user: &'a UserInfo, verb: &'a str, path: &'a str) -> Attributes<'a> {
        Attributes {
            resource_request: false,
            path,
            ..Attributes::resource(user, verb, "", "")
        }
    }

    /// The same question for a namespace and a name.
    #[must_use]
    pub fn object(self, namespace: &'a str, name: &'a str) -> Attributes<'a> {
        Attributes {
            namespace,
            name,
            ..self
        }
    }

    /// The same question for a subresource.
    #[must_use]
    pub fn part(self, subresource: &'a str) -> Attributes<'a> {
        Attributes {
            subresource,
            ..self
        }
    }

    /// True if the field selector holds `field=value`.
    pub fn selects(&self, field: &str, value: &str) -> bool {
        self.field_selector
            .iter()
            .any(|term| term.equal && term.field == field && term.value == value)
    }
}

/// An authorizer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request may go on; nobody else is asked.
    Allow,
    /// The request must not go on; nobody else is asked.
    Deny,
    /// The next authorizer is asked; if none allows, the request is refused.
    NoOpinion,
}

/// A decision and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// For people; may be empty.
    pub reason: String,
}

impl Verdict {
    /// Allowed.
    pub fn allow(reason: impl Into<String>) -> Verdict {
        Verdict {
            decision: Decision::Allow,
            reason: reason.into(),
        }
    }

    /// No opinion.
    pub fn no_opinion(reason: impl Into<String>) -> Verdict {
        Verdict {
            decision: Decision::NoOpinion,
            reason: reason.into(),
        }
    }

    /// True if allowed.
    pub fn allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}

/// The message of the 403 Status for a refused request, as upstream's `ForbiddenStatusError`.
pub fn forbidden_message(attributes: &Attributes<'_>, reason: &str) -> String {
    let mut detail = escape_html(&cannot(attributes));
    if !reason.is_empty() {
        detail.push_str(": ");
        detail.push_str(reason);
    }
    forbidden_object(
        attributes.group,
        attributes.resource,
        attributes.name,
        &detail,
    )
}

/// The message of a 403 Status about an object: `pods "x" is forbidden: detail`.
pub fn forbidden_object(group: &str, resource: &str, name: &str, detail: &str) -> String {
    let qualified = if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    };
    if resource.is_empty() && group.is_empty() {
        format!("forbidden: {detail}")
    } else if name.is_empty() {
        format!("{qualified} is forbidden: {detail}")
    } else {
        format!("{qualified} {} is forbidden: {detail}", quoted(name))
    }
}

fn cannot(attributes: &Attributes<'_>) -> String {
    let user = quoted(&attributes.user.username);
    let verb = attributes.verb;
    if !attributes.resource_request {
        return format!("User {user} cannot {verb} path {}", quoted(attributes.path));
    }
    let resource = match attributes.subresource {
        "" => attributes.resource.to_owned(),
        subresource => format!("{}/{subresource}", attributes.resource),
    };
    let what = format!(
        "User {user} cannot {verb} resource {} in API group {}",
        quoted(&resource),
        quoted(attributes.group)
    );
    match attributes.namespace {
        "" => format!("{what} at the cluster scope"),
        namespace => format!("{what} in the namespace {}", quoted(namespace)),
    }
}

/// The caller chose these texts, and a browser might show them.
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_upstream_writes_them() {
        let user = UserInfo::new("x", &[]);
        let list = Attributes::resource(&user, "list", "", "pods");
        for (attributes, reason, expected) in [
            (
                list.object("default", ""),
                "",
                r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default""#,
            ),
            (
                list,
                "",
                r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" at the cluster scope"#,
            ),
            (
                Attributes::resource(&user, "update", "apps", "deployments")
                    .object("ns", "web")
                    .part("scale"),
                r#"RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#,
                r#"deployments.apps "web" is forbidden: User "x" cannot update resource "deployments/scale" in API group "apps" in the namespace "ns": RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#,
            ),
            (
                Attributes::path(&user, "get", "/metrics"),
                "",
                r#"forbidden: User "x" cannot get path "/metrics""#,
            ),
        ] {
            assert_eq!(forbidden_message(&attributes, reason), expected);
        }
    }

    #[test]
    fn markup_in_a_user_name_is_escaped() {
        let user = UserInfo::new("<b>&", &[]);
        let message = forbidden_message(&Attributes::path(&user, "get", "/x"), "");
        assert_eq!(
            message,
            r#"forbidden: User "&lt;b&gt;&amp;" cannot get path "/x""#
        );
    }
}
