//! `/healthz`, `/livez` and `/readyz`, with named checks.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use parking_lot::RwLock;

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks of one process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<RwLock<Vec<(String, Check)>>>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.checks.read();
        f.debug_list()
            .entries(checks.iter().map(|(name, _)| name))
            .finish()
    }
}

/// What a page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whether all is well.
    pub ok: bool,
    pub text: String,
}

impl Page {
    fn new(ok: bool, text: impl Into<String>) -> Self {
        Self {
            ok,
            text: text.into(),
        }
    }
}

impl Health {
    /// Adds a check, which must be quick. Why it fails is told only to who asks for it by its name.
    pub fn add(&self, name: &str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.checks.write().push((name.to_owned(), Box::new(check)));
    }

    /// The page at `path`, if it is one of these: `/readyz`, or `/readyz/NAME` for one check.
    #[must_use]
    pub fn page(&self, path: &str, query: &str) -> Option<Page> {
        let path = path.strip_prefix('/')?;
        let (page, name) = match path.split_once('/') {
            Some((page, name)) => (page, Some(name)),
            None => (path, None),
        };
        if !matches!(page, "healthz" | "livez" | "readyz") {
            return None;
        }
        let checks = self.checks.read();
        if let Some(name) = name {
            if name == "ping" {
                return Some(Page::new(true, "ok"));
            }
            let (_, check) = checks.iter().find(|(known, _)| known == name)?;
            return Some(match check() {
                Ok(()) => Page::new(true, "ok"),
                Err(why) => Page::new(false, format!("internal server error: {why}\n")),
            });
        }
        let asked: Vec<(&str, &str)> = query
            .split('&')
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .collect();
        let is_excluded = |name: &str| asked.contains(&("exclude", name));
        let mut report = String::from("[+]ping ok\n");
        let mut failed = false;
        for (name, check) in checks.iter() {
            let line = if is_excluded(name) {
                writeln!(report, "[+]{name} excluded: ok")
            } else if check().is_ok() {
                writeln!(report, "[+]{name} ok")
            } else {
                failed = true;
                writeln!(report, "[-]{name} failed: reason withheld")
            };
            line.expect("writing to a string does not fail");
        }
        Some(match failed {
            true => Page::new(false, format!("{report}{page} check failed\n")),
            false if asked.iter().any(|(key, _)| *key == "verbose") => {
                Page::new(true, format!("{report}{page} check passed\n"))
            }
            false => Page::new(true, "ok"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_is_enough_and_can_be_left_out() {
        let health = Health::default();
        let page = |path: &str, query: &str| health.page(path, query).map(|page| page.ok);
        assert_eq!(page("/healthz", ""), Some(true));
        health.add("leaderElection", || Ok(()));
        health.add("replicaset", || Err("it is stuck".to_owned()));
        assert_eq!(page("/readyz", ""), Some(false));
        assert_eq!(page("/readyz", "exclude=replicaset"), Some(true));
        assert_eq!(page("/livez/leaderElection", ""), Some(true));
        assert_eq!(page("/livez/replicaset", ""), Some(false));
        assert_eq!(page("/livez/other", ""), None);
        assert_eq!(page("/metrics", ""), None);
        let told = health.page("/healthz", "verbose&exclude=replicaset");
        let expected =
            "[+]ping ok\n[+]leaderElection ok\n[+]replicaset excluded: ok\nhealthz check passed\n";
        assert_eq!(told, Some(Page::new(true, expected)));
    }
}
