//! All roles and bindings, compiled so that a request finds its rules with a few hash look-ups: from the
//! caller's name and groups to bindings, from a binding to its role, and within the role from the resource to
//! the few rules that name it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::object::{Binding, Role, RoleKind, RoleRef, meta};
use super::rule::{PolicyRule, url_matches};
use crate::attributes::Attributes;
use crate::text::quoted;
use crate::user::UserInfo;

/// A change of one object, as the watch caches deliver it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A role or cluster role was added or changed.
    Role(Role),
    /// A role (namespace, name) or cluster role (empty, name) is gone.
    RoleGone(String, String),
    /// A binding was added or changed.
    Binding(Binding),
    /// A role binding (namespace, name) or cluster role binding (empty, name) is gone.
    BindingGone(String, String),
}

impl Event {
    /// The event for an object of one of the four resources (`roles`, `clusterroles`, …) that was added, changed
    /// or, with `gone`, deleted; `None` for other resources. Also `None` if a namespace is missing or too much: a
    /// role must never be taken for a cluster role.
    pub fn from_object(resource: &str, object: &serde_json::Value, gone: bool) -> Option<Event> {
        let (namespace, name) = (meta(object, "namespace"), meta(object, "name"));
        if resource.starts_with("cluster") != namespace.is_empty() {
            return None;
        }
        match (resource, gone) {
            ("roles" | "clusterroles", false) => Some(Event::Role(Role::from_value(object))),
            ("roles" | "clusterroles", true) => Some(Event::RoleGone(namespace, name)),
            ("rolebindings" | "clusterrolebindings", false) => {
                Some(Event::Binding(Binding::from_value(object)))
            }
            ("rolebindings" | "clusterrolebindings", true) => {
                Some(Event::BindingGone(namespace, name))
            }
            _ => None,
        }
    }
}

/// A role with its rules found by resource.
#[derive(Debug)]
struct CompiledRole {
    rules: Arc<Vec<PolicyRule>>,
    /// `pods`, `pods/log` and `*/scale` → positions of rules.
    by_resource: HashMap<String, Vec<u32>>,
    /// Rules on resource `*`.
    any_resource: Vec<u32>,
    /// Rules on paths.
    paths: Vec<u32>,
}

impl CompiledRole {
    fn new(rules: Arc<Vec<PolicyRule>>) -> CompiledRole {
        let mut by_resource: HashMap<String, Vec<u32>> = HashMap::new();
        let (mut any_resource, mut paths) = (Vec::new(), Vec::new());
        for (position, rule) in (0_u32..).zip(rules.iter()) {
            if !rule.non_resource_urls.is_empty() {
                paths.push(position);
            }
            if rule.resources.iter().any(|resource| resource == "*") {
                any_resource.push(position);
                continue;
            }
            for resource in &rule.resources {
                by_resource
                    .entry(resource.clone())
                    .or_default()
                    .push(position);
            }
        }
        CompiledRole {
            rules,
            by_resource,
            any_resource,
            paths,
        }
    }

    fn rule(&self, position: u32) -> &PolicyRule {
        &self.rules[position as usize]
    }

    fn allows(&self, question: &Question<'_>) -> bool {
        let attributes = question.attributes;
        if !attributes.resource_request {
            return self
                .paths
                .iter()
                .map(|&position| self.rule(position))
                .any(|rule| {
                    rule.verb_matches(attributes.verb)
                        && rule
                            .non_resource_urls
                            .iter()
                            .any(|url| url_matches(url, attributes.path))
                });
        }
        let matches = |positions: &[u32]| {
            positions
                .iter()
                .map(|&position| self.rule(position))
                .any(|rule| {
                    rule.verb_matches(attributes.verb)
                        && rule.group_matches(attributes.group)
                        && rule.name_matches(attributes.name)
                })
        };
        let named = |key: &str| {
            self.by_resource
                .get(key)
                .is_some_and(|positions| matches(positions))
        };
        matches(&self.any_resource)
            || named(&question.combined)
            || question.any_of_subresource.as_deref().is_some_and(named)
    }
}

