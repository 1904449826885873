//! What the status of a namespace says about its end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NamespaceCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What one round has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Why not all resources are known.
    pub(super) discovery: Option<String>,
    /// What could not be deleted, and why.
    pub(super) errors: Vec<String>,
    /// Objects that are still there, by `resource.group`.
    pub(super) remaining: BTreeMap<String, usize>,
    /// Objects that wait for a finalizer, by its name.
    pub(super) finalizers: BTreeMap<String, usize>,
}

/// Type, and reason and message when all is well.
const GOOD: [(&str, &str, &str); 5] = [
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    (
        "NamespaceContentRemaining",
        "ContentRemoved",
        "All content successfully removed",
    ),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
];

impl Found {
    /// Reason and message of a condition that is true.
    fn bad(&self, condition: &str) -> Option<(&'static str, String)> {
        let list = |counts: &BTreeMap<String, usize>, text: &str| {
            let each = counts.iter().map(|(name, n)| format!("{name} {text} {n}"));
            each.collect::<Vec<_>>()
        };
        match condition {
            "NamespaceDeletionDiscoveryFailure" => {
                let error = self.discovery.clone()?;
                Some(("DiscoveryFailed", error))
            }
            "NamespaceDeletionContentFailure" if !self.errors.is_empty() => {
                let mut errors = self.errors.clone();
                errors.sort();
                let count = errors.len();
                let errors = errors.join(", ");
                let message =
                    format!("Failed to delete all resource types, {count} remaining: {errors}");
                Some(("ContentDeletionFailed", message))
            }
            "NamespaceContentRemaining" if !self.remaining.is_empty() => {
                let each = list(&self.remaining, "has").into_iter();
                let each: Vec<_> = each.map(|text| text + " resource instances").collect();
                let message = format!("Some resources are remaining: {}", each.join(", "));
                Some(("SomeResourcesRemain", message))
            }
            "NamespaceFinalizersRemaining" if !self.finalizers.is_empty() => {
                let each = list(&self.finalizers, "in").into_iter();
                let each: Vec<_> = each.map(|text| text + " resource instances").collect();
                let message = format!(
                    "Some content in the namespace has finalizers remaining: {}",
                    each.join(", ")
                );
                Some(("SomeFinalizersRemain", message))
            }
            _ => None,
        }
    }

    /// The conditions after this round. Times stay as long as the statuses do.
    pub(super) fn conditions(
        &self,
        old: &[NamespaceCondition],
        now: Timestamp,
    ) -> Vec<NamespaceCondition> {
        let mut all = old.to_vec();
        for (type_, reason, message) in GOOD {
            let bad = self.bad(type_);
            let status = if bad.is_some() { "True" } else { "False" };
            let (reason, message) = bad.unwrap_or((reason, message.to_owned()));
            let known = all.iter_mut().find(|condition| condition.type_ == type_);
            let since = known
                .as_deref()
                .filter(|known| known.status == status)
                .map(|known| known.last_transition_time.clone());
            let new = NamespaceCondition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(message),
                last_transition_time: since.unwrap_or(Some(Time(now))),
            };
            match known {
                Some(known) => *known = new,
                None => all.push(new),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(conditions: &[NamespaceCondition]) -> Vec<String> {
        let each = conditions.iter().filter(|c| c.status == "True");
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        each.map(|c| format!("{}: {}: {}", c.type_, text(&c.reason), text(&c.message)))
            .collect()
    }

    #[test]
    fn conditions_say_what_a_namespace_waits_for() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let counts = |all: &[(&str, usize)]| {
            let each = all.iter().map(|(name, n)| ((*name).to_owned(), *n));
            each.collect::<BTreeMap<_, _>>()
        };
        let found = Found {
            discovery: Some("no answer".to_owned()),
            errors: vec!["two".to_owned(), "one".to_owned()],
            remaining: counts(&[("pods.", 2), ("jobs.batch", 1)]),
            finalizers: counts(&[("x/y", 3)]),
        };
        let first = found.conditions(&[], now);
        let expected = [
            "NamespaceDeletionDiscoveryFailure: DiscoveryFailed: no answer",
            "NamespaceDeletionContentFailure: ContentDeletionFailed: Failed to delete all resource types, 2 remaining: one, two",
            "NamespaceContentRemaining: SomeResourcesRemain: Some resources are remaining: jobs.batch has 1 resource instances, pods. has 2 resource instances",
            "NamespaceFinalizersRemaining: SomeFinalizersRemain: Some content in the namespace has finalizers remaining: x/y in 3 resource instances",
        ];
        assert_eq!(shown(&first), expected);
        let later = now + jiff::SignedDuration::from_secs(60);
        assert_eq!(
            found.conditions(&first, later),
            first,
            "nothing new, nothing written"
        );
        let good = Found::default().conditions(&first, later);
        assert_eq!(shown(&good), [""; 0]);
        let kept = |c: &NamespaceCondition| c.last_transition_time == Some(Time(now));
        assert_eq!(
            good.iter().filter(|c| kept(c)).count(),
            1,
            "the one that was never true"
        );
        assert_eq!(good.len(), 5);
    }
}
