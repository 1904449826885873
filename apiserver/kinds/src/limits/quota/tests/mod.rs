//! Quotas and objects the tests share.

mod admission;
mod recount;
mod scope;
mod usage;

use super::{Usage, charge::to_json};
use crate::limits::Change;
use mainstay_schema::{Resource, resource};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z in milliseconds.
const NOW: i64 = 1_767_225_600_000;

fn of(plural: &str) -> &'static Resource {
    let group = match plural {
        "deployments" => "apps",
        "resourceclaims" => "resource.k8s.io",
        _ => "",
    };
    resource(group, "v1", plural).expect("a resource")
}

/// A quota whose bounds are in force.
fn quota(hard: Value, used: Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}})
}

fn scoped(scopes: Value) -> Value {
    let mut quota = quota(
        json!({"pods": "1", "requests.storage": "1"}),
        json!({"pods": "0"}),
    );
    quota["spec"]["scopes"] = scopes;
    quota
}

fn selecting(scope: &str, operator: &str, values: Value) -> Value {
    let mut quota = scoped(json!([]));
    quota["spec"]["scopeSelector"] = json!({"matchExpressions": [
        {"scopeName": scope, "operator": operator, "values": values}]});
    quota
}

fn pod(requests: Value, limits: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "resources": {"requests": requests, "limits": limits}}]}})
}

fn create<'a>(plural: &str, new: &'a Value) -> Change<'a> {
    Change {
        resource: of(plural),
        subresource: "",
        new,
        old: None,
    }
}

fn printed(usage: &Usage) -> Value {
    Value::Object(to_json(usage))
}
