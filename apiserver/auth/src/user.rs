//! Who a request comes from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Members may do anything; the check comes before every other.
pub const MASTERS_GROUP: &str = "system:masters";
/// The group of kubelets.
pub const NODES_GROUP: &str = "system:nodes";
/// Everyone who proved who they are.
pub const AUTHENTICATED_GROUP: &str = "system:authenticated";
/// Everyone who did not.
pub const UNAUTHENTICATED_GROUP: &str = "system:unauthenticated";
/// The name of a caller without credentials.
pub const ANONYMOUS_USER: &str = "system:anonymous";
/// The apiserver's own name when it calls itself.
pub const APISERVER_USER: &str = "system:apiserver";
/// User names of kubelets are this and the node's name.
pub const NODE_USER_PREFIX: &str = "system:node:";
/// User names of service accounts are this, the namespace, `:` and the name.
pub const SERVICE_ACCOUNT_USER_PREFIX: &str = "system:serviceaccount:";
/// The group of every service account.
pub const SERVICE_ACCOUNTS_GROUP: &str = "system:serviceaccounts";
/// The extra key that identifies the credential itself (a token's id, a certificate's hash).
pub const CREDENTIAL_ID_KEY: &str = "authentication.kubernetes.io/credential-id";

/// Everything known about a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The unique name.
    pub username: String,
    /// Changes when a user is removed and another of the same name is added; often empty.
    pub uid: String,
    /// The groups, in the order in which they were found.
    pub groups: Vec<String>,
    /// What else the authenticator found, by lower-case key.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user with a name and groups only.
    pub fn new(username: impl Into<String>, groups: &[&str]) -> UserInfo {
        UserInfo {
            username: username.into(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..UserInfo::default()
        }
    }

    /// The caller without credentials.
    pub fn anonymous() -> UserInfo {
        UserInfo::new(ANONYMOUS_USER, &[UNAUTHENTICATED_GROUP])
    }

    /// The apiserver itself, allowed everything.
    pub fn apiserver() -> UserInfo {
        UserInfo::new(APISERVER_USER, &[MASTERS_GROUP, AUTHENTICATED_GROUP])
    }

    /// True if the user is in the group.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Adds `system:authenticated` unless the user is anonymous or already says which of the two groups
    /// it belongs to.
    pub fn with_authenticated_group(mut self) -> UserInfo {
        if self.username != ANONYMOUS_USER
            && !self.in_group(AUTHENTICATED_GROUP)
            && !self.in_group(UNAUTHENTICATED_GROUP)
        {
            self.groups.push(AUTHENTICATED_GROUP.to_owned());
        }
        self
    }

    /// The node this user is the kubelet of, or `None` if it is no kubelet. The name may be empty: then the
    /// user claims to be a node but does not say which.
    pub fn node_name(&self) -> Option<&str> {
        let name = self.username.strip_prefix(NODE_USER_PREFIX)?;
        self.in_group(NODES_GROUP).then_some(name)
    }

    /// The `UserInfo` of authentication.k8s.io/v1, without empty fields.
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        if !self.username.is_empty() {
            out.insert("username".to_owned(), json!(self.username));
        }
        if !self.uid.is_empty() {
            out.insert("uid".to_owned(), json!(self.uid));
        }
        if !self.groups.is_empty() {
            out.insert("groups".to_owned(), json!(self.groups));
        }
        if !self.extra.is_empty() {
            out.insert("extra".to_owned(), json!(self.extra));
        }
        Value::Object(out)
    }
}

/// The user name of a service account.
pub fn service_account_username(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT_USER_PREFIX}{namespace}:{name}")
}

/// The groups every service account of a namespace is in.
pub fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![
        SERVICE_ACCOUNTS_GROUP.to_owned(),
        format!("{SERVICE_ACCOUNTS_GROUP}:{namespace}"),
    ]
}

/// Namespace and name of a service account, or `None` if the user name is not of one.
pub fn split_service_account(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username
        .strip_prefix(SERVICE_ACCOUNT_USER_PREFIX)?
        .split_once(':')?;
    (is_dns_label(namespace) && is_dns_subdomain(name)).then_some((namespace, name))
}

fn is_dns_label(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric)
        && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
}

pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text
            .split('.')
            .all(|label| is_subdomain_label(label.as_bytes()))
}

fn is_subdomain_label(bytes: &[u8]) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric)
        && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_account_names_split_only_in_their_exact_form() {
        for (username, expected) in [
            (
                "system:serviceaccount:default:builder",
                Some(("default", "builder")),
            ),
            ("system:serviceaccount:ns:a.b-c", Some(("ns", "a.b-c"))),
            ("system:serviceaccount:ns:a:b", None),
            ("system:serviceaccount:ns:", None),
            ("system:serviceaccount::name", None),
            ("system:serviceaccount:a.b:name", None),
            ("system:serviceaccount:Ns:name", None),
            ("system:node:n1", None),
            ("", None),
        ] {
            assert_eq!(split_service_account(username), expected, "{username}");
        }
    }

    #[test]
    fn the_authenticated_group_is_added_once_and_never_to_the_anonymous() {
        let groups = |user: UserInfo| user.with_authenticated_group().groups;
        assert_eq!(
            groups(UserInfo::new("a", &["dev"])),
            ["dev", AUTHENTICATED_GROUP]
        );
        assert_eq!(
            groups(UserInfo::new("a", &[AUTHENTICATED_GROUP])),
            [AUTHENTICATED_GROUP]
        );
        assert_eq!(
            groups(UserInfo::new("a", &[UNAUTHENTICATED_GROUP])),
            [UNAUTHENTICATED_GROUP]
        );
        assert_eq!(groups(UserInfo::anonymous()), [UNAUTHENTICATED_GROUP]);
    }

    #[test]
    fn a_kubelet_needs_both_the_name_and_the_group() {
        assert_eq!(
            UserInfo::new("system:node:n1", &[NODES_GROUP]).node_name(),
            Some("n1")
        );
        assert_eq!(
            UserInfo::new("system:node:", &[NODES_GROUP]).node_name(),
            Some("")
        );
        assert_eq!(UserInfo::new("system:node:n1", &[]).node_name(), None);
        assert_eq!(UserInfo::new("n1", &[NODES_GROUP]).node_name(), None);
    }
}
