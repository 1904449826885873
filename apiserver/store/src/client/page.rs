//! Lists of keys, in pages.

use super::calls::{Client, Consistency, Effect};
use super::failure::Failure;
use super::kv::{RANGE, revision};
use super::prefix::prefix_end;
use super::stored::Stored;
use crate::limits::{PAGE_BYTES_AIM, PAGE_KEYS_FIRST, PAGE_KEYS_MAX, PAGE_KEYS_MIN};
use bytes::{BufMut, Bytes, BytesMut};
use mainstay_proto::etcdserverpb as pb;
use pb::range_request::{SortOrder, SortTarget};

/// What part of the keys to read.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// All keys begin with this.
    pub prefix: Bytes,
    /// Begin after this key instead of at the first one. A key before all of the prefix changes nothing: it may come
    /// from a client, who is not to see what others have.
    pub after: Option<Bytes>,
    /// Most keys to return; 0 for all.
    pub limit: i64,
    /// Read as of this revision; 0 for now.
    pub revision: i64,
    /// How current "now" must be.
    pub consistency: Consistency,
}

/// One page of a list, in key order.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The keys.
    pub items: Vec<Stored>,
    /// The store's revision at the time of the read: of the list itself, unless an older one was asked for.
    pub revision: i64,
    /// How many more keys follow this page at the same revision.
    pub remaining: i64,
}

/// What the store says about changes of a prefix since a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unchanged {
    /// The store's revision at the time of the read.
    pub revision: i64,
    /// How many keys there are.
    pub count: i64,
    /// Latest revision of a key that was written since and still exists.
    pub newest: Option<i64>,
}

impl Client {
    /// Reads one page.
    pub async fn page(&self, request: &PageRequest) -> Result<ListPage, Failure> {
        let range = pb::RangeRequest {
            key: first_key(request),
            range_end: prefix_end(&request.prefix),
            limit: request.limit,
            revision: request.revision,
            serializable: request.consistency == Consistency::Serializable,
            ..Default::default()
        };
        let answer: pb::RangeResponse = self.call(Effect::Read, RANGE, range).await?;
        let returned = i64::try_from(answer.kvs.len()).expect("a message is smaller than 2^63");
        Ok(ListPage {
            revision: revision(answer.header)?,
            remaining: (answer.count - returned).max(0),
            items: answer.kvs.into_iter().map(Stored::from).collect(),
        })
    }

    /// Reads all keys of a prefix as of one revision, 0 for now, handing each page to `each`. Returns the revision.
    ///
    /// Pages adapt to the size of the values, so that neither side ever holds much more than
    /// [`PAGE_BYTES_AIM`] at once. [`Failure::Compacted`] means that the list took too long: begin again.
    pub async fn list(
        &self,
        prefix: &Bytes,
        at: i64,
        mut each: impl FnMut(Vec<Stored>),
    ) -> Result<i64, Failure> {
        let mut request = PageRequest {
            prefix: prefix.clone(),
            limit: PAGE_KEYS_FIRST,
            revision: at,
            ..Default::default()
        };
        loop {
            let page = match self.page(&request).await {
                Err(Failure::TooLarge) if request.limit > PAGE_KEYS_MIN => {
                    request.limit = PAGE_KEYS_MIN;
                    continue;
                }
                answer => answer?,
            };
            if request.revision == 0 {
                request.revision = page.revision;
            }
            let bytes: usize = page.items.iter().map(|kv| kv.value.len() + 64).sum();
            request.after = page.items.last().map(|kv| kv.key.clone());
            request.limit = next_limit(page.items.len(), bytes);
            let done = page.remaining == 0 || page.items.is_empty();
            each(page.items);
            if done {
                return Ok(request.revision);
            }
        }
    }

    /// How many keys have this prefix, and the store's revision.
    pub async fn count(&self, prefix: &Bytes) -> Result<(i64, i64), Failure> {
        let range = pb::RangeRequest {
            key: prefix.clone(),
            range_end: prefix_end(prefix),
            count_only: true,
            ..Default::default()
        };
        let answer: pb::RangeResponse = self.call(Effect::Read, RANGE, range).await?;
        Ok((answer.count, revision(answer.header)?))
    }

    /// What has changed below a prefix since `known`, without reading any value.
    ///
    /// If nothing was written and the number of keys is the same, then the keys are those of `known`: a key that
    /// exists now was not written since, so it existed then, and as many exist now as then.
    pub async fn unchanged_since(&self, prefix: &Bytes, known: i64) -> Result<Unchanged, Failure> {
        let range = pb::RangeRequest {
            key: prefix.clone(),
            range_end: prefix_end(prefix),
            keys_only: true,
            min_mod_revision: known + 1,
            sort_order: SortOrder::Descend.into(),
            sort_target: SortTarget::Mod.into(),
            limit: 1,
            ..Default::default()
        };
        let answer: pb::RangeResponse = self.call(Effect::Read, RANGE, range).await?;
        Ok(Unchanged {
            revision: revision(answer.header)?,
            count: answer.count,
            newest: answer.kvs.first().map(|kv| kv.mod_revision),
        })
    }
}

/// Where a page begins.
fn first_key(request: &PageRequest) -> Bytes {
    let after = request.after.as_ref().map(successor);
    after
        .filter(|key| *key > request.prefix)
        .unwrap_or_else(|| request.prefix.clone())
}

/// The first possible key after `key`.
fn successor(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

fn next_limit(items: usize, bytes: usize) -> i64 {
    let each = bytes / items.max(1);
    let fit = i64::try_from(PAGE_BYTES_AIM / each.max(1)).unwrap_or(PAGE_KEYS_MAX);
    fit.clamp(PAGE_KEYS_MIN, PAGE_KEYS_MAX)
}

#[cfg(test)]
mod tests {
    use super::{PageRequest, first_key, next_limit};
    use crate::limits::{PAGE_KEYS_MAX, PAGE_KEYS_MIN};
    use bytes::Bytes;

    #[test]
    fn pages_follow_the_size_of_the_objects() {
        assert_eq!(next_limit(500, 500 * 4096), 1024);
        assert_eq!(next_limit(500, 500 * 10), PAGE_KEYS_MAX);
        assert_eq!(next_limit(16, 16 << 20), PAGE_KEYS_MIN);
        assert_eq!(next_limit(0, 0), PAGE_KEYS_MAX);
    }

    #[test]
    fn a_page_after_a_key_of_another_prefix_showed_what_is_there() {
        let first = |after: &'static str| {
            first_key(&PageRequest {
                prefix: Bytes::from_static(b"/pods/b/"),
                after: Some(Bytes::from_static(after.as_bytes())),
                ..PageRequest::default()
            })
        };
        assert_eq!(first("/pods/b/x"), "/pods/b/x\0");
        for before in ["/pods/a/secret", "/pods/", "/", ""] {
            assert_eq!(first(before), "/pods/b/", "{before}");
        }
    }
}
