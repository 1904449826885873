//! The informers of one process.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use kube::Client;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::informer::{Informer, Kind};

/// Starts an informer for each kind that is asked for, once; dropping this and all its parts ends them.
pub struct Informers {
    client: Client,
    started: Arc<Mutex<Started>>,
    asked_for: Arc<Mutex<HashMap<TypeId, Arc<dyn Followed>>>>,
}

trait Followed: Send + Sync {
    fn check(&self) -> Result<(), String>;
}

impl<K: Kind> Followed for Informer<K> {
    fn check(&self) -> Result<(), String> {
        Informer::check(self)
    }
}

#[derive(Debug, Default)]
struct Started {
    kinds: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    tasks: JoinSet<()>,
}

impl fmt::Debug for Informers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.started.lock().kinds.len();
        f.debug_struct("Informers")
            .field("kinds", &kinds)
            .finish_non_exhaustive()
    }
}

impl Informers {
    /// `client` must be allowed to list and watch whatever is asked for, in all namespaces.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            started: Arc::default(),
            asked_for: Arc::default(),
        }
    }

    /// The informer of those objects of a kind that a field selector picks, as `spec.nodeName=a`. Whoever asks for the
    /// kind later has the same ones. Must be called within a tokio runtime.
    #[must_use]
    pub fn of_selected<K: Kind>(&self, fields: &str) -> Arc<Informer<K>> {
        self.start(Some(fields), whole)
    }

    /// The same informers for one of several users.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            client: self.client.clone(),
            started: Arc::clone(&self.started),
            asked_for: Arc::default(),
        }
    }

    /// A check of all that this part was asked for.
    ///
    /// # Errors
    /// It names a kind that cannot be followed, and why.
    pub fn check(&self) -> impl Fn() -> Result<(), String> + Send + Sync + use<> {
        let asked_for = Arc::clone(&self.asked_for);
        move || asked_for.lock().values().try_for_each(|kind| kind.check())
    }

    /// The informer of a kind. Must be called within a tokio runtime.
    #[must_use]
    pub fn of<K: Kind>(&self) -> Arc<Informer<K>> {
        self.start(None, whole)
    }

    /// The informer of a kind, of whose objects `trim` takes away what is not needed before they are kept. Whoever asks
    /// for the kind later has them as they are kept. Must be called within a tokio runtime.
    #[must_use]
    pub fn of_trimmed<K: Kind>(&self, trim: fn(&mut K)) -> Arc<Informer<K>> {
        self.start(None, trim)
    }

    fn start<K: Kind>(&self, fields: Option<&str>, trim: fn(&mut K)) -> Arc<Informer<K>> {
        let mut started = self.started.lock();
        let Started { kinds, tasks } = &mut *started;
        let known = kinds.entry(TypeId::of::<K>()).or_insert_with(|| {
            let informer = Arc::new(Informer::<K>::default());
            let fields = fields.map(str::to_owned);
            tasks.spawn(Arc::clone(&informer).run(self.client.clone(), fields, trim));
            informer
        });
        let informer = Arc::downcast::<Informer<K>>(Arc::clone(known));
        let informer = informer.expect("it is kept under its own type");
        let mut asked_for = self.asked_for.lock();
        asked_for.insert(TypeId::of::<K>(), Arc::clone(&informer) as _);
        informer
    }
}

fn whole<K>(_: &mut K) {}
