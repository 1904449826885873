//! Range: limits, filters, sorting and counting over a [`View`].

use crate::MvccError;
use crate::arena::Arena;
use crate::limits::SORT_SLACK_KEYS;
use crate::record::RecordRef;
use crate::view::{Span, View};
use bytes::Bytes;
use mainstay_engine::Read;
use mainstay_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use mainstay_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use mainstay_proto::mvccpb::KeyValue;
use std::cmp::Ordering;
use std::ops::ControlFlow;

/// Answers a range request. The header carries the current revision only.
pub(crate) fn range<R: Read + ?Sized>(
    view: &View<'_, R>,
    r: &RangeRequest,
) -> Result<RangeResponse, MvccError> {
    let revision = view.resolve(r.revision)?;
    let span = Span::new(&r.key, &r.range_end);
    let mut response = RangeResponse {
        header: Some(header(view.revision)),
        ..RangeResponse::default()
    };
    match span {
        Span::Key(key) if !r.count_only => {
            // The usual request: the value is not copied again and the key is the request's own.
            if let Some(record) = view.get(key, revision)? {
                response.count = 1;
                if passes(r, &record.as_ref()) {
                    response.kvs.push(record.key_value(r.key.clone()));
                }
                strip(r, &mut response.kvs);
            }
        }
        Span::Key(key) if r.count_only => {
            response.count = i64::from(view.get(key, revision)?.is_some());
        }
        Span::Range(start, end) if r.count_only => {
            response.count = view.count(start, end, revision)?;
        }
        _ if is_default_order(r) && !has_filters(r) => limited(view, r, revision, &mut response)?,
        _ => filtered(view, r, revision, &mut response)?,
    }
    Ok(response)
}

pub(crate) fn header(revision: i64) -> ResponseHeader {
    ResponseHeader {
        revision,
        ..ResponseHeader::default()
    }
}

/// Whether results come in key order without being sorted. NONE counts whatever the target.
pub(crate) fn is_default_order(r: &RangeRequest) -> bool {
    r.sort_order == SortOrder::None as i32
        || (r.sort_target == SortTarget::Key as i32 && r.sort_order == SortOrder::Ascend as i32)
}

pub(crate) fn has_filters(r: &RangeRequest) -> bool {
    r.min_mod_revision != 0
        || r.max_mod_revision != 0
        || r.min_create_revision != 0
        || r.max_create_revision != 0
}

/// Takes one key more than the limit in key order, and only counts the rest.
fn limited<R: Read + ?Sized>(
    view: &View<'_, R>,
    r: &RangeRequest,
    revision: i64,
    response: &mut RangeResponse,
) -> Result<(), MvccError> {
    let take_max = match usize::try_from(r.limit) {
        Ok(limit) if limit > 0 => limit.saturating_add(1),
        _ => usize::MAX,
    };
    let values = keeps_values(r);
    let mut arena = Arena::default();
    let kvs = &mut response.kvs;
    let span = Span::new(&r.key, &r.range_end);
    let mut rest = Rest::new(view);
    view.visit(span, revision, &mut |key, record| {
        if kvs.len() < take_max {
            kvs.push(copied(&mut arena, key, &record, values));
        } else if rest.is_full(key) {
            return ControlFlow::Break(());
        }
        response.count += 1;
        ControlFlow::Continue(())
    })?;
    response.count += rest.count(view, span, revision)?;
    // Quirk: a target without an order sorts what the limit has already cut.
    sort(r, kvs);
    response.more = take_max != usize::MAX && kvs.len() == take_max;
    if response.more {
        kvs.truncate(take_max - 1);
    }
    strip(r, kvs);
    Ok(())
}

/// The keys of a range that are only counted. They are often few: then going on is cheaper than to begin
/// anew with the table.
pub(crate) struct Rest {
    one_by_one: usize,
    from: Option<Vec<u8>>,
}

impl Rest {
    pub(crate) fn new<R: Read + ?Sized>(view: &View<'_, R>) -> Self {
        Self {
            one_by_one: view.latest.counts().limits().scan_first,
            from: None,
        }
    }

