//! Does one set of rules allow all that another allows? Asked before somebody grants rules.

use std::collections::HashMap;

use super::rule::PolicyRule;
use crate::limits::ATOMIC_RULES_MAX;

/// The atomic parts of `wanted` that no rule of `held` covers; empty means all is covered. A rule is broken
/// into single (group, resource, verb, name) and (path, verb) parts, and each must be covered by one held rule.
///
/// # Errors
/// Whether the parts are more than [`ATOMIC_RULES_MAX`]: then nothing was compared.
pub fn covers(held: &[PolicyRule], wanted: &[PolicyRule]) -> Result<Vec<PolicyRule>, TooManyRules> {
    let total: usize = wanted
        .iter()
        .map(count_atoms)
        .fold(0, usize::saturating_add);
    if total > ATOMIC_RULES_MAX {
        return Err(TooManyRules);
    }
    let parts = wanted.iter().flat_map(break_down);
    Ok(parts
        .filter(|part| !held.iter().any(|own| covers_atom(own, part)))
        .collect())
}

/// A role with more atomic rules than [`ATOMIC_RULES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rules name more than {ATOMIC_RULES_MAX} combinations of group, resource, verb and name"
)]
pub struct TooManyRules;

fn count_atoms(rule: &PolicyRule) -> usize {
    let resources = rule
        .api_groups
        .len()
        .saturating_mul(rule.resources.len())
        .saturating_mul(rule.verbs.len())
        .saturating_mul(rule.resource_names.len().max(1));
    resources.saturating_add(
        rule.non_resource_urls
            .len()
            .saturating_mul(rule.verbs.len()),
    )
}

fn break_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let one = |text: &String| vec![text.clone()];
    let mut parts = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let part = PolicyRule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..PolicyRule::default()
                };
                if rule.resource_names.is_empty() {
                    parts.push(part);
                    continue;
                }
                let named = rule.resource_names.iter();
                parts.extend(named.map(|name| PolicyRule {
                    resource_names: one(name),
                    ..part.clone()
                }));
            }
        }
    }
    for url in &rule.non_resource_urls {
        let verbs = rule.verbs.iter();
        parts.extend(verbs.map(|verb| PolicyRule {
            verbs: one(verb),
            non_resource_urls: one(url),
            ..PolicyRule::default()
        }));
    }
    parts
}

/// `part` has at most one entry in each list.
fn covers_atom(own: &PolicyRule, part: &PolicyRule) -> bool {
    let has = |set: &[String], wanted: &String| set.contains(wanted);
    let all = |set: &[String], wanted: &[String]| {
        set.iter().any(|own| own == "*") || wanted.iter().all(|item| has(set, item))
    };
    let names = own.resource_names.is_empty()
        || (!part.resource_names.is_empty()
            && part
                .resource_names
                .iter()
                .all(|name| has(&own.resource_names, name)));
    all(&own.verbs, &part.verbs)
        && all(&own.api_groups, &part.api_groups)
        && part
            .resources
            .iter()
            .all(|resource| covers_resource(&own.resources, resource))
        && names
        && part.non_resource_urls.iter().all(|url| {
            own.non_resource_urls.iter().any(|own| {
                own == url || (own.ends_with('*') && url.starts_with(own.trim_end_matches('*')))
            })
        })
}

fn covers_resource(set: &[String], resource: &str) -> bool {
    set.iter().any(|own| own == "*" || own == resource)
        || resource.split_once('/').is_some_and(|(_, subresource)| {
            set.iter()
                .any(|own| own.strip_prefix("*/") == Some(subresource))
        })
}

/// Puts atomic rules on the same resource (and name) together, for a shorter message.
pub fn compact(rules: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut out: Vec<PolicyRule> = Vec::new();
    let mut by_key: HashMap<(String, String, Vec<String>), usize> = HashMap::new();
    for rule in rules {
        let simple = rule.resource_names.len() <= 1
            && rule.non_resource_urls.is_empty()
            && rule.api_groups.len() == 1
            && rule.resources.len() == 1;
        if !simple {
            out.push(rule.clone());
            continue;
        }
        let key = (
            rule.api_groups[0].clone(),
            rule.resources[0].clone(),
            rule.resource_names.clone(),
        );
        match by_key.get(&key) {
            Some(&position) => out[position].verbs.extend(rule.verbs.iter().cloned()),
            None => {
                by_key.insert(key, out.len());
                out.push(rule.clone());
            }
        }
    }
    out
}
