//! The connections of one serving thread, to wake them all at shutdown.

use slab::Slab;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Waker;

/// Shared by a thread and its connections.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    wakers: RefCell<Slab<Waker>>,
    leaving: Cell<bool>,
    /// Open connections, read by the acceptor to balance.
    pub(crate) open: Arc<AtomicUsize>,
}

impl Registry {
    pub(crate) fn new(open: Arc<AtomicUsize>) -> Rc<Self> {
        Rc::new(Self {
            open,
            ..Self::default()
        })
    }

    /// Registers the task that drives a connection.
    pub(crate) fn enter(self: &Rc<Self>, waker: &Waker) -> Entry {
        let key = self.wakers.borrow_mut().insert(waker.clone());
        Entry {
            registry: Rc::clone(self),
            key,
        }
    }

    /// Asks every connection to finish.
    pub(crate) fn leave(&self) {
        self.leaving.set(true);
        for (_, waker) in &*self.wakers.borrow() {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.borrow().is_empty()
    }
}

/// Removes a connection from the registry when dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    registry: Rc<Registry>,
    key: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.wakers.borrow_mut().try_remove(self.key);
    }
}

/// Counts a connection while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
