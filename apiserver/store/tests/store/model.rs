//! Random writes: what every watcher makes of its events is what the list shows at its revision.

use crate::support::{Shown, cache, key, on_each_server, until};
use bytes::Bytes;
use mainstay_apistore::client::{Created, Deleted, Updated};
use mainstay_apistore::{
    Client, Filter, Freshness, ResourceCache, Scope, Start, Step, WatchRequest, Watcher,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

const WRITES: usize = 600;
const WATCHERS: usize = 24;

/// The store as it should be: key to revision and value, and that of every revision.
#[derive(Default)]
struct Model {
    now: BTreeMap<Bytes, (i64, Bytes)>,
    past: HashMap<i64, BTreeMap<Bytes, (i64, Bytes)>>,
}

impl Model {
    async fn write(&mut self, client: &Client, rng: &mut StdRng) -> i64 {
        let namespace = ["a", "b", "c"][rng.random_range(0..3)];
        let key = key(&format!("{namespace}/{}", rng.random_range(0..12)));
        let node = ["", "n1", "n2", "n3"][rng.random_range(0..4)];
        let app = ["x", "y"][rng.random_range(0..2)];
        let value = Bytes::from(format!("{node};app={app};{}", rng.random::<u32>()));
        let revision = match self.now.get(&key) {
            Some((at, _)) if rng.random_bool(0.3) => match client.delete(key.clone(), *at).await {
                Ok(Deleted::Done(revision)) => {
                    self.now.remove(&key);
                    self.past.insert(revision, self.now.clone());
                    return revision;
                }
                other => panic!("{other:?}"),
            },
            Some((at, _)) => match client.update(key.clone(), *at, value.clone(), 0).await {
                Ok(Updated::Done(revision)) => revision,
                other => panic!("{other:?}"),
            },
            None => match client.create(key.clone(), value.clone(), 0).await {
                Ok(Created::Done(revision)) => revision,
                other => panic!("{other:?}"),
            },
        };
        self.now.insert(key, (revision, value));
        self.past.insert(revision, self.now.clone());
        revision
    }
}

/// What a watcher asked for, checked by the text of a value instead of by the cache's attributes.
#[derive(Clone, Debug)]
struct Part {
    scope: Scope,
    app: Option<&'static str>,
}

impl Part {
    fn random(rng: &mut StdRng) -> Self {
        let scope = match rng.random_range(0..4) {
            0 => Scope::All,
            1 => Scope::namespace(["a", "b"][rng.random_range(0..2)]),
            2 => Scope::index(["n1", "n2"][rng.random_range(0..2)]),
            _ => Scope::Key(key(&format!("a/{}", rng.random_range(0..12)))),
        };
        let app = [None, Some("x"), Some("y")][rng.random_range(0..3)];
        Self { scope, app }
    }

    fn request(&self, start: Start) -> WatchRequest {
        let app = self.app;
        let filter: Option<Filter> = app.map(|app| -> Filter {
            Arc::new(move |object| object.attributes.label("app") == Some(app))
        });
        WatchRequest {
            filter,
            bookmarks: Some(Duration::from_millis(20)),
            ..WatchRequest::new(self.scope.clone(), start)
        }
    }

    fn of(&self, all: &BTreeMap<Bytes, (i64, Bytes)>) -> BTreeMap<Bytes, (i64, Bytes)> {
        let shows = |key: &Bytes, value: &Bytes| {
            let text = String::from_utf8_lossy(value).into_owned();
            let inside = match &self.scope {
                Scope::All => true,
                Scope::Namespace(name) => key.starts_with(&key_prefix(name)),
                Scope::Index(node) => text.starts_with(&format!("{node};")),
                Scope::Key(only) => key == only,
            };
            inside
                && self
                    .app
                    .is_none_or(|app| text.contains(&format!(";app={app};")))
        };
        let kept = all.iter().filter(|(key, (_, value))| shows(key, value));
        kept.map(|(key, state)| (key.clone(), state.clone()))
            .collect()
    }
}

fn key_prefix(namespace: &Bytes) -> Bytes {
    key(&format!("{}/", String::from_utf8_lossy(namespace)))
}

struct Follower {
    part: Part,
    watcher: Watcher,
    shown: Shown,
}

impl Follower {
    async fn start(cache: &ResourceCache, rng: &mut StdRng) -> Self {
        let part = Part::random(rng);
        let mut shown = Shown::default();
        let start = if rng.random_bool(0.5) {
            Start::Initial
        } else {
            let list = cache
                .list(&part.scope, Freshness::Any, until())
                .await
                .expect("the cache serves");
            let visible = list.iter().filter(|object| {
                let label = object.attributes.label("app");
                part.app.is_none_or(|app| label == Some(app))
            });
            let state = visible.map(|o| (o.key.clone(), (o.revision, o.value.clone())));
            shown.objects = state.collect();
            shown.revision = list.revision();
            Start::After(list.revision())
        };
        let watcher = cache
            .watch(part.request(start), until())
            .await
            .expect("the cache serves");
        Self {
            part,
            watcher,
            shown,
        }
    }

    /// Reads one step; where it ends, the reconstruction is compared with the model at that revision.
    async fn step(&mut self, model: &Model) {
        let step = self.watcher.next().await.expect("the cache serves");
        self.shown.apply(&step);
        if matches!(&step, Step::Events(events) if events.is_empty()) {
            panic!("an empty step");
        }
        // The initial objects are so few that they come in one step.
        if let Some(then) = model.past.get(&self.watcher.revision()) {
            assert_eq!(self.shown.objects, self.part.of(then), "{:?}", self.part);
        }
    }
}

#[tokio::test]
async fn every_reconstruction_equals_the_list() {
    on_each_server(async |_, client| {
        let seed = rand::random();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let (cache, mut model) = (cache(&client), Model::default());
        let mut last = 0;
        let mut followers = Vec::new();
        for index in 0..WRITES {
            last = model.write(&client, &mut rng).await;
            if index % (WRITES / WATCHERS) == 0 {
                followers.push(Follower::start(&cache, &mut rng).await);
            }
            if index % 50 == 0 {
                let list = cache.list(&Scope::All, Freshness::Consistent, until());
                let list = list.await.unwrap();
                let state = list
                    .iter()
                    .map(|o| (o.key.clone(), (o.revision, o.value.clone())));
                assert_eq!(state.collect::<BTreeMap<_, _>>(), model.now);
            }
        }
        for follower in &mut followers {
            while follower.watcher.revision() < last {
                follower.step(&model).await;
            }
            assert_eq!(follower.shown.objects, follower.part.of(&model.now));
        }
        for _ in 0..50 {
            let part = Part::random(&mut rng);
            let at = last - rng.random_range(0..WRITES as i64 / 2);
            let list = cache
                .list(&part.scope, Freshness::Exact(at), until())
                .await
                .unwrap();
            let state = list
                .iter()
                .map(|o| (o.key.clone(), (o.revision, o.value.clone())));
            let all = Part { app: None, ..part };
            assert_eq!(state.collect::<BTreeMap<_, _>>(), all.of(&model.past[&at]));
        }
    })
    .await;
}
