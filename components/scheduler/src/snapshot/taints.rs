//! Taints of nodes; nodes with the same taints share them.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Number of a set of taints; 0 is the empty one.
pub(crate) type TaintSet = u32;

type Plain = Vec<(String, String, String)>;

#[derive(Debug)]
pub(crate) struct Taints {
    sets: Vec<Vec<Taint>>,
    users: Vec<u32>,
    ids: HashMap<Plain, TaintSet>,
    free: Vec<TaintSet>,
}

impl Default for Taints {
    fn default() -> Self {
        Self {
            sets: vec![Vec::new()],
            users: vec![1],
            ids: HashMap::from([(Plain::new(), 0)]),
            free: Vec::new(),
        }
    }
}

/// What matters about taints, without when they came.
fn plain(taints: &[Taint]) -> Plain {
    let one = |taint: &Taint| {
        let value = taint.value.clone().unwrap_or_default();
        (taint.key.clone(), value, taint.effect.clone())
    };
    taints.iter().map(one).collect()
}

impl Taints {
    pub(crate) fn get(&self, set: TaintSet) -> &[Taint] {
        &self.sets[set as usize]
    }

    /// Gives a node other taints than the set it had.
    pub(super) fn replace(&mut self, old: TaintSet, taints: &[Taint]) -> TaintSet {
        let plain = plain(taints);
        let id = match self.ids.get(&plain) {
            Some(id) => *id,
            None => {
                let id = self.free.pop().unwrap_or_else(|| {
                    self.sets.push(Vec::new());
                    self.users.push(0);
                    u32::try_from(self.sets.len() - 1).expect("there are fewer nodes")
                });
                self.sets[id as usize] = taints.to_vec();
                self.ids.insert(plain, id);
                id
            }
        };
        self.users[id as usize] += u32::from(id != 0);
        self.release(old);
        id
    }

    fn release(&mut self, set: TaintSet) {
        if set == 0 {
            return;
        }
        let users = &mut self.users[set as usize];
        *users -= 1;
        if *users == 0 {
            let taints = std::mem::take(&mut self.sets[set as usize]);
            self.ids.remove(&self::plain(&taints));
            self.free.push(set);
        }
    }
}

/// Whether one of the tolerations is for this taint.
pub(crate) fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let effect = toleration.effect.as_deref().unwrap_or_default();
        if !effect.is_empty() && effect != taint.effect {
            return false;
        }
        let key = toleration.key.as_deref().unwrap_or_default();
        if !key.is_empty() && key != taint.key {
            return false;
        }
        match toleration.operator.as_deref().unwrap_or_default() {
            "" | "Equal" => text(&toleration.value) == text(&taint.value),
            "Exists" => true,
            _ => false,
        }
    })
}
