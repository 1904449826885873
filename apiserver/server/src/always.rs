//! Authorizers without rules, for `--authorization-mode=AlwaysAllow` and `AlwaysDeny`.

use mainstay_auth::{Attributes, Authorizer, RuleList, UserInfo, Verdict};

/// Says the same to everybody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Always(pub(crate) bool);

impl Authorizer for Always {
    fn authorize(&self, _attributes: &Attributes<'_>) -> Verdict {
        match self.0 {
            true => Verdict::allow(""),
            false => Verdict::no_opinion("Everything is forbidden."),
        }
    }

    fn rules_for(&self, _user: &UserInfo, _namespace: &str) -> RuleList {
        RuleList::default()
    }
}
