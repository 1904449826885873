//! Looking at objects from inside: admission, tokens and loops.

use std::sync::Arc;

use mainstay_apistore::{Scope, View};
use mainstay_machinery::status::StatusError;
use mainstay_schema::Resource;
use serde_json::Value;

use super::dispatch::Registry;
use super::parsed::parse;
use super::write::with_revision;

impl Registry {
    /// An object as the cache has it; if it is not there, as the store has it.
    pub(crate) async fn find(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>, StatusError> {
        if let Some(object) = self.known_one(resource, namespace, name) {
            return Ok(Some(object));
        }
        let found = self.find_newest(resource, namespace, name).await?;
        Ok(found.map(Arc::new))
    }

    /// An object as the store has it.
    pub(crate) async fn find_newest(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, StatusError> {
        let key = self.keys.object(resource, namespace, name);
        let Some(stored) = self.newest(&key).await? else {
            return Ok(None);
        };
        let object = self.decode_stored(resource, &stored.value)?;
        Ok(Some(with_revision(object, stored.revision)))
    }

    /// An object as the cache has it.
    pub(crate) fn known_one(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let key = self.keys.object(resource, namespace, name);
        let view = self.view(resource, &Scope::Key(key.clone()));
        let object = view.get(&key)?;
        self.parsed.of(object)
    }

    /// The few objects of a scope that is looked at often, as the cache has them.
    pub(crate) fn known_few(&self, resource: &'static Resource, scope: &Scope) -> Vec<Arc<Value>> {
        let view = self.view(resource, scope);
        view.iter()
            .filter_map(|object| self.parsed.of(object))
            .collect()
    }

    /// All objects of a scope, as the cache has them.
    pub(crate) fn known(&self, resource: &'static Resource, scope: &Scope) -> Vec<Value> {
        let view = self.view(resource, scope);
        view.iter().filter_map(|object| parse(object)).collect()
    }

    fn view(&self, resource: &'static Resource, scope: &Scope) -> View {
        self.cache(resource).now(scope)
    }

    /// What must happen when an object is gone for good.
    pub(super) fn deleted(&self, resource: &Resource, object: &Value) {
        if resource.group.is_empty() && resource.plural == "services" {
            self.admission.allocators.free(object, None);
        }
    }

    /// What must happen when an object has changed.
    pub(super) fn changed(&self, resource: &Resource, old: &Value, new: &Value) {
        if resource.group.is_empty() && resource.plural == "services" {
            self.admission.allocators.free(old, Some(new));
        }
    }
}
