//! Levels, versions, and the policy that a namespace's labels ask for.

use std::fmt;

use serde_json::Value;

/// How much a pod may ask for. Ordered from the most to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Privileged,
    /// Nothing that is known to take over a node.
    Baseline,
    /// What good practice recommends.
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Result<Level, &'static str> {
        match text {
            "privileged" => Ok(Level::Privileged),
            "baseline" => Ok(Level::Baseline),
            "restricted" => Ok(Level::Restricted),
            _ => Err("must be one of privileged, baseline, restricted"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        })
    }
}

/// The Kubernetes version whose rules count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Version 1.x.
    Minor(u32),
    /// The newest that is known.
    Latest,
}

impl Version {
    fn parse(text: &str) -> Result<Version, &'static str> {
        if text == "latest" {
            return Ok(Version::Latest);
        }
        let minor = text.strip_prefix("v1.").filter(|minor| {
            minor.bytes().all(|byte| byte.is_ascii_digit())
                && (*minor == "0" || !minor.starts_with('0'))
        });
        let minor = minor.and_then(|minor| minor.parse().ok());
        minor
            .map(Version::Minor)
            .ok_or(r#"must be "latest" or "v1.x""#)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Minor(minor) => write!(f, "v1.{minor}"),
            Version::Latest => f.write_str("latest"),
        }
    }
}

/// A level as of a version, written `restricted:latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelVersion {
    /// The level.
    pub level: Level,
    /// As of this version.
    pub version: Version,
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

/// What happens at which level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Pods beyond this level are refused.
    pub enforce: LevelVersion,
    /// Pods beyond this level are noted in the audit log.
    pub audit: LevelVersion,
    /// Pods beyond this level are answered with a warning.
    pub warn: LevelVersion,
}

impl Default for Policy {
    /// Everything is allowed.
    fn default() -> Policy {
        let all = LevelVersion {
            level: Level::Privileged,
            version: Version::Latest,
        };
        Policy {
            enforce: all,
            audit: all,
            warn: all,
        }
    }
}

/// A label whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelError {
    /// The label.
    pub label: &'static str,
    /// Its value.
    pub value: String,
    /// What it should be.
    pub detail: &'static str,
}

pub(crate) const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
pub(crate) const ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";
pub(crate) const AUDIT: &str = "pod-security.kubernetes.io/audit";
pub(crate) const AUDIT_VERSION: &str = "pod-security.kubernetes.io/audit-version";
pub(crate) const WARN: &str = "pod-security.kubernetes.io/warn";
pub(crate) const WARN_VERSION: &str = "pod-security.kubernetes.io/warn-version";

impl Policy {
    /// The policy of a namespace with these labels (an object or nothing), and the labels that are wrong. A level
    /// that cannot be read enforces `restricted` but audits and warns about nothing.
    pub fn from_labels(labels: &Value, defaults: Policy) -> (Policy, Vec<LabelError>) {
        let mut policy = defaults;
        let mut errors = Vec::new();
        let label = |name: &'static str| labels.get(name).and_then(Value::as_str);
        let mut level = |name: &'static str, slot: &mut Level, otherwise: Level| {
            let value = label(name)?;
            let parsed = Level::parse(value);
            *slot = parsed.unwrap_or(otherwise);
            errors.extend(parsed.err().map(|detail| LabelError {
                label: name,
                value: value.to_owned(),
                detail,
            }));
            Some(parsed.is_ok())
        };
        let enforced = level(ENFORCE, &mut policy.enforce.level, Level::Restricted) == Some(true);
        level(AUDIT, &mut policy.audit.level, Level::Privileged);
        let warned = level(WARN, &mut policy.warn.level, Level::Privileged).is_some();
        for (name, slot) in [
            (ENFORCE_VERSION, &mut policy.enforce.version),
            (AUDIT_VERSION, &mut policy.audit.version),
            (WARN_VERSION, &mut policy.warn.version),
        ] {
            let Some(value) = label(name) else { continue };
            let parsed = Version::parse(value);
            *slot = parsed.unwrap_or(Version::Latest);
            errors.extend(parsed.err().map(|detail| LabelError {
                label: name,
                value: value.to_owned(),
                detail,
            }));
        }
        // Templates are only warned about, so what is enforced on pods should at least warn there.
        if !warned && enforced && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if label(WARN_VERSION).is_none() {
                policy.warn.version = policy.enforce.version;
            }
        }
        let order = [
            ENFORCE,
            ENFORCE_VERSION,
            AUDIT,
            AUDIT_VERSION,
            WARN,
            WARN_VERSION,
        ];
        errors.sort_by_key(|error| order.iter().position(|name| *name == error.label));
        (policy, errors)
    }

    /// True if nothing is enforced, audited or warned about.
    pub fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn]
            .iter()
            .all(|own| own.level == Level::Privileged)
    }

    /// True if both come to the same.
    pub(crate) fn equivalent(&self, other: &Policy) -> bool {
        let same = |a: LevelVersion, b: LevelVersion| {
            a == b || (a.level == Level::Privileged && b.level == Level::Privileged)
        };
        same(self.enforce, other.enforce)
            && same(self.audit, other.audit)
            && same(self.warn, other.warn)
    }
}
