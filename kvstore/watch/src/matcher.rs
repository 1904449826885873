//! Finds the groups an event concerns.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use crate::batch::EncodedEvent;
use crate::group::Group;
use crate::prefix_tree::PrefixTree;
use crate::range::Range;
use crate::span_tree::SpanTree;

/// Every group by its range: all in one hash table (an event's hash finds the group of its key), prefixes and spans
/// in their trees as well.
#[derive(Debug)]
pub(crate) struct Matcher {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    prefixes: PrefixTree,
    spans: SpanTree,
}

impl Matcher {
    pub(crate) fn new(hasher: DefaultHashBuilder) -> Self {
        let seed = hasher.hash_one(0x9e37_79b9_u32);
        Self {
            hasher,
            table: HashTable::new(),
            prefixes: PrefixTree::new(),
            spans: SpanTree::new(seed),
        }
    }

    /// The group of a range, made if there is none.
    pub(crate) fn group(&mut self, groups: &mut Slab<Group>, range: Range) -> u32 {
        let hash = range.hash(&self.hasher);
        if let Some(&known) = self
            .table
            .find(hash, |&ix| groups[ix as usize].range == range)
        {
            return known;
        }
        let ix = u32::try_from(groups.vacant_key()).expect("fewer than 4 G ranges");
        match &range {
            Range::Key(_) => {}
            Range::Prefix(prefix) => self.prefixes.insert(prefix, ix),
            Range::Span(span) => self.spans.insert((**span).clone(), ix),
        }
        groups.insert(Group::new(range));
        let hasher = &self.hasher;
        self.table
            .insert_unique(hash, ix, |&ix| groups[ix as usize].range.hash(hasher));
        ix
    }

    /// Removes a group that has no watchers left.
    pub(crate) fn remove(&mut self, groups: &mut Slab<Group>, ix: u32) -> Group {
        let group = groups.remove(ix as usize);
        match &group.range {
            Range::Key(_) => {}
            Range::Prefix(prefix) => self.prefixes.remove(prefix),
            Range::Span(span) => self.spans.remove(span),
        }
        if let Ok(entry) = self
            .table
            .find_entry(group.range.hash(&self.hasher), |&at| at == ix)
        {
            entry.remove();
        }
        group
    }

    /// Calls `found` with every group whose range contains the event's key.
    pub(crate) fn matches(
        &self,
        groups: &Slab<Group>,
        event: &EncodedEvent,
        mut found: impl FnMut(u32),
    ) {
        let key = event.key();
        let is_key = |ix: &u32| matches!(&groups[*ix as usize].range, Range::Key(k) if **k == *key);
        if let Some(&ix) = self.table.find(event.hash, is_key) {
            found(ix);
        }
        self.prefixes.matches(key, &mut found);
        self.spans.matches(key, &mut found);
    }
}
