//! The rows, by name. A name says everything about its workload:
//!
//! | name | meaning |
//! |---|---|
//! | `idle` | no client |
//! | `create-16`, `create-16@2` | pods created, 16 unanswered at a time, by one server or two |
//! | `get-16`, `status-16`, `patch-16` | reading, guarded status updates, merge patches |
//! | `filled` | what the servers use once all pods of the lists are there |
//! | `list`, `list-rv0` | all pods: consistent, and whatever the cache has |
//! | `list-pages` | all pods, 500 at a time; each page counts |
//! | `list-label`, `list-node` | the pods of one label value, of one node |
//! | `list-table`, `list-metadata` | all pods in other forms |
//! | `list-10` | ten whole lists at a time |
//! | `sync` | the initial state of an informer: a watch with `sendInitialEvents` |
//! | `watch-node-1000` | each watcher sees one node's pods; writes go to another server |
//! | `watch-all-1000` | each watcher sees every pod |

use super::calls::Op;

/// What servers a row needs; rows of one stage share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A few pods.
    Light,
    /// As many pods as the lists are to have.
    Filled,
    /// A few pods on many nodes, and a second server that writes.
    Watched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Idle,
    /// What the servers use after the stage was set up.
    Memory,
    Calls {
        op: Op,
        in_flight: usize,
    },
    Watch {
        watchers: usize,
        by_node: bool,
        rate_per_s: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) stage: Stage,
    pub(crate) servers: usize,
    pub(crate) work: Work,
    /// Left out of the quick run.
    pub(crate) slow: bool,
}

const fn calls(name: &'static str, op: Op, in_flight: usize, servers: usize) -> Row {
    Row {
        name,
        stage: match op {
            Op::Create | Op::Get | Op::Status | Op::Patch => Stage::Light,
            _ => Stage::Filled,
        },
        servers,
        work: Work::Calls { op, in_flight },
        slow: false,
    }
}

const fn watch(name: &'static str, watchers: usize, by_node: bool, rate_per_s: u64) -> Row {
    Row {
        name,
        stage: Stage::Watched,
        servers: 2,
        work: Work::Watch {
            watchers,
            by_node,
            rate_per_s,
        },
        slow: watchers > 1000,
    }
}

/// All rows in order.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "idle",
        stage: Stage::Light,
        servers: 1,
        work: Work::Idle,
        slow: false,
    },
    calls("create-1", Op::Create, 1, 1),
    calls("create-16", Op::Create, 16, 1),
    calls("create-128", Op::Create, 128, 1),
    calls("get-16", Op::Get, 16, 1),
    calls("status-16", Op::Status, 16, 1),
    calls("patch-16", Op::Patch, 16, 1),
    calls("create-16@2", Op::Create, 16, 2),
    calls("create-128@2", Op::Create, 128, 2),
    Row {
        name: "filled",
        stage: Stage::Filled,
        servers: 1,
        work: Work::Memory,
        slow: false,
    },
    calls("list", Op::List, 1, 1),
    calls("list-rv0", Op::ListAny, 1, 1),
    calls("list-pages", Op::Pages, 1, 1),
    calls("list-label", Op::ListLabel, 1, 1),
    calls("list-node", Op::ListNode, 1, 1),
    calls("list-table", Op::ListTable, 1, 1),
    calls("list-metadata", Op::ListMetadata, 1, 1),
    calls("sync", Op::Sync, 1, 1),
    calls("list-10", Op::ListAny, 10, 1),
    watch("watch-node-1000", 1_000, true, 500),
    watch("watch-all-1000", 1_000, false, 20),
    watch("watch-node-10000", 10_000, true, 500),
];

/// The rows of a run; `patterns` keep those whose name contains one of them.
pub(crate) fn rows(quick: bool, patterns: &[String]) -> Vec<Row> {
    let wanted = |row: &&Row| {
        let named = patterns.iter().any(|p| row.name.contains(p.as_str()));
        named || (patterns.is_empty() && !(quick && row.slow))
    };
    ROWS.iter().filter(wanted).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_can_be_chosen() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
        let chosen = rows(true, &["watch-node-10000".to_owned()]);
        assert_eq!(chosen.len(), 1);
        assert!(rows(true, &[]).len() < rows(false, &[]).len());
    }
}
