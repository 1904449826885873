//! Taints that keep pods away, or that pods had better avoid.

use k8s_openapi::api::core::v1::{PodSpec, Taint, Toleration};

use crate::snapshot::{NodeIndex, Snapshot, tolerates};

#[derive(Debug)]
pub(crate) struct TaintToleration {
    tolerations: Vec<Toleration>,
    /// Those that are for taints which only make a node worse.
    soft: Vec<Toleration>,
}

impl TaintToleration {
    pub(crate) fn new(spec: &PodSpec) -> Self {
        let tolerations = spec.tolerations.clone().unwrap_or_default();
        let is_soft = |t: &&Toleration| {
            matches!(
                t.effect.as_deref().unwrap_or_default(),
                "" | "PreferNoSchedule"
            )
        };
        Self {
            soft: tolerations.iter().filter(is_soft).cloned().collect(),
            tolerations,
        }
    }

    pub(crate) fn fits(&self, snapshot: &Snapshot, node: NodeIndex) -> bool {
        self.tolerate(snapshot.taints.get(snapshot.taint_set(node)))
    }

    pub(crate) fn tolerate(&self, taints: &[Taint]) -> bool {
        taints.iter().all(|taint| {
            !matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
                || tolerates(&self.tolerations, taint)
        })
    }

    /// How many taints the pod had better avoid: the fewer the better.
    pub(crate) fn avoided(&self, snapshot: &Snapshot, node: NodeIndex) -> i64 {
        let taints = snapshot.taints.get(snapshot.taint_set(node)).iter();
        let bad = taints
            .filter(|taint| taint.effect == "PreferNoSchedule" && !tolerates(&self.soft, taint));
        i64::try_from(bad.count()).unwrap_or(i64::MAX)
    }
}
