//! What admission does with the levels: refuse pods, warn about templates, and tell what a namespace's new level
//! would mean for the pods it has.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::check::{Violation, evaluate};
use super::level::{
    AUDIT, AUDIT_VERSION, ENFORCE, ENFORCE_VERSION, LabelError, Level, LevelVersion, Policy, WARN,
    WARN_VERSION,
};
use super::pod::{field, text};
use crate::limits::NAMESPACE_PODS_CHECKED_MAX;
use crate::node::list;
use crate::text::{aggregate, quoted};
use crate::user::UserInfo;

const AUDIT_PREFIX: &str = "pod-security.kubernetes.io/";

/// Who and what is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions {
    /// User names.
    pub usernames: Vec<String>,
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Runtime classes.
    pub runtime_classes: Vec<String>,
}

/// What admission says about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Why it is refused (the detail of a 403 about the object), or `None` if it is not.
    pub denied: Option<String>,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
    /// For the audit log.
    pub audit: BTreeMap<String, String>,
}

impl Answer {
    fn noting(key: &str, value: impl Into<String>) -> Answer {
        let mut answer = Answer::default();
        answer
            .audit
            .insert(format!("{AUDIT_PREFIX}{key}"), value.into());
        answer
    }
}

/// The admission check.
#[derive(Clone, Debug, Default)]
pub struct PodSecurity {
    /// For namespaces whose labels say nothing.
    pub defaults: Policy,
    /// What is not checked.
    pub exemptions: Exemptions,
}

/// Subresources of pods that cannot change what a pod may do.
const IGNORED_SUBRESOURCES: [&str; 8] = [
    "exec",
    "attach",
    "binding",
    "eviction",
    "log",
    "portforward",
    "proxy",
    "status",
];

impl PodSecurity {
    /// Checks a pod that is created or (with `old`) changed. `namespace` is the stored namespace.
    pub fn pod(
        &self,
        user: &UserInfo,
        namespace: &Value,
        subresource: &str,
        pod: &Value,
        old: Option<&Value>,
    ) -> Answer {
        if IGNORED_SUBRESOURCES.contains(&subresource) {
            return Answer::default();
        }
        if let Some(exempt) = self.exempt(user, namespace) {
            return exempt;
        }
        let (policy, errors) = self.policy_of(namespace);
        if errors.is_empty() && policy.is_privileged() {
            return Answer::noting("enforce-policy", "privileged:latest");
        }
        if old.is_some_and(|old| !is_significant_change(pod, old)) {
            return Answer::default();
        }
        self.evaluate(policy, &errors, &pod["metadata"], &pod["spec"], true)
    }

    /// Checks an object that carries a pod template: warnings and audit notes only.
    pub fn template(
        &self,
        user: &UserInfo,
        namespace: &Value,
        subresource: &str,
        object: &Value,
    ) -> Answer {
        if !subresource.is_empty() {
            return Answer::default();
        }
        if let Some(exempt) = self.exempt(user, namespace) {
            return exempt;
        }
        let (policy, errors) = self.policy_of(namespace);
        let silent =
            policy.warn.level == Level::Privileged && policy.audit.level == Level::Privileged;
        let Some(template) = pod_template(object).filter(|_| !(errors.is_empty() && silent)) else {
            return Answer::default();
        };
        self.evaluate(
            policy,
            &errors,
            &template["metadata"],
            &template["spec"],
            false,
        )
    }

