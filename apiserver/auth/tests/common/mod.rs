//! Roles and bindings in few words.

use std::sync::Arc;

use mainstay_auth::rbac::{Binding, Event, PolicyRule, Role, RoleRef, Subject, SubjectKind};

/// A rule whose three parts are lists of names divided by commas; `core` is the core group.
pub(crate) fn rule_of(verbs: &str, groups: &str, resources: &str) -> PolicyRule {
    let list = |text: &str| {
        text.split(',')
            .map(|item| item.replace("core", ""))
            .collect()
    };
    PolicyRule {
        verbs: list(verbs),
        api_groups: list(groups),
        resources: list(resources),
        ..PolicyRule::default()
    }
}

pub(crate) fn urls(verbs: &str, urls: &str) -> PolicyRule {
    PolicyRule {
        verbs: vec![verbs.to_owned()],
        non_resource_urls: vec![urls.to_owned()],
        ..PolicyRule::default()
    }
}

pub(crate) fn role(namespace: &str, name: &str, rules: &[PolicyRule]) -> Event {
    Event::Role(Role {
        namespace: namespace.into(),
        name: name.into(),
        rules: Arc::new(rules.to_vec()),
    })
}

pub(crate) fn binding(
    namespace: &str,
    name: &str,
    kind: &str,
    role: &str,
    subjects: Vec<Subject>,
) -> Event {
    Event::Binding(Binding {
        namespace: namespace.into(),
        name: name.into(),
        role_ref: RoleRef {
            kind: kind.into(),
            name: role.into(),
        },
        subjects,
    })
}

pub(crate) fn user_subject(name: &str) -> Subject {
    Subject {
        kind: SubjectKind::User,
        name: name.into(),
        namespace: String::new(),
    }
}
