//! Evicting a pod: a deletion that disruption budgets have a say in.

use http::StatusCode;
use mainstay_apistore::Scope;
use mainstay_kinds::Part;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupKind, Reason, StatusError};
use mainstay_schema::Gvk;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::codec::{self, Media};
use super::super::delete::{Delete, DeleteOptions, check_preconditions};
use super::super::dispatch::{Registry, Request, read};
use super::super::update::Update;
use super::super::write::{now, of_resource, with_revision};
use super::budget::{self, Spent};
use crate::answer::{self, Answer};
use crate::limits::{EVICTION_ATTEMPTS_MAX, EVICTION_PAUSE};
use crate::upload::Upload;

pub(super) async fn evict(registry: &Registry, request: &Request<'_>, body: Upload) -> Answer {
    let options = request.write_options()?;
    let body = read(body).await?;
    let sub = request
        .resource
        .subresource("eviction")
        .ok_or_else(StatusError::unknown_path)?;
    let media = Media::of(request.content_type())?;
    let decode = |gvk| codec::decode_body(&body, media, gvk, sub.ty, options.field_validation);
    // The older version is the same, and clients of it are still around.
    let older = Gvk {
        version: "v1beta1",
        ..sub.gvk
    };
    let (eviction, _) = decode(sub.gvk).or_else(|e| decode(older).map_err(|_| e))?;
    if meta::name(&eviction) != request.target.name {
        return Err(StatusError::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    refuse_breaking(sub.gvk, &eviction)?;
    let mut asked = DeleteOptions::from_value(&eviction["deleteOptions"])?;
    asked.dry_run |= options.dry_run;
    let eviction = Eviction {
        registry,
        request,
        asked,
    };
    eviction.run().await?;
    let success = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    answer::object(StatusCode::CREATED, &success, request.accepted)
}

/// An option that is for objects which cannot be read, and not for pods that run.
fn refuse_breaking(gvk: Gvk, eviction: &Value) -> Result<(), StatusError> {
    const OPTION: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";
    let options = &eviction["deleteOptions"];
    if options[OPTION] != true {
        return Ok(());
    }
    let mut errors = ErrorList::default();
    let path = Path::new("deleteOptions").child(OPTION);
    let detail = "can not be set for pod eviction, try after removing the option";
    errors.push(Error::invalid(&path, true, detail));
    let kind = GroupKind::new(gvk.group, gvk.kind);
    Err(StatusError::invalid(kind, meta::name(eviction), &errors))
}

/// One eviction under way.
struct Eviction<'a> {
    registry: &'a Registry,
    request: &'a Request<'a>,
    asked: DeleteOptions,
}

impl Eviction<'_> {
    async fn run(&self) -> Result<(), StatusError> {
        let mut attempts = EVICTION_ATTEMPTS_MAX;
        let pod = loop {
            let pod = self.pod().await?;
            if !budget::is_ignored(&pod) {
                break pod;
            }
            // One that is not placed yet may become one that serves: only this very state of it may go.
            let state = (!budget::is_over(&pod)).then_some(&pod);
            match self.take(state).await {
                Err(e) if self.may_try_again(&e) && attempts > 1 => attempts -= 1,
                result => return result,
            }
            sleep(EVICTION_PAUSE).await;
        };
        let unready = match self.spend(&pod).await? {
            Spent::Guarded => None,
            Spent::Unready(budget) => Some(budget),
        };
        // A pod that is not ready is not the budget's: it must not have become ready since.
        let state = unready.is_some().then_some(&pod);
        match (self.take(state).await, unready) {
            (Err(e), Some(budget)) if self.may_try_again(&e) => {
                Err(budget::being_processed(&budget))
            }
            (result, _) => result,
        }
    }

    /// Conflicts are the server's own affair, unless the client named a revision.
    fn may_try_again(&self, error: &StatusError) -> bool {
        error.reason == Reason::Conflict && self.asked.resource_version.is_none()
    }

    /// The pod as it is now.
    async fn pod(&self) -> Result<Value, StatusError> {
        let Request {
            resource, target, ..
        } = self.request;
        let (namespace, name) = (&target.namespace, &target.name);
        let key = self.registry.keys.object(resource, namespace, name);
        let not_found = || StatusError::not_found(of_resource(resource), name);
        let stored = self.registry.newest(&key).await?.ok_or_else(not_found)?;
        let pod = self.registry.decode_stored(resource, &stored.value)?;
        Ok(with_revision(pod, stored.revision))
    }

    /// Takes the disruption from the one budget of the pod, as one guarded update.
    async fn spend(&self, pod: &Value) -> Result<Spent, StatusError> {
        let budgets = budget::resource()?;
        let namespace = &self.request.target.namespace;
        let scope = Scope::namespace(namespace);
        let all = self.registry.all(budgets, &scope).await?;
        let Some(budget) = budget::of_pod(&all, pod)? else {
            return Ok(Spent::Guarded);
        };
        let name = meta::name(budget);
        if budget::lets_unready_go(budget, pod) {
            return Ok(Spent::Unready(name.to_owned()));
        }
        let update = Update {
            resource: budgets,
            namespace,
            name,
            part: Part::Status,
            subresource: "status",
            user: self.request.call.user,
            dry_run: self.asked.dry_run,
            repeatable: true,
            direct: false,
            may_create: false,
        };
        let change = |budget: Option<&Value>| {
            let budget =
                budget.ok_or_else(|| StatusError::not_found(of_resource(budgets), name))?;
            budget::spent(budget, meta::name(pod), &now())
        };
        let mut attempts = EVICTION_ATTEMPTS_MAX;
        loop {
            match self.registry.update(&update, &change).await {
                // All pods of a node that is drained may be of one budget.
                Err(e) if e.reason == Reason::Conflict && attempts > 1 => attempts -= 1,
                result => return result.map(|_| Spent::Guarded),
            }
            sleep(EVICTION_PAUSE).await;
        }
    }

    /// Marks the pod as the target of a disruption and deletes it; only in this `state`, if there is one, and if the
    /// client named none.
    async fn take(&self, state: Option<&Value>) -> Result<(), StatusError> {
        let mut options = self.asked.clone();
        if let Some(state) = state.filter(|_| options.resource_version.is_none()) {
            options.resource_version = Some(meta::resource_version(state).to_owned());
        }
        if !options.dry_run {
            let marked = self.mark(&options).await?;
            if options.resource_version.is_some() {
                options.resource_version = Some(meta::resource_version(&marked).to_owned());
            }
        }
        let delete = self.deletion(&options);
        self.registry.delete(&delete).await.map(drop)
    }

    fn deletion<'a>(&'a self, options: &'a DeleteOptions) -> Delete<'a> {
        let Request {
            resource,
            target,
            call,
            ..
        } = self.request;
        Delete {
            resource,
            namespace: &target.namespace,
            name: &target.name,
            user: call.user,
            options,
        }
    }

    /// The pod with the condition that says why it goes.
    async fn mark(&self, options: &DeleteOptions) -> Result<Value, StatusError> {
        let delete = self.deletion(options);
        let update = Update {
            resource: delete.resource,
            namespace: delete.namespace,
            name: delete.name,
            part: Part::Status,
            subresource: "status",
            user: delete.user,
            dry_run: false,
            repeatable: true,
            direct: true,
            may_create: false,
        };
        let change = |pod: Option<&Value>| {
            let pod = pod
                .ok_or_else(|| StatusError::not_found(of_resource(delete.resource), delete.name))?;
            check_preconditions(&delete, pod, meta::resource_version(pod))?;
            Ok(targeted(pod, &now()))
        };
        Ok(self.registry.update(&update, &change).await?.object)
    }
}

fn targeted(pod: &Value, now: &str) -> Value {
    let mut pod = pod.clone();
    let mut condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": now,
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    });
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(conditions) = conditions.as_array_mut() {
        let is_own = |one: &&mut Value| one["type"] == condition["type"];
        match conditions.iter_mut().find(is_own) {
            Some(old) => {
                if old["status"] == condition["status"] {
                    condition["lastTransitionTime"] = old["lastTransitionTime"].take();
                }
                *old = condition;
            }
            None => conditions.push(condition),
        }
    }
    pod
}