/// A request with the two keys it is looked up by.
struct Question<'a> {
    attributes: &'a Attributes<'a>,
    combined: std::borrow::Cow<'a, str>,
    any_of_subresource: Option<String>,
}

impl<'a> Question<'a> {
    fn new(attributes: &'a Attributes<'a>) -> Question<'a> {
        let subresource = attributes.subresource;
        if subresource.is_empty() {
            return Question {
                attributes,
                combined: attributes.resource.into(),
                any_of_subresource: None,
            };
        }
        Question {
            attributes,
            combined: format!("{}/{subresource}", attributes.resource).into(),
            any_of_subresource: Some(format!("*/{subresource}")),
        }
    }
}

/// The bindings of one namespace (or of the cluster) by whom they are for.
#[derive(Debug, Default)]
struct Scope {
    bindings: BTreeMap<String, Arc<Binding>>,
    users: HashMap<String, Vec<Arc<Binding>>>,
    groups: HashMap<String, Vec<Arc<Binding>>>,
}

impl Scope {
    fn insert(&mut self, binding: Binding) {
        self.remove(&binding.name);
        let binding = Arc::new(binding);
        self.each_key(&binding, |list| list.push(binding.clone()));
        self.bindings.insert(binding.name.clone(), binding);
    }

    fn remove(&mut self, name: &str) {
        let Some(binding) = self.bindings.remove(name) else {
            return;
        };
        self.each_key(&binding, |list| {
            list.retain(|other| !Arc::ptr_eq(other, &binding))
        });
        for subject in &binding.subjects {
            if let Some(user) = subject.username(&binding.namespace)
                && self.users.get(&user).is_some_and(Vec::is_empty)
            {
                self.users.remove(&user);
            }
            if self.groups.get(&subject.name).is_some_and(Vec::is_empty) {
                self.groups.remove(&subject.name);
            }
        }
    }

    /// Calls `change` with the list of every key the binding stands under, once per key.
    fn each_key(&mut self, binding: &Binding, mut change: impl FnMut(&mut Vec<Arc<Binding>>)) {
        let mut users: Vec<String> = binding
            .subjects
            .iter()
            .filter_map(|subject| subject.username(&binding.namespace))
            .collect();
        users.sort_unstable();
        users.dedup();
        for user in users {
            change(self.users.entry(user).or_default());
        }
        let mut groups: Vec<&str> = binding
            .subjects
            .iter()
            .filter(|subject| subject.kind == super::SubjectKind::Group)
            .map(|subject| subject.name.as_str())
            .collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            change(self.groups.entry(group.to_owned()).or_default());
        }
    }

    /// Every binding for the user; one that means them in several ways may come more than once.
    fn bindings_for<'s>(&'s self, user: &'s UserInfo) -> impl Iterator<Item = &'s Arc<Binding>> {
        let by_name = self.users.get(&user.username);
        let by_group = user
            .groups
            .iter()
            .filter_map(|group| self.groups.get(group));
        by_name.into_iter().chain(by_group).flatten()
    }
}

/// Every role and binding. Plain data: the owner guards it and feeds it events.
#[derive(Debug, Default)]
pub struct RbacIndex {
    cluster_roles: HashMap<String, CompiledRole>,
    roles: HashMap<String, HashMap<String, CompiledRole>>,
    cluster: Scope,
    namespaces: HashMap<String, Scope>,
}

