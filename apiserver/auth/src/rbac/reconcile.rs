//! How the policy of the tables is kept in a cluster whose administrator changes it: what is missing is
//! added, nothing is taken away, and an object whose autoupdate annotation is `false` is left alone.

use serde_json::{Map, Value};

use super::cover::covers;
use super::object::meta;
use super::rule::PolicyRule;

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What to do about one object of the policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Reconciled {
    /// It is as it should be.
    Unchanged,
    /// Its annotation says to leave it alone.
    Protected,
    /// It does not exist: create this.
    Create(Value),
    /// Write this in place of what exists.
    Update(Value),
    /// Delete what exists (with its uid as a precondition) and create this: a binding cannot change its role.
    Recreate(Value),
}

/// What to do about a `Role` or `ClusterRole`.
pub fn reconcile_role(existing: Option<&Value>, expected: &Value) -> Reconciled {
    let Some(existing) = existing else {
        return Reconciled::Create(expected.clone());
    };
    if protected(existing) {
        return Reconciled::Protected;
    }
    let mut updated = existing.clone();
    merge_metadata(&mut updated, expected);
    let rules = |role: &Value| -> Vec<PolicyRule> {
        let rules = role
            .get("rules")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        rules.iter().map(PolicyRule::from_value).collect()
    };
    // The tables are far below the limit, so an error cannot come from what is expected.
    let missing = covers(&rules(existing), &rules(expected)).unwrap_or_default();
    append(
        &mut updated,
        &["rules"],
        missing.iter().map(PolicyRule::to_value),
    );
    reconcile_aggregation(&mut updated, existing, expected);
    finish(existing, updated)
}

fn reconcile_aggregation(updated: &mut Value, existing: &Value, expected: &Value) {
    let selectors = |role: &Value| {
        let rule = role.get("aggregationRule").filter(|rule| !rule.is_null())?;
        Some(
            rule.get("clusterRoleSelectors")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        )
    };
    let Some(wanted) = selectors(expected) else {
        if let Some(role) = updated.as_object_mut() {
            role.remove("aggregationRule");
        }
        return;
    };
    let own = selectors(existing).unwrap_or_default();
    let missing = wanted
        .into_iter()
        .filter(|selector| !own.contains(selector));
    append(
        updated,
        &["aggregationRule", "clusterRoleSelectors"],
        missing,
    );
}

/// What to do about a `RoleBinding` or `ClusterRoleBinding`.
pub fn reconcile_binding(existing: Option<&Value>, expected: &Value) -> Reconciled {
    let Some(existing) = existing else {
        return Reconciled::Create(expected.clone());
    };
    if protected(existing) {
        return Reconciled::Protected;
    }
    if existing.get("roleRef") != expected.get("roleRef") {
        return Reconciled::Recreate(expected.clone());
    }
    let mut updated = existing.clone();
    merge_metadata(&mut updated, expected);
    let subjects = |binding: &Value| -> Vec<Value> {
        binding
            .get("subjects")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let own = subjects(existing);
    let missing = subjects(expected)
        .into_iter()
        .filter(|subject| !own.contains(subject));
    append(&mut updated, &["subjects"], missing);
    finish(existing, updated)
}

fn protected(existing: &Value) -> bool {
    let annotation = existing
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(AUTOUPDATE));
    annotation.and_then(Value::as_str) == Some("false")
}

fn finish(existing: &Value, updated: Value) -> Reconciled {
    if *existing == updated {
        Reconciled::Unchanged
    } else {
        Reconciled::Update(updated)
    }
}

/// Adds expected labels and annotations; those that exist keep their values.
fn merge_metadata(updated: &mut Value, expected: &Value) {
    for field in ["annotations", "labels"] {
        let Some(wanted) = expected
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_object)
        else {
            continue;
        };
        let own = object_at(updated, &["metadata", field]);
        for (key, value) in wanted {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

fn append(updated: &mut Value, path: &[&str], items: impl Iterator<Item = Value>) {
    let items: Vec<Value> = items.collect();
    let Some((last, parents)) = path.split_last().filter(|_| !items.is_empty()) else {
        return;
    };
    let list = object_at(updated, parents)
        .entry((*last).to_owned())
        .or_insert(Value::Null);
    match list {
        Value::Array(list) => list.extend(items),
        other => *other = Value::Array(items),
    }
}

/// The object at the path, made where it is missing.
fn object_at<'v>(value: &'v mut Value, path: &[&str]) -> &'v mut Map<String, Value> {
    let mut value = value;
    for key in path {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        value = value
            .as_object_mut()
            .expect("made an object above")
            .entry(*key)
            .or_insert(Value::Null);
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object above")
}

/// The rules an aggregated cluster role should hold: those of every other role its selectors choose, by name,
/// each rule once. `None` if the role does not aggregate.
pub fn aggregate_rules(role: &Value, all: &[&Value]) -> Option<Vec<Value>> {
    let selectors = role
        .pointer("/aggregationRule/clusterRoleSelectors")?
        .as_array()?;
    let mut sources: Vec<&&Value> = all
        .iter()
        .filter(|other| meta(other, "name") != meta(role, "name"))
        .collect();
    sources.sort_by_key(|other| meta(other, "name"));
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors {
        for source in sources.iter().filter(|source| selects(selector, source)) {
            for rule in source
                .get("rules")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Some(rules)
}

/// A LabelSelector on an object's labels. An empty selector chooses everything.
fn selects(selector: &Value, object: &Value) -> bool {
    let label = |key: &str| {
        object
            .pointer("/metadata/labels")
            .and_then(|labels| labels.get(key))
    };
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    exact.is_none_or(|exact| exact.iter().all(|(key, value)| label(key) == Some(value)))
        && expressions.into_iter().flatten().all(|expression| {
            let own = label(
                expression
                    .get("key")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            );
            let values = expression.get("values").and_then(Value::as_array);
            let listed = own.is_some_and(|own| values.is_some_and(|values| values.contains(own)));
            match expression.get("operator").and_then(Value::as_str) {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => own.is_some(),
                Some("DoesNotExist") => own.is_none(),
                _ => false,
            }
        })
}
