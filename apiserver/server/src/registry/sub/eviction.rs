//! Evicting a pod: a deletion that disruption budgets have a say in.

use http::StatusCode;
use mainstay_apistore::Scope;
use mainstay_kinds::Part;
use mainstay_machinery::meta;
use mainstay_machinery::selector::from_label_selector;
use mainstay_machinery::status::{Cause, Reason, StatusError};
use mainstay_schema::{Gvk, Resource};
use serde_json::{Value, json};

use super::super::codec::{self, Media};
use super::super::delete::{Delete, DeleteOptions};
use super::super::dispatch::{Registry, Request, read};
use super::super::update::Update;
use super::super::write::{now, of_resource, take_revision};
use crate::answer::{self, Answer};
use crate::upload::Upload;

/// Seconds after which an eviction that a budget refused may be tried again, at least.
const RETRY_SECONDS: u32 = 10;

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
    let mut delete_options = DeleteOptions::from_value(&eviction["deleteOptions"])?;
    delete_options.dry_run |= options.dry_run;
    let (namespace, name) = (&request.target.namespace, &request.target.name);
    let key = registry.keys.object(request.resource, namespace, name);
    let not_found = || StatusError::not_found(of_resource(request.resource), name);
    let stored = registry.newest(&key).await?.ok_or_else(not_found)?;
    let pod = registry.decode_stored(request.resource, &stored.value)?;
    if !ignores_budgets(&pod) {
        spend(registry, request, &pod, delete_options.dry_run).await?;
    }
    let delete = Delete {
        resource: request.resource,
        namespace,
        name,
        user: request.call.user,
        options: &delete_options,
    };
    registry.delete(&delete).await?;
    let success = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    answer::object(StatusCode::CREATED, &success, request.accepted)
}

/// Pods that serve nobody: ended, not placed yet, or on their way already.
fn ignores_budgets(pod: &Value) -> bool {
    matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed" | "Pending")
    ) || meta::deletion_timestamp(pod).is_some()
}

/// Takes the disruption from the one budget of the pod, as one guarded update.
async fn spend(
    registry: &Registry,
    request: &Request<'_>,
    pod: &Value,
    dry_run: bool,
) -> Result<(), StatusError> {
    let budgets = mainstay_schema::resource("policy", "v1", "poddisruptionbudgets")
        .ok_or_else(|| StatusError::internal("the table has no disruption budgets"))?;
    let namespace = &request.target.namespace;
    let all = registry.all(budgets, &Scope::namespace(namespace)).await?;
    let labels = meta::labels(pod);
    let covers = |budget: &&Value| {
        from_label_selector(&budget["spec"]["selector"]).is_ok_and(|s| s.matches(labels))
    };
    let covering: Vec<&Value> = all.iter().filter(covers).collect();
    let budget = match covering.as_slice() {
        [] => return Ok(()),
        [budget] => *budget,
        _ => {
            return Err(StatusError::new(
                500,
                Reason::Unknown,
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    };
    if is_unready(pod) && allows_unready(budget) {
        return Ok(());
    }
    let name = meta::name(budget);
    let update = Update {
        resource: budgets,
        namespace,
        name,
        part: Part::Status,
        subresource: "status",
        user: request.call.user,
        dry_run,
        repeatable: true,
        direct: false,
        may_create: false,
    };
    let pod_name = meta::name(pod).to_owned();
    let change = |budget: Option<&Value>| {
        let budget = budget.ok_or_else(|| StatusError::not_found(of_resource(budgets), name))?;
        spent(budgets, budget, &pod_name)
    };
    registry.update(&update, &change).await.map(drop)
}

fn spent(budgets: &Resource, budget: &Value, pod: &str) -> Result<Value, StatusError> {
    let name = meta::name(budget);
    let refused = |message: String| {
        StatusError::too_many_requests(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            RETRY_SECONDS,
        )
        .with_cause(Cause {
            reason: "DisruptionBudget".to_owned(),
            message,
            field: String::new(),
        })
    };
    let status = &budget["status"];
    let observed = status["observedGeneration"].as_i64().unwrap_or(0);
    if observed < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        return Err(refused(format!(
            "The disruption budget {name} is still being processed by the server."
        )));
    }
    let allowed = status["disruptionsAllowed"].as_i64().unwrap_or(0);
    if allowed < 0 {
        return Err(StatusError::forbidden(
            of_resource(budgets),
            name,
            "pdb disruptions allowed is negative",
        ));
    }
    if allowed == 0 {
        let healthy = status["currentHealthy"].as_i64().unwrap_or(0);
        let desired = status["desiredHealthy"].as_i64().unwrap_or(0);
        return Err(refused(format!(
            "The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        )));
    }
    let mut budget = budget.clone();
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    budget["status"]["disruptedPods"][pod] = now().into();
    take_revision(&mut budget);
    Ok(budget)
}

fn is_unready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    !conditions.is_some_and(|list| list.iter().any(ready))
}

/// Pods that do not work anyway may go if the budget says so, or if there are enough others.
fn allows_unready(budget: &Value) -> bool {
    let status = &budget["status"];
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy"))
}