    /// Checks the labels of a namespace that is created or (with `old`) changed, and warns about pods that a
    /// stricter level would refuse. `pods` is asked only then.
    ///
    /// # Errors
    /// The labels that are wrong, for a 422 about `metadata.labels`.
    pub fn namespace(
        &self,
        new: &Value,
        old: Option<&Value>,
        pods: impl FnOnce() -> Vec<Value>,
    ) -> Result<Vec<String>, Vec<LabelError>> {
        let name = text(new, "/metadata/name");
        let (policy, errors) = self.policy_of(new);
        let exempt = self.exemptions.namespaces.iter().any(|own| own == name);
        let Some(old) = old else {
            return match (errors.is_empty(), exempt) {
                (false, _) => Err(errors),
                (true, true) => Ok(self.exempt_warning(new, &policy).into_iter().collect()),
                (true, false) => Ok(Vec::new()),
            };
        };
        let (before, old_errors) = self.policy_of(old);
        if !errors.is_empty() && errors != old_errors {
            return Err(errors);
        }
        let (now, was) = (policy.enforce, before.enforce);
        let no_stricter = now.version == was.version && now.level <= was.level;
        if now == was || now.level == Level::Privileged || no_stricter {
            return Ok(Vec::new());
        }
        if exempt {
            return Ok(self.exempt_warning(new, &policy).into_iter().collect());
        }
        Ok(self.namespace_warnings(name, now, pods()))
    }

    fn policy_of(&self, namespace: &Value) -> (Policy, Vec<LabelError>) {
        Policy::from_labels(&namespace["metadata"]["labels"], self.defaults)
    }

    fn exempt(&self, user: &UserInfo, namespace: &Value) -> Option<Answer> {
        let has =
            |names: &[String], name: &str| !name.is_empty() && names.iter().any(|own| own == name);
        if has(
            &self.exemptions.namespaces,
            text(namespace, "/metadata/name"),
        ) {
            return Some(Answer::noting("exempt", "namespace"));
        }
        has(&self.exemptions.usernames, &user.username).then(|| Answer::noting("exempt", "user"))
    }

    fn exempt_class(&self, spec: &Value) -> bool {
        let class = text(spec, "/runtimeClassName");
        !class.is_empty()
            && self
                .exemptions
                .runtime_classes
                .iter()
                .any(|own| own == class)
    }

    fn evaluate(
        &self,
        policy: Policy,
        errors: &[LabelError],
        metadata: &Value,
        spec: &Value,
        enforce: bool,
    ) -> Answer {
        if self.exempt_class(spec) {
            return Answer::noting("exempt", "runtimeClass");
        }
        let mut answer = Answer::default();
        let mut note =
            |key: &str, value: String| answer.audit.insert(format!("{AUDIT_PREFIX}{key}"), value);
        if !errors.is_empty() {
            let texts: Vec<String> = errors.iter().map(LabelError::to_string).collect();
            note(
                "error",
                format!("Failed to parse policy: {}", aggregate(&texts)),
            );
        }
        let violations = |level: LevelVersion| describe(&evaluate(level, metadata, spec));
        if enforce {
            note("enforce-policy", policy.enforce.to_string());
        }
        if let Some(found) = violations(policy.audit) {
            let level = quoted(&policy.audit.to_string());
            note(
                "audit-violations",
                format!("would violate PodSecurity {level}: {found}"),
            );
        }
        if let Some(found) = violations(policy.enforce).filter(|_| enforce) {
            let level = quoted(&policy.enforce.to_string());
            answer.denied = Some(format!("violates PodSecurity {level}: {found}"));
        } else if let Some(found) = violations(policy.warn) {
            let level = quoted(&policy.warn.to_string());
            answer
                .warnings
                .push(format!("would violate PodSecurity {level}: {found}"));
        }
        answer
    }

    fn exempt_warning(&self, namespace: &Value, policy: &Policy) -> Option<String> {
        if policy.is_privileged() || policy.equivalent(&self.defaults) {
            return None;
        }
        let labels = &namespace["metadata"]["labels"];
        let parts: Vec<String> = [
            ("enforce", policy.enforce, ENFORCE, ENFORCE_VERSION),
            ("audit", policy.audit, AUDIT, AUDIT_VERSION),
            ("warn", policy.warn, WARN, WARN_VERSION),
        ]
        .into_iter()
        .filter(|(_, own, level, version)| {
            let labelled = labels.get(*level).is_some() || labels.get(*version).is_some();
            own.level != Level::Privileged && labelled
        })
        .map(|(name, own, ..)| format!("{name}={own}"))
        .collect();
        Some(format!(
            "namespace {} is exempt from Pod Security, and the policy ({}) will be ignored",
            quoted(text(namespace, "/metadata/name")),
            parts.join(", ")
        ))
    }

