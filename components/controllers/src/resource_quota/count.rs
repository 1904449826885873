//! Looking at all that a quota measures.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use mainstay_kinds::limits::quota::{Recount, tracked_resources};
use mainstay_schema::Resource;

use crate::limits::QUOTA_LIST_PAGE;

/// Why a quota could not be counted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Server(#[from] kube::Error),
    #[error("an object is not as it should be: {0}")]
    Shape(#[from] serde_json::Error),
}

/// How kube names a resource of the table.
pub(super) fn api_resource(resource: &Resource) -> ApiResource {
    let api_version = match resource.group {
        "" => resource.version.to_owned(),
        group => format!("{group}/{}", resource.version),
    };
    ApiResource {
        group: resource.group.to_owned(),
        version: resource.version.to_owned(),
        api_version,
        kind: resource.kind.to_owned(),
        plural: resource.plural.to_owned(),
    }
}

/// The status that a quota should have by what the server has now; `None` if it has that. What cannot be listed
/// keeps its usage, and is the error beside it.
pub(super) async fn counted(
    client: &Client,
    quota: &ResourceQuota,
) -> Result<(Option<ResourceQuotaStatus>, Option<kube::Error>), Failed> {
    let value = serde_json::to_value(quota)?;
    let namespace = quota.metadata.namespace.as_deref().unwrap_or_default();
    let mut recount = Recount::new(&value, Timestamp::now().as_millisecond());
    let mut first = None;
    for resource in tracked_resources(&value) {
        match objects(client, namespace, resource).await {
            Ok(objects) => {
                recount.listed(resource);
                for object in objects {
                    recount.count(resource, &serde_json::to_value(object)?);
                }
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    let Some(mut counted) = recount.finish() else {
        return Ok((None, first));
    };
    let status = counted["status"].take();
    Ok((serde_json::from_value(status)?, first))
}

async fn objects(
    client: &Client,
    namespace: &str,
    resource: &Resource,
) -> kube::Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &api_resource(resource));
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(QUOTA_LIST_PAGE);
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        match page.metadata.continue_ {
            Some(next) if !next.is_empty() => params = params.continue_token(&next),
            _ => return Ok(all),
        }
    }
}
