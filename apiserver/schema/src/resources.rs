//! The resources that are served, and what makes each of them different from the others.

use crate::types::{Gvk, TypeId};
use crate::{resource_table, schema};
use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use std::sync::OnceLock;

/// A resource of one group and version. Two versions of one kind are two resources that share a store prefix.
#[derive(Debug)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: String,
    pub short_names: Vec<&'static str>,
    pub categories: Vec<&'static str>,
    pub namespaced: bool,
    pub verbs: Verbs,
    /// Sorted by name.
    pub subresources: Vec<Subresource>,
    pub ty: Option<TypeId>,
    /// Type of the list kind.
    pub list_ty: Option<TypeId>,
    /// Where objects are kept, as upstream: `/registry/pods/`. Namespaced keys continue with
    /// `NAMESPACE/NAME`, others with `NAME`. Empty for what is never stored (reviews, bindings,
    /// componentstatuses).
    pub store_prefix: String,
    /// What stored objects are: differs from this resource's own kind where two versions (or the two
    /// event groups) share one storage.
    pub storage_gvk: Gvk,
    /// What upstream hashes for `storageVersionHash`; nearly always the storage kind.
    pub(crate) hashed_gvk: Gvk,
    /// A successful delete answers with the last state of the object; otherwise with a `Status`.
    pub returns_deleted: bool,
    pub creatable: Creatable,
}

/// Whether objects may be created. Resources whose objects would have no effect yet are listed, so that
/// clients find them, but creating one would be a lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creatable {
    Yes,
    /// Refuse with this explanation.
    Later(&'static str),
}

#[derive(Debug)]
pub struct Subresource {
    /// `status`.
    pub name: &'static str,
    /// What requests carry or answers are: `autoscaling/v1 Scale` for a scale.
    pub gvk: Gvk,
    pub verbs: Verbs,
    /// `None` for what is only a set of query parameters (`PodExecOptions` …).
    pub ty: Option<TypeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// In the order of their names, which is that of discovery.
    pub const ALL: [Verb; 8] = [
        Verb::Create,
        Verb::Delete,
        Verb::DeleteCollection,
        Verb::Get,
        Verb::List,
        Verb::Patch,
        Verb::Update,
        Verb::Watch,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Patch => "patch",
            Verb::Update => "update",
            Verb::Watch => "watch",
        }
    }
}

/// A set of verbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbs(u8);

impl Verbs {
    pub const ALL: Verbs = Verbs(u8::MAX);

    pub fn with(self, verb: Verb) -> Self {
        Verbs(self.0 | 1 << verb as u8)
    }

    pub fn contains(self, verb: Verb) -> bool {
        self.0 & 1 << verb as u8 != 0
    }

    /// Sorted by name.
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL
            .into_iter()
            .filter(move |verb| self.contains(*verb))
    }

    /// Sorted.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.iter().map(Verb::name)
    }
}

impl Resource {
    pub fn gvk(&self) -> Gvk {
        Gvk {
            group: self.group,
            version: self.version,
            kind: self.kind,
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        self.gvk().api_version()
    }

    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// `deployments.apps`, as messages name resources; `pods` in the core group.
    pub fn qualified_name(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Changes when the stored version of the resource does: base64 of the first eight bytes of SHA-256
    /// over `GROUP/VERSION/KIND`. Empty for what is not stored.
    pub fn storage_version_hash(&self) -> String {
        if self.store_prefix.is_empty() {
            return String::new();
        }
        let Gvk {
            group,
            version,
            kind,
        } = self.hashed_gvk;
        let hash = Sha256::digest(format!("{group}/{version}/{kind}"));
        base64::engine::general_purpose::STANDARD.encode(&hash[..8])
    }
}

/// Every resource that is served, groups and versions in the order discovery lists them in, resources of a
/// version sorted by name.
pub fn resources() -> &'static [Resource] {
    static RESOURCES: OnceLock<Vec<Resource>> = OnceLock::new();
    RESOURCES.get_or_init(|| {
        resource_table::parse(resource_table::TEXT, schema())
            .expect("the built-in table is tested to parse")
    })
}

/// The resource served as `/apis/GROUP/VERSION/…/PLURAL`. There are about seventy, so a scan will do; a
/// router that wants less makes an index of its own.
pub fn resource(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    resources()
        .iter()
        .find(|r| r.plural == plural && r.group == group && r.version == version)
}

/// The resource whose objects are of this kind.
pub fn resource_of_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    resources()
        .iter()
        .find(|r| r.kind == kind && r.group == group && r.version == version)
}

/// Named groups with their versions, preferred first; the core group is not among them.
pub fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for resource in resources()
        .iter()
        .filter(|resource| !resource.group.is_empty())
    {
        match groups.last_mut() {
            Some((group, versions)) if *group == resource.group => {
                if versions.last() != Some(&resource.version) {
                    versions.push(resource.version);
                }
            }
            _ => groups.push((resource.group, vec![resource.version])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_stored_resource_has_types_and_a_place() {
        assert_eq!(resources().len(), 68);
        for resource in resources() {
            assert!(resource.ty.is_some(), "{}", resource.plural);
            let stored = resource.verbs.contains(Verb::Watch);
            assert_eq!(
                stored,
                !resource.store_prefix.is_empty(),
                "{}",
                resource.plural
            );
            assert_eq!(
                resource.list_ty.is_some(),
                resource.verbs.contains(Verb::List)
            );
        }
        let pods = resource("", "v1", "pods").expect("a resource");
        assert_eq!(pods.store_prefix, "/registry/pods/");
        assert_eq!(
            (pods.singular.as_str(), pods.api_version().as_str()),
            ("pod", "v1")
        );
        assert_eq!(
            resource("", "v1", "nodes").map(|r| r.store_prefix.as_str()),
            Some("/registry/minions/")
        );
    }

    #[test]
    fn what_shares_a_store_prefix_is_stored_as_one_kind() {
        let mut seen: Vec<&Resource> = Vec::new();
        let mut shared = HashSet::new();
        for resource in resources().iter().filter(|r| !r.store_prefix.is_empty()) {
            for other in seen
                .iter()
                .filter(|other| other.store_prefix == resource.store_prefix)
            {
                assert_eq!(other.storage_gvk, resource.storage_gvk);
                shared.insert(resource.plural);
            }
            assert!(
                resource_of_kind(
                    resource.storage_gvk.group,
                    resource.storage_gvk.version,
                    resource.storage_gvk.kind
                )
                .is_some()
            );
            seen.push(resource);
        }
        assert_eq!(
            shared,
            HashSet::from(["horizontalpodautoscalers", "events"])
        );
    }

    #[test]
    fn no_store_prefix_is_the_beginning_of_another() {
        for a in resources().iter().filter(|r| !r.store_prefix.is_empty()) {
            for b in resources() {
                let nested = b.store_prefix.starts_with(&a.store_prefix);
                assert!(
                    !nested || a.store_prefix == b.store_prefix,
                    "{} {}",
                    a.plural,
                    b.plural
                );
            }
        }
    }

    #[test]
    fn what_would_have_no_effect_cannot_be_created() {
        let later = resources().iter().filter(|r| r.creatable != Creatable::Yes);
        let later: Vec<_> = later.map(|r| r.plural).collect();
        assert_eq!(later.len(), 10, "{later:?}");
        assert!(later.contains(&"customresourcedefinitions"));
    }
}