    /// Whether the visit should end before `key`; otherwise the caller counts it.
    pub(crate) fn is_full(&mut self, key: &[u8]) -> bool {
        if self.one_by_one == 0 {
            self.from = Some(key.to_vec());
            return true;
        }
        self.one_by_one -= 1;
        false
    }

    /// The keys of `span` that the visit has left.
    pub(crate) fn count<R: Read + ?Sized>(
        &self,
        view: &View<'_, R>,
        span: Span<'_>,
        revision: i64,
    ) -> Result<i64, MvccError> {
        match (&self.from, span) {
            (Some(from), Span::Range(_, end)) => view.count(from, end, revision),
            _ => Ok(0),
        }
    }
}

/// Filters everything, then sorts, then cuts.
fn filtered<R: Read + ?Sized>(
    view: &View<'_, R>,
    r: &RangeRequest,
    revision: i64,
    response: &mut RangeResponse,
) -> Result<(), MvccError> {
    let limit = usize::try_from(r.limit)
        .ok()
        .filter(|limit| *limit > 0)
        .unwrap_or(usize::MAX);
    let held_max = limit.saturating_add(limit.max(SORT_SLACK_KEYS));
    let values = keeps_values(r);
    let mut passed = 0;
    let kvs = &mut response.kvs;
    view.visit(
        Span::new(&r.key, &r.range_end),
        revision,
        &mut |key, record| {
            response.count += 1;
            if passes(r, &record) {
                passed += 1;
                // Memory of its own: most candidates may be dropped again.
                kvs.push(owned(key, &record, values));
                if kvs.len() >= held_max {
                    sort(r, kvs);
                    kvs.truncate(limit);
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    sort(r, kvs);
    kvs.truncate(limit);
    response.more = passed > limit;
    strip(r, kvs);
    Ok(())
}

fn passes(r: &RangeRequest, record: &RecordRef<'_>) -> bool {
    let within = |value, min, max| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(record.modified, r.min_mod_revision, r.max_mod_revision)
        && within(record.create, r.min_create_revision, r.max_create_revision)
}

/// Values are needed to be sent or to be sorted by.
fn keeps_values(r: &RangeRequest) -> bool {
    !r.keys_only || r.sort_target == SortTarget::Value as i32
}

/// `keys_only` answers carry everything but values. (etcd 3.7 leaves leases out, too, which its users reported
/// as a fault: etcd-io/etcd#22209.)
fn strip(r: &RangeRequest, kvs: &mut [KeyValue]) {
    if r.keys_only {
        for kv in kvs {
            kv.value = Bytes::new();
        }
    }
}

/// Stable: equal elements stay in key order, also when descending.
fn sort(r: &RangeRequest, kvs: &mut [KeyValue]) {
    let (Ok(target), Ok(order)) = (
        SortTarget::try_from(r.sort_target),
        SortOrder::try_from(r.sort_order),
    ) else {
        return;
    };
    let descending = match (target, order) {
        (SortTarget::Key, SortOrder::None | SortOrder::Ascend) => return,
        (_, SortOrder::None | SortOrder::Ascend) => false,
        (_, SortOrder::Descend) => true,
    };
    kvs.sort_by(|a, b| {
        let order = compare(target, a, b);
        if descending { order.reverse() } else { order }
    });
}

fn compare(target: SortTarget, a: &KeyValue, b: &KeyValue) -> Ordering {
    match target {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    }
}

/// A key-value whose bytes share memory with its neighbours.
pub(crate) fn copied(
    arena: &mut Arena,
    key: &[u8],
    record: &RecordRef<'_>,
    value: bool,
) -> KeyValue {
    KeyValue {
        key: arena.copy(key),
        value: if value {
            arena.copy(record.value)
        } else {
            Bytes::new()
        },
        ..numbers(record)
    }
}

fn owned(key: &[u8], record: &RecordRef<'_>, value: bool) -> KeyValue {
    let value = if value { record.value } else { &[] };
    KeyValue {
        key: Bytes::copy_from_slice(key),
        value: Bytes::copy_from_slice(value),
        ..numbers(record)
    }
}

fn numbers(record: &RecordRef<'_>) -> KeyValue {
    KeyValue {
        create_revision: record.create,
        mod_revision: record.modified,
        version: record.version,
        lease: record.lease,
        ..KeyValue::default()
    }
}