    /// One line per kind of violation among the pods, with the first pod by name and how many more there are.
    fn namespace_warnings(
        &self,
        namespace: &str,
        enforce: LevelVersion,
        pods: Vec<Value>,
    ) -> Vec<String> {
        let pods = self.one_per_controller_first(&pods);
        let checked = pods.len().min(NAMESPACE_PODS_CHECKED_MAX);
        let mut found: BTreeMap<String, (&str, usize)> = BTreeMap::new();
        for pod in &pods[..checked] {
            let violations = evaluate(enforce, &pod["metadata"], &pod["spec"]);
            if violations.is_empty() {
                continue;
            }
            let reasons: Vec<&str> = violations
                .iter()
                .map(|violation| violation.reason)
                .collect();
            let name = text(pod, "/metadata/name");
            let entry = found.entry(reasons.join(", ")).or_insert((name, 0));
            entry.0 = entry.0.min(name);
            entry.1 += 1;
        }
        let mut warnings = Vec::new();
        if checked < pods.len() {
            warnings.push(format!(
                "new PodSecurity enforce level only checked against the first {checked} of {} existing pods",
                pods.len()
            ));
        }
        if !found.is_empty() {
            warnings.push(format!(
                "existing pods in namespace {} violate the new PodSecurity enforce level {}",
                quoted(namespace),
                quoted(&enforce.to_string())
            ));
        }
        let mut lines: Vec<String> = found
            .into_iter()
            .map(|(reason, (name, count))| match count {
                1 => format!("{name}: {reason}"),
                2 => format!("{name} (and 1 other pod): {reason}"),
                _ => format!("{name} (and {} other pods): {reason}", count - 1),
            })
            .collect();
        lines.sort_unstable();
        warnings.extend(lines);
        warnings
    }

    /// Pods of one controller are alike, so one of each comes first.
    fn one_per_controller_first<'p>(&self, pods: &'p [Value]) -> Vec<&'p Value> {
        let mut controllers = HashSet::new();
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for pod in pods.iter().filter(|pod| !self.exempt_class(&pod["spec"])) {
            let controller = list(&pod["metadata"], "ownerReferences")
                .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
            match controller {
                Some(owner) if !controllers.insert(text(owner, "/uid")) => rest.push(pod),
                _ => first.push(pod),
            }
        }
        first.extend(rest);
        first
    }
}

impl std::fmt::Display for LabelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "metadata.labels[{}]: Invalid value: {}: {}",
            self.label,
            quoted(&self.value),
            self.detail
        )
    }
}

fn describe(violations: &[Violation]) -> Option<String> {
    let texts: Vec<String> = violations.iter().map(Violation::describe).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// The pod template inside an object of a workload kind, or `None` for other kinds.
pub fn pod_template(object: &Value) -> Option<&Value> {
    let pointer = match text(object, "/kind") {
        "PodTemplate" => "/template",
        "ReplicationController"
        | "ReplicaSet"
        | "Deployment"
        | "DaemonSet"
        | "StatefulSet"
        | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    field(object, pointer)
}

/// True if an update adds, removes or changes the image of a container; nothing else of a pod's security can
/// change.
fn is_significant_change(pod: &Value, old: &Value) -> bool {
    let (new, old) = (&pod["spec"], &old["spec"]);
    let images = |spec: &Value, key: &str| -> Vec<String> {
        list(spec, key)
            .map(|container| text(container, "/image").to_owned())
            .collect()
    };
    ["containers", "initContainers"]
        .iter()
        .any(|key| images(new, key) != images(old, key))
        || list(new, "ephemeralContainers").any(|container| {
            let name = text(container, "/name");
            let before =
                list(old, "ephemeralContainers").find(|other| text(other, "/name") == name);
            before.is_none_or(|before| text(before, "/image") != text(container, "/image"))
        })
}
