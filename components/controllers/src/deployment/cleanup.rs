//! Which former replica sets are no longer kept.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::annotations::revision;
use super::sets::replicas;

/// Of the old sets those with the lowest revisions beyond `limit`, without those that have or may get pods: they wait
/// for another time.
pub(super) fn surplus(old: &[Arc<ReplicaSet>], limit: i32) -> Vec<Arc<ReplicaSet>> {
    let limit = usize::try_from(limit).unwrap_or(0);
    let stays = |set: &&Arc<ReplicaSet>| set.metadata.deletion_timestamp.is_none();
    let mut sets: Vec<_> = old.iter().filter(stays).cloned().collect();
    let surplus = sets.len().saturating_sub(limit);
    sets.sort_by_key(|set| revision(set));
    sets.truncate(surplus);
    sets.retain(|set| is_empty(set));
    sets
}

fn is_empty(set: &ReplicaSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    let observed = status.observed_generation.unwrap_or(0);
    status.replicas == 0 && replicas(set) == 0 && observed >= set.metadata.generation.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(revision: i32, asked: i32, there: i32, observed: i64) -> Arc<ReplicaSet> {
        let set = json!({
            "metadata": {"name": format!("r{revision}"), "generation": 3,
                "annotations": {"deployment.kubernetes.io/revision": revision.to_string()}},
            "spec": {"replicas": asked, "selector": {}},
            "status": {"replicas": there, "observedGeneration": observed},
        });
        Arc::new(serde_json::from_value(set).expect("a replica set"))
    }

    #[test]
    fn the_oldest_empty_ones_go() {
        let old = [
            set(9, 0, 0, 3),
            set(2, 0, 0, 3),
            set(3, 1, 0, 3),
            set(4, 0, 1, 3),
            set(5, 0, 0, 2),
            set(10, 0, 0, 3),
        ];
        for (limit, expected) in [
            (10, vec![]),
            (6, vec![]),
            (5, vec!["r2"]),
            (2, vec!["r2"]),
            (1, vec!["r2", "r9"]),
            (0, vec!["r2", "r9", "r10"]),
        ] {
            let gone = surplus(&old, limit);
            let names: Vec<_> = gone
                .iter()
                .filter_map(|set| set.metadata.name.as_deref())
                .collect();
            assert_eq!(names, expected, "limit {limit}");
        }
    }
}
