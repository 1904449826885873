//! Other objects that admission looks at.

use std::sync::{Arc, OnceLock, Weak};

use mainstay_apistore::Scope;
use mainstay_machinery::status::StatusError;
use mainstay_schema::Resource;
use serde_json::Value;

use crate::registry::Registry;

/// The registry, once there is one: both know each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookup(Arc<OnceLock<Weak<Registry>>>);

impl Lookup {
    pub(crate) fn set(&self, registry: &Arc<Registry>) {
        // Set once, when the server is put together.
        let _ = self.0.set(Arc::downgrade(registry));
    }

    pub(crate) fn registry(&self) -> Result<Arc<Registry>, StatusError> {
        let registry = self.0.get().and_then(Weak::upgrade);
        registry.ok_or_else(|| StatusError::service_unavailable("the server is starting or ending"))
    }

    /// An object as the cache has it; then, if it is not there, as the store has it.
    pub(crate) async fn get(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>, StatusError> {
        let registry = self.registry()?;
        registry
            .find(resource(group, plural)?, namespace, name)
            .await
    }

    /// All objects of a namespace, or of the cluster, as the cache has them: of kinds that there are few of.
    pub(crate) fn list(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
    ) -> Result<Vec<Arc<Value>>, StatusError> {
        let registry = self.registry()?;
        Ok(registry.known_few(resource(group, plural)?, &scope(namespace)))
    }

    /// The same for kinds that there may be many of.
    pub(crate) fn all(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
    ) -> Result<Vec<Value>, StatusError> {
        let registry = self.registry()?;
        Ok(registry.known(resource(group, plural)?, &scope(namespace)))
    }
}

fn scope(namespace: &str) -> Scope {
    match namespace {
        "" => Scope::All,
        namespace => Scope::namespace(namespace),
    }
}

fn resource(group: &str, plural: &str) -> Result<&'static Resource, StatusError> {
    mainstay_schema::resource(group, "v1", plural)
        .ok_or_else(|| StatusError::internal(format_args!("the table has no {plural}")))
}
