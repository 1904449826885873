//! Authorizers and their union.

use std::sync::Arc;

use crate::attributes::{Attributes, Decision, Verdict};
use crate::rbac::PolicyRule;
use crate::text::aggregate;
use crate::user::{MASTERS_GROUP, UserInfo};

/// What a user may do in a namespace, as far as one authorizer can list it.
#[derive(Clone, Debug, Default)]
pub struct RuleList {
    /// The rules.
    pub rules: Vec<PolicyRule>,
    /// True if there may be more.
    pub incomplete: bool,
    /// What went wrong.
    pub errors: Vec<String>,
}

/// Decides about requests.
pub trait Authorizer: Send + Sync {
    /// The decision about one request.
    fn authorize(&self, attributes: &Attributes<'_>) -> Verdict;
    /// What the user may do in the namespace.
    fn rules_for(&self, user: &UserInfo, namespace: &str) -> RuleList;
}

/// Allows everything to members of `system:masters` and says nothing about others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masters;

impl Authorizer for Masters {
    fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        if attributes.user.in_group(MASTERS_GROUP) {
            Verdict::allow("")
        } else {
            Verdict::no_opinion("")
        }
    }

    /// As upstream: what they may do by name of their group is no rule. The default role `cluster-admin` says the same.
    fn rules_for(&self, _user: &UserInfo, _namespace: &str) -> RuleList {
        RuleList::default()
    }
}

/// Paths that everybody may read, whoever they are; upstream's `--authorization-always-allow-paths`.
#[derive(Clone, Debug)]
pub struct OpenPaths {
    exact: Vec<String>,
    prefixes: Vec<String>,
}

impl OpenPaths {
    /// A path ending in `*` stands for all that begin with the rest.
    pub fn new(paths: &[&str]) -> OpenPaths {
        let (mut exact, mut prefixes) = (Vec::new(), Vec::new());
        for path in paths.iter().map(|path| path.trim_start_matches('/')) {
            match path.strip_suffix('*') {
                Some(prefix) => prefixes.push(prefix.to_owned()),
                None => exact.push(path.to_owned()),
            }
        }
        OpenPaths { exact, prefixes }
    }
}

impl Authorizer for OpenPaths {
    fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        let path = attributes.path.trim_start_matches('/');
        let open = !attributes.resource_request
            && (self.exact.iter().any(|own| own == path)
                || self
                    .prefixes
                    .iter()
                    .any(|prefix| path.starts_with(prefix.as_str())));
        if open {
            Verdict::allow("")
        } else {
            Verdict::no_opinion("")
        }
    }

    fn rules_for(&self, _user: &UserInfo, _namespace: &str) -> RuleList {
        RuleList::default()
    }
}

/// Authorizers asked in order until one allows or denies.
#[derive(Clone)]
pub struct Union(Vec<Arc<dyn Authorizer>>);

impl std::fmt::Debug for Union {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Union of {} authorizers", self.0.len())
    }
}

impl Union {
    /// Asks them in this order.
    pub fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Union {
        Union(authorizers)
    }
}

impl Authorizer for Union {
    fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        let mut reasons: Vec<String> = Vec::new();
        for authorizer in &self.0 {
            let verdict = authorizer.authorize(attributes);
            if verdict.decision != Decision::NoOpinion {
                return verdict;
            }
            if !verdict.reason.is_empty() {
                reasons.push(verdict.reason);
            }
        }
        Verdict::no_opinion(reasons.join("\n"))
    }

    fn rules_for(&self, user: &UserInfo, namespace: &str) -> RuleList {
        let mut all = RuleList::default();
        for authorizer in &self.0 {
            let list = authorizer.rules_for(user, namespace);
            all.rules.extend(list.rules);
            all.incomplete |= list.incomplete;
            all.errors.extend(list.errors);
        }
        all
    }
}

impl RuleList {
    /// The errors as one text; empty if there are none.
    pub fn error_text(&self) -> String {
        aggregate(&self.errors)
    }
}
