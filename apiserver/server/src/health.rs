//! `/healthz`, `/livez` and `/readyz`, with named checks.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use http::{Response, StatusCode};
use parking_lot::RwLock;

use crate::answer;
use crate::body::Body;
use crate::request::Query;

/// Which pages a check belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// All three: the process is of no use without it.
    Live,
    /// `/readyz` only: others should be asked meanwhile.
    Ready,
}

/// The checks and what they found last.
#[derive(Debug, Default)]
pub(crate) struct Health {
    checks: RwLock<Vec<Check>>,
}

#[derive(Debug)]
struct Check {
    name: &'static str,
    page: Page,
    /// Why it fails.
    failure: Option<String>,
}

impl Health {
    /// A check that fails until it is told otherwise.
    pub(crate) fn expect(&self, name: &'static str, page: Page) {
        self.checks.write().push(Check {
            name,
            page,
            failure: Some("not finished".to_owned()),
        });
    }

    pub(crate) fn set(&self, name: &str, failure: Option<String>) {
        let mut checks = self.checks.write();
        if let Some(check) = checks.iter_mut().find(|check| check.name == name) {
            check.failure = failure;
        }
    }

    /// The page at `path`, if it is one of these: `/readyz`, or `/readyz/NAME` for one check.
    pub(crate) fn page(&self, path: &str, query: &Query<'_>) -> Option<Response<Body>> {
        let (page, name) = match path.strip_prefix('/')?.split_once('/') {
            Some((page, name)) => (page, Some(name)),
            None => (path.strip_prefix('/')?, None),
        };
        let ready = match page {
            "readyz" => true,
            "healthz" | "livez" => false,
            _ => return None,
        };
        let checks = self.checks.read();
        let shown = |check: &&Check| ready || check.page == Page::Live;
        if let Some(name) = name {
            if name == "ping" {
                return Some(answer::text(StatusCode::OK, "ok"));
            }
            let check = checks.iter().filter(shown).find(|c| c.name == name)?;
            return Some(match &check.failure {
                None => answer::text(StatusCode::OK, "ok"),
                Some(why) => answer::text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("internal server error: {why}\n"),
                ),
            });
        }
        let excluded: BTreeSet<&str> = query.all("exclude").collect();
        let mut report = String::from("[+]ping ok\n");
        let mut failed = false;
        for check in checks.iter().filter(shown) {
            let line = match &check.failure {
                _ if excluded.contains(check.name) => {
                    writeln!(report, "[+]{} excluded: ok", check.name)
                }
                None => writeln!(report, "[+]{} ok", check.name),
                Some(_) => {
                    failed = true;
                    writeln!(report, "[-]{} failed: reason withheld", check.name)
                }
            };
            line.expect("writing to a string cannot fail");
        }
        Some(match (failed, query.get("verbose").is_some()) {
            (true, _) => answer::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("{report}{page} check failed\n"),
            ),
            (false, true) => answer::text(StatusCode::OK, format!("{report}{page} check passed\n")),
            (false, false) => answer::text(StatusCode::OK, "ok"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(health: &Health, path: &str, query: &str) -> Option<u16> {
        let page = health.page(path, &Query::parse(Some(query)))?;
        Some(page.status().as_u16())
    }

    #[test]
    fn readiness_waits_for_its_checks_and_liveness_does_not() {
        let health = Health::default();
        health.expect("etcd", Page::Live);
        health.expect("poststarthook/start", Page::Ready);
        health.set("etcd", None);
        assert_eq!(code(&health, "/livez", ""), Some(200));
        assert_eq!(code(&health, "/readyz", ""), Some(500));
        assert_eq!(
            code(&health, "/readyz", "exclude=poststarthook/start"),
            Some(200)
        );
        assert_eq!(code(&health, "/readyz/poststarthook/start", ""), Some(500));
        assert_eq!(code(&health, "/readyz/etcd", ""), Some(200));
        assert_eq!(code(&health, "/readyz/other", ""), None);
        assert_eq!(code(&health, "/other", ""), None);
        health.set("poststarthook/start", None);
        assert_eq!(code(&health, "/readyz", "verbose"), Some(200));
    }
}
