//! What depends on who asks: grants of permissions, writes of kubelets, certificates, and what pods may do to their
//! host.

use std::sync::Arc;

use mainstay_auth::admission::{
    Admission as Question, NodeRestriction, Operation as Kind, Refusal, check_approval,
    check_attest, check_signing, check_subject,
};
use mainstay_auth::pod_security::{LabelError, PodSecurity, pod_template};
use mainstay_auth::rbac::{Escalation, GrantCheck, RoleKind};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::status::{GroupKind, GroupResource, StatusError};
use serde_json::Value;

use super::chain::Admission;
use super::{Attempt, Operation};
use crate::registry::of_resource;

const RBAC: &str = "rbac.authorization.k8s.io";

impl Admission {
    /// Everything of this file, in upstream's order.
    pub(super) async fn secure(
        &self,
        attempt: &mut Attempt<'_>,
        object: &Value,
    ) -> Result<(), StatusError> {
        self.check_grants(attempt, object)?;
        self.check_identity(attempt, object)?;
        self.pod_security(attempt, object).await
    }

    /// What kubelets may write, and who may approve, sign and ask for certificates.
    fn check_identity(&self, attempt: &Attempt<'_>, object: &Value) -> Result<(), StatusError> {
        let null = Value::Null;
        let question = Question {
            user: attempt.user,
            operation: match attempt.operation {
                Operation::Create => Kind::Create,
                Operation::Update => Kind::Update,
                Operation::Delete => Kind::Delete,
            },
            group: attempt.resource.group,
            resource: attempt.resource.plural,
            subresource: attempt.subresource,
            namespace: attempt.namespace,
            name: match attempt.operation {
                Operation::Create => "",
                _ => &attempt.name,
            },
            object,
            old: attempt.old.unwrap_or(&null),
        };
        let authorizer = &*self.authorizer;
        let lookup = |plural: &'static str, namespace: &str, name: &str| {
            let registry = self.lookup.registry().ok()?;
            let group = match plural {
                "csidrivers" => "storage.k8s.io",
                _ => "",
            };
            let resource = mainstay_schema::resource(group, "v1", plural)?;
            registry
                .known_one(resource, namespace, name)
                .map(Arc::unwrap_or_clone)
        };
        let restriction = NodeRestriction {
            lookup: &lookup,
            authorizer,
        };
        let checked = restriction
            .check(&question)
            .and_then(|()| check_approval(&question, authorizer))
            .and_then(|()| check_signing(&question, authorizer))
            .and_then(|()| check_subject(&question))
            .and_then(|()| check_attest(&question, authorizer));
        checked.map_err(|refusal| refused(attempt, refusal))
    }

    /// Nobody grants more than they hold.
    fn check_grants(&self, attempt: &Attempt<'_>, object: &Value) -> Result<(), StatusError> {
        if attempt.resource.group != RBAC || attempt.operation == Operation::Delete {
            return Ok(());
        }
        let check = GrantCheck {
            user: attempt.user,
            rbac: &self.rbac,
            authorizer: &*self.authorizer,
        };
        let path_name = match attempt.operation {
            Operation::Create => "",
            _ => &attempt.name,
        };
        let namespace = attempt.namespace;
        let checked = match attempt.resource.plural {
            "roles" => check.role(RoleKind::Role, namespace, path_name, object, attempt.old),
            "clusterroles" => check.role(RoleKind::ClusterRole, "", path_name, object, attempt.old),
            _ => check.binding(namespace, object, attempt.old),
        };
        checked.map_err(|e| match e {
            Escalation::Forbidden(why) => {
                StatusError::forbidden(of_resource(attempt.resource), &attempt.name, why)
            }
            Escalation::RoleNotFound { resource, name } => {
                StatusError::not_found(GroupResource::new(RBAC, resource), &name)
            }
        })
    }

    async fn pod_security(
        &self,
        attempt: &mut Attempt<'_>,
        object: &Value,
    ) -> Result<(), StatusError> {
        let policy = PodSecurity::default();
        if attempt.operation == Operation::Delete {
            return Ok(());
        }
        if attempt.is("", "namespaces") {
            let pods = || {
                self.lookup
                    .all("", "pods", &attempt.name)
                    .unwrap_or_default()
            };
            let checked = policy.namespace(object, attempt.old, pods);
            attempt
                .warnings
                .extend(checked.map_err(|labels| wrong_labels(attempt, &labels))?);
            return Ok(());
        }
        let answer = {
            let is_pod = attempt.resource.group.is_empty() && attempt.resource.plural == "pods";
            if attempt.namespace.is_empty() || !(is_pod || pod_template(object).is_some()) {
                return Ok(());
            }
            let found = self
                .lookup
                .get("", "namespaces", "", attempt.namespace)
                .await?;
            let Some(namespace) = found else {
                return Ok(());
            };
            let part = attempt.subresource;
            match is_pod {
                true => policy.pod(attempt.user, &namespace, part, object, attempt.old),
                false => policy.template(attempt.user, &namespace, part, object),
            }
        };
        attempt.warnings.extend(answer.warnings);
        match answer.denied {
            None => Ok(()),
            Some(why) => Err(StatusError::forbidden(
                of_resource(attempt.resource),
                &attempt.name,
                why,
            )),
        }
    }
}

fn wrong_labels(attempt: &Attempt<'_>, labels: &[LabelError]) -> StatusError {
    let path = Path::new("metadata").child("labels");
    let mut errors = ErrorList::default();
    for label in labels {
        errors.push(Error::invalid(
            &path.key(label.label),
            label.value.as_str(),
            label.detail,
        ));
    }
    StatusError::invalid(GroupKind::new("", "Namespace"), &attempt.name, &errors)
}

fn refused(attempt: &Attempt<'_>, refusal: Refusal) -> StatusError {
    match refusal {
        Refusal::Forbidden(why) => {
            StatusError::forbidden(of_resource(attempt.resource), &attempt.name, why)
        }
        Refusal::NotFound { resource, name } => {
            StatusError::not_found(GroupResource::new("", resource), &name)
        }
        Refusal::Retry(why) => StatusError::internal(why),
    }
}
