//! Following objects of any kind by their metadata alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use kube::core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};

use crate::informer::config;
use crate::key::Key;
use crate::limits::{WATCH_PAUSE_MAX, WATCH_PAUSE_MIN};

/// What happened to an object of which only the metadata is known.
#[derive(Debug)]
pub enum MetadataChange<'a> {
    /// It came, or it is another one than before.
    Seen(&'a ObjectMeta),
    /// The server said that it was deleted.
    Deleted { key: &'a Key, uid: &'a str },
    /// A list did not have it any more.
    Missing { key: &'a Key, uid: &'a str },
    /// The first list is complete, or another one after a gap.
    Listed,
}

/// Follows all objects of `resource` until the task is dropped. Keeps no more of them than their names and uids.
pub async fn follow_metadata(
    client: Client,
    resource: &ApiResource,
    mut tell: impl FnMut(MetadataChange<'_>),
) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, resource);
    let mut known = Known::default();
    let mut pause = WATCH_PAUSE_MIN;
    let mut events = watcher::watcher(api, config()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                pause = WATCH_PAUSE_MIN;
                known.take(event, &mut tell);
            }
            Err(error) => {
                tracing::warn!(kind = %resource.kind, "watching: {error}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(WATCH_PAUSE_MAX);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    uids: HashMap<Key, Arc<str>>,
    seen: HashSet<Key>,
}

impl Known {
    fn take(
        &mut self,
        event: Event<PartialObjectMeta<DynamicObject>>,
        tell: &mut impl FnMut(MetadataChange<'_>),
    ) {
        match event {
            Event::Init => self.seen.clear(),
            Event::InitApply(object) => {
                self.seen.insert(key(&object.metadata));
                self.put(&object.metadata, tell);
            }
            Event::InitDone => {
                let seen = std::mem::take(&mut self.seen);
                let uids = std::mem::take(&mut self.uids).into_iter();
                let (kept, missing) = uids.partition(|(key, _)| seen.contains(key));
                self.uids = kept;
                let missing: HashMap<Key, Arc<str>> = missing;
                for (key, uid) in &missing {
                    tell(MetadataChange::Missing { key, uid });
                }
                tell(MetadataChange::Listed);
            }
            Event::Apply(object) => self.put(&object.metadata, tell),
            Event::Delete(object) => {
                let key = &key(&object.metadata);
                self.uids.remove(key);
                let uid = object.metadata.uid.as_deref().unwrap_or_default();
                tell(MetadataChange::Deleted { key, uid });
            }
        }
    }

    fn put(&mut self, meta: &ObjectMeta, tell: &mut impl FnMut(MetadataChange<'_>)) {
        let uid = meta.uid.as_deref().unwrap_or_default();
        let key = key(meta);
        match self.uids.get(&key) {
            Some(old) if old.as_ref() == uid => {}
            other => {
                // Deleted and made again while nobody looked.
                if let Some(uid) = other {
                    tell(MetadataChange::Missing { key: &key, uid });
                }
                self.uids.insert(key, uid.into());
            }
        }
        tell(MetadataChange::Seen(meta));
    }
}

fn key(meta: &ObjectMeta) -> Key {
    Key {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, uid: &str) -> PartialObjectMeta<DynamicObject> {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectMeta::default()
        };
        PartialObjectMeta {
            types: None,
            metadata,
            _phantom: Default::default(),
        }
    }

    #[test]
    fn what_a_list_does_not_have_is_missing_and_a_name_may_stand_for_another_object() {
        let mut known = Known::default();
        let mut told = Vec::new();
        let events = [
            Event::Init,
            Event::InitApply(object("a", "1")),
            Event::InitApply(object("b", "2")),
            Event::InitDone,
            Event::Apply(object("a", "1")),
            Event::Delete(object("a", "1")),
            Event::Apply(object("c", "3")),
            Event::Init,
            Event::InitApply(object("c", "4")),
            Event::InitDone,
        ];
        for event in events {
            known.take(event, &mut |change| {
                told.push(match change {
                    MetadataChange::Seen(meta) => format!("+{}", meta.uid.as_deref().unwrap_or("")),
                    MetadataChange::Deleted { uid, .. } => format!("-{uid}"),
                    MetadataChange::Missing { uid, .. } => format!("?{uid}"),
                    MetadataChange::Listed => "listed".to_owned(),
                });
            });
        }
        let expected = [
            "+1", "+2", "listed", "+1", "-1", "+3", "?3", "+4", "?2", "listed",
        ];
        assert_eq!(told, expected);
    }
}
