//! The revisions of one owner: finding, making and forgetting them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{DeleteParams, PostParams};
use kube::core::Selector;
use kube::{Api, Client, Resource};
use mainstay_client::{Cache, Claim, Kind, is_conflict, unless_gone};
use serde_json::Value;

use super::revision::{holds, revision, sort};
use crate::limits::COLLISIONS_MAX;
use crate::pods::candidates;

pub(crate) struct History {
    api: Api<ControllerRevision>,
    /// The oldest first.
    pub(crate) revisions: Vec<Arc<ControllerRevision>>,
}

impl History {
    /// The revisions of `owner`, after orphans that its selector selects were adopted.
    pub(crate) async fn of<O>(
        client: &Client,
        cache: &Cache<ControllerRevision>,
        owner: &O,
        selector: &Selector,
    ) -> kube::Result<Self>
    where
        O: Kind + Resource<Scope = NamespaceResourceScope>,
    {
        let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
        let api = Api::namespaced(client.clone(), namespace);
        let claim = Claim {
            owner,
            owners: &Api::namespaced(client.clone(), namespace),
            selector,
            finalizers: &[],
        };
        let mut revisions = claim.claim(&api, candidates(cache, owner)).await?;
        sort(&mut revisions);
        Ok(Self { api, revisions })
    }

    /// The revision of `data` as the newest one: as it is, with a higher number, or a new one. Raises `collisions`
    /// when another object has its name.
    pub(crate) async fn newest<O: Resource<DynamicType = ()>>(
        &mut self,
        owner: &O,
        data: &Value,
        labels: Option<&BTreeMap<String, String>>,
        collisions: &mut i32,
    ) -> kube::Result<Arc<ControllerRevision>> {
        let last = self.revisions.last().map_or(0, |last| last.revision);
        let found = self
            .revisions
            .iter()
            .rposition(|revision| holds(revision, data));
        let newest = match found {
            Some(at) if at + 1 == self.revisions.len() => {
                return Ok(Arc::clone(&self.revisions[at]));
            }
            Some(at) => {
                // What was there before comes back.
                let mut raised = (*self.revisions.remove(at)).clone();
                raised.revision = last + 1;
                let name = raised.metadata.name.clone().unwrap_or_default();
                self.api
                    .replace(&name, &PostParams::default(), &raised)
                    .await?
            }
            None => {
                self.create(owner, data, labels, last + 1, collisions)
                    .await?
            }
        };
        let newest = Arc::new(newest);
        self.revisions.push(Arc::clone(&newest));
        Ok(newest)
    }

    async fn create<O: Resource<DynamicType = ()>>(
        &self,
        owner: &O,
        data: &Value,
        labels: Option<&BTreeMap<String, String>>,
        number: i64,
        collisions: &mut i32,
    ) -> kube::Result<ControllerRevision> {
        let mut tries = 0;
        loop {
            let wanted = revision(owner, data, labels, number, *collisions);
            let error = match self.api.create(&PostParams::default(), &wanted).await {
                Ok(made) => return Ok(made),
                Err(error) if is_conflict(&error) && tries < COLLISIONS_MAX => error,
                Err(error) => return Err(error),
            };
            let name = wanted.metadata.name.as_deref().unwrap_or_default();
            match self.api.get_opt(name).await? {
                // Made by an earlier round that the cache does not show yet.
                Some(found) if holds(&found, data) => return Ok(found),
                Some(_) => *collisions = collisions.saturating_add(1),
                None => return Err(error),
            }
            tries += 1;
        }
    }

    /// Deletes the oldest revisions that are not `used` (by name) beyond `limit`.
    pub(crate) async fn truncate(&self, used: &HashSet<String>, limit: i32) -> kube::Result<()> {
        for name in surplus(&self.revisions, used, limit) {
            unless_gone(self.api.delete(&name, &DeleteParams::default()).await)?;
        }
        Ok(())
    }
}

fn surplus(
    revisions: &[Arc<ControllerRevision>],
    used: &HashSet<String>,
    limit: i32,
) -> Vec<String> {
    let names = revisions
        .iter()
        .filter_map(|revision| revision.metadata.name.clone());
    let mut unused: Vec<_> = names.filter(|name| !used.contains(name)).collect();
    let limit = usize::try_from(limit).unwrap_or(0);
    unused.truncate(unused.len().saturating_sub(limit));
    unused
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_oldest_revisions_that_nobody_uses_are_forgotten() {
        let of = |number: i64| {
            let revision = json!({"metadata": {"name": format!("r{number}")}, "revision": number});
            Arc::new(serde_json::from_value(revision).expect("a revision"))
        };
        let all: Vec<_> = (1..=5).map(of).collect();
        for (used, limit, expected) in [
            (vec!["r5"], 10, vec![]),
            (vec!["r5"], 4, vec![]),
            (vec!["r5"], 2, vec!["r1", "r2"]),
            (vec!["r1", "r5"], 2, vec!["r2"]),
            (vec!["r5"], 0, vec!["r1", "r2", "r3", "r4"]),
        ] {
            let used = used.into_iter().map(str::to_owned).collect();
            assert_eq!(surplus(&all, &used, limit), expected, "limit {limit}");
        }
    }
}