impl RbacIndex {
    /// Takes in one change. An event about an object that is unknown changes nothing.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Role(role) => {
                let compiled = CompiledRole::new(role.rules);
                if role.namespace.is_empty() {
                    self.cluster_roles.insert(role.name, compiled);
                } else {
                    self.roles
                        .entry(role.namespace)
                        .or_default()
                        .insert(role.name, compiled);
                }
            }
            Event::RoleGone(namespace, name) => self.remove_role(&namespace, &name),
            Event::Binding(binding) if binding.namespace.is_empty() => self.cluster.insert(binding),
            Event::Binding(binding) => {
                self.namespaces
                    .entry(binding.namespace.clone())
                    .or_default()
                    .insert(binding);
            }
            Event::BindingGone(namespace, name) => self.remove_binding(&namespace, &name),
        }
    }

    fn remove_role(&mut self, namespace: &str, name: &str) {
        if namespace.is_empty() {
            self.cluster_roles.remove(name);
        } else if let Some(roles) = self.roles.get_mut(namespace) {
            roles.remove(name);
            if roles.is_empty() {
                self.roles.remove(namespace);
            }
        }
    }

    fn remove_binding(&mut self, namespace: &str, name: &str) {
        if namespace.is_empty() {
            self.cluster.remove(name);
        } else if let Some(scope) = self.namespaces.get_mut(namespace) {
            scope.remove(name);
            if scope.bindings.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }

    fn compiled(&self, role_ref: &RoleRef, namespace: &str) -> Result<&CompiledRole, String> {
        let missing = |resource: &str| {
            format!(
                "{resource}.{} {} not found",
                super::GROUP,
                quoted(&role_ref.name)
            )
        };
        match role_ref.role_kind() {
            Some(RoleKind::ClusterRole) => self
                .cluster_roles
                .get(&role_ref.name)
                .ok_or_else(|| missing("clusterrole")),
            Some(RoleKind::Role) => self
                .roles
                .get(namespace)
                .and_then(|roles| roles.get(&role_ref.name))
                .ok_or_else(|| missing("role")),
            None => Err(format!(
                "unsupported role reference kind: {}",
                quoted(&role_ref.kind)
            )),
        }
    }

    /// The rules of the role that a binding in `namespace` (empty: cluster-wide) refers to.
    ///
    /// # Errors
    /// The text of upstream's error if there is no such role.
    pub fn role_rules(
        &self,
        role_ref: &RoleRef,
        namespace: &str,
    ) -> Result<Arc<Vec<PolicyRule>>, String> {
        self.compiled(role_ref, namespace)
            .map(|role| role.rules.clone())
    }

    fn scopes(&self, namespace: &str) -> impl Iterator<Item = &Scope> {
        let own = if namespace.is_empty() {
            None
        } else {
            self.namespaces.get(namespace)
        };
        std::iter::once(&self.cluster).chain(own)
    }

    /// The binding that allows the request, described for a reason; or the errors met on the way (bindings
    /// whose role does not exist).
    pub fn allowed_by(&self, attributes: &Attributes<'_>) -> Result<String, Vec<String>> {
        let question = Question::new(attributes);
        let mut errors = Vec::new();
        for binding in self
            .scopes(attributes.namespace)
            .flat_map(|scope| scope.bindings_for(attributes.user))
        {
            match self.compiled(&binding.role_ref, &binding.namespace) {
                Ok(role) if role.allows(&question) => {
                    let subject = binding.subject_for(attributes.user);
                    let subject = subject.expect("the binding was found under one of its subjects");
                    return Ok(binding.describe(subject));
                }
                Ok(_) => {}
                Err(error) => errors.push(error),
            }
        }
        Err(errors)
    }

    /// Every rule the user has in the namespace (empty: cluster-wide only), and the errors met on the way.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        for scope in self.scopes(namespace) {
            let mut seen: Vec<*const Binding> = Vec::new();
            for binding in scope.bindings_for(user) {
                if seen.contains(&Arc::as_ptr(binding)) {
                    continue;
                }
                seen.push(Arc::as_ptr(binding));
                match self.compiled(&binding.role_ref, &binding.namespace) {
                    Ok(role) => rules.extend(role.rules.iter().cloned()),
                    Err(error) => errors.push(error),
                }
            }
        }
        (rules, errors)
    }
}
