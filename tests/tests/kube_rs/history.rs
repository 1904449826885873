//! What a watcher was told, and the judgement whether it was told everything, once and in order.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::runtime::watcher::{Error, Event};

/// One object at one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) revision: u64,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// One report to a watcher.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Init,
    Listed(Version),
    Applied(Version),
    Deleted(Version),
    /// The history between two versions was gone: 410.
    Gone,
    /// A connection or a server was lost.
    Failed,
}

impl From<&ConfigMap> for Version {
    fn from(object: &ConfigMap) -> Self {
        let revision = object.resource_version().expect("objects have versions");
        Self {
            revision: revision.parse().expect("versions are numbers here"),
            name: object.name_any(),
            uid: object.uid().expect("objects have uids"),
        }
    }
}

impl Told {
    /// `None` for the end of a list, which nothing depends on.
    pub(crate) fn of(report: &Result<Event<ConfigMap>, Error>) -> Option<Self> {
        Some(match report {
            Ok(Event::Init) => Self::Init,
            Ok(Event::InitApply(object)) => Self::Listed(object.into()),
            Ok(Event::Apply(object)) => Self::Applied(object.into()),
            Ok(Event::Delete(object)) => Self::Deleted(object.into()),
            Ok(Event::InitDone) => return None,
            Err(Error::WatchError(status)) if status.code == 410 => Self::Gone,
            Err(Error::WatchStartFailed(kube::Error::Api(status))) if status.code == 410 => {
                Self::Gone
            }
            Err(_) => Self::Failed,
        })
    }
}

/// What a watcher holds for one name.
#[derive(Debug)]
struct Held {
    version: Version,
    exists: bool,
}

/// Panics unless the versions of each name only grew, no deletion was left out between two objects of one name, and
/// between two lists all of `written` was told.
pub(crate) fn judge(told: &[Told], written: &BTreeSet<Version>) {
    let mut held: BTreeMap<String, Held> = BTreeMap::new();
    let mut live: Vec<Version> = Vec::new();
    for one in told {
        match one {
            Told::Init => {
                nothing_is_missing(&live, written);
                live.clear();
                held.values_mut().for_each(|held| held.exists = false);
            }
            Told::Listed(version) => {
                if let Some(before) = held.get(&version.name) {
                    let grown = version.revision >= before.version.revision;
                    assert!(grown, "a list went back: {version:?} after {before:?}");
                }
                let version = version.clone();
                let now = Held {
                    version,
                    exists: true,
                };
                held.insert(now.version.name.clone(), now);
            }
            Told::Applied(version) | Told::Deleted(version) => {
                let exists = matches!(one, Told::Applied(_));
                if let Some(before) = held.get(&version.name) {
                    let grown = version.revision > before.version.revision;
                    assert!(
                        grown,
                        "doubled or out of order: {version:?} after {before:?}"
                    );
                    let same = version.uid == before.version.uid;
                    assert!(
                        same || !before.exists,
                        "no deletion was told: {version:?} after {before:?}"
                    );
                    assert!(
                        exists || before.exists,
                        "deleted twice: {version:?} after {before:?}"
                    );
                }
                let version = version.clone();
                live.push(version.clone());
                held.insert(version.name.clone(), Held { version, exists });
            }
            Told::Gone | Told::Failed => {}
        }
    }
    nothing_is_missing(&live, written);
}

/// Between the first and the last of `live` lies nothing that was written and is not told.
fn nothing_is_missing(live: &[Version], written: &BTreeSet<Version>) {
    let revisions = || live.iter().map(|version| version.revision);
    let (Some(first), Some(last)) = (revisions().min(), revisions().max()) else {
        return;
    };
    let told: BTreeSet<&Version> = live.iter().collect();
    let due = written
        .iter()
        .filter(|version| (first..=last).contains(&version.revision));
    let missing: Vec<&Version> = due.filter(|version| !told.contains(version)).collect();
    assert!(
        missing.is_empty(),
        "not told between {first} and {last}: {missing:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::{Told, Version, judge};
    use std::collections::BTreeSet;

    fn version(name: &str, revision: u64, uid: &str) -> Version {
        let (name, uid) = (name.to_owned(), uid.to_owned());
        Version {
            revision,
            name,
            uid,
        }
    }

    fn verdict(told: &[Told], written: &[Version]) -> bool {
        let (told, written) = (told.to_vec(), BTreeSet::from_iter(written.iter().cloned()));
        std::panic::catch_unwind(move || judge(&told, &written)).is_ok()
    }

    #[test]
    fn what_is_missing_doubled_or_disordered_is_found() {
        let v = version;
        let (a, b, c) = (v("a", 5, "u"), v("b", 6, "w"), v("a", 7, "u"));
        let all = [a.clone(), b.clone(), c.clone()];
        let applied = |versions: &[&Version]| -> Vec<Told> {
            versions.iter().map(|&v| Told::Applied(v.clone())).collect()
        };
        assert!(verdict(&applied(&[&a, &b, &c]), &all));
        assert!(!verdict(&applied(&[&a, &c]), &all), "b is missing");
        assert!(!verdict(&applied(&[&a, &a, &b, &c]), &all), "a came twice");
        assert!(!verdict(&applied(&[&c, &b, &a]), &all), "out of order");
        let listed = [
            vec![
                Told::Applied(a.clone()),
                Told::Init,
                Told::Listed(c.clone()),
            ],
            applied(&[&b]),
        ];
        assert!(
            verdict(&listed.concat(), &all),
            "a list stands for what was before"
        );
        assert!(
            !verdict(
                &[
                    Told::Init,
                    Told::Listed(c),
                    Told::Init,
                    Told::Listed(a.clone())
                ],
                &all
            ),
            "a list went back"
        );
        let again = version("a", 9, "other");
        assert!(
            !verdict(&applied(&[&a, &again]), &[]),
            "its deletion is missing"
        );
        let deleted = Told::Deleted(version("a", 8, "u"));
        assert!(verdict(
            &[Told::Applied(a), deleted, Told::Applied(again)],
            &[]
        ));
    }
}
