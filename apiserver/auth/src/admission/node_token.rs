//! Tokens that kubelets ask for: only for pods on the node, and only for audiences those pods name.

use serde_json::Value;

use super::node::NodeRestriction;
use super::request::{Admission, Refusal, forbid, text};
use crate::attributes::Attributes;
use crate::node::list;
use crate::rbac::strings;
use crate::text::{aggregate, quoted};

pub(super) fn check_token(
    plugin: &NodeRestriction<'_>,
    node: &str,
    admission: &Admission<'_>,
) -> Result<(), Refusal> {
    let bound = |key: &str| text(admission.object, &format!("/spec/boundObjectRef/{key}"));
    if bound("apiVersion") != "v1" || bound("kind") != "Pod" || bound("name").is_empty() {
        return forbid("node requested token not bound to a pod");
    }
    if bound("uid").is_empty() {
        return forbid("node requested token with a pod binding without a uid");
    }
    let pod = plugin.find("pods", admission.namespace, bound("name"))?;
    if bound("uid") != text(&pod, "/metadata/uid") {
        return forbid(format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have \
             been deleted and then recreated",
            bound("uid")
        ));
    }
    if text(&pod, "/spec/nodeName") != node {
        return forbid("node requested token bound to a pod scheduled on a different node");
    }
    check_audience(plugin, admission, &pod)
}

fn check_audience(
    plugin: &NodeRestriction<'_>,
    admission: &Admission<'_>,
    pod: &Value,
) -> Result<(), Refusal> {
    let audiences = strings(admission.object.pointer("/spec/audiences"));
    let audience = match audiences.as_slice() {
        [] => "",
        [one] => one.as_str(),
        _ => return forbid("node may only request 0 or 1 audiences"),
    };
    match names_audience(plugin, admission.namespace, pod, audience) {
        Ok(true) => return Ok(()),
        Err(error) => {
            return forbid(format!(
                "error validating audience {}: {error}",
                quoted(audience)
            ));
        }
        Ok(false) => {}
    }
    let ask = Attributes {
        version: "v1",
        ..Attributes::resource(
            admission.user,
            "request-serviceaccounts-token-audience",
            "",
            audience,
        )
    };
    if plugin
        .authorizer
        .authorize(&ask.object(admission.namespace, admission.name))
        .allowed()
    {
        return Ok(());
    }
    forbid(format!(
        "audience {} not found in pod spec volume, {} is not authorized to request tokens for this audience",
        quoted(audience),
        admission.user.username
    ))
}

/// True if a volume of the pod asks for tokens for the audience: itself, or through its CSI driver.
fn names_audience(
    plugin: &NodeRestriction<'_>,
    namespace: &str,
    pod: &Value,
    audience: &str,
) -> Result<bool, String> {
    let mut errors = Vec::new();
    for volume in list(&pod["spec"], "volumes") {
        let projected = volume
            .get("projected")
            .into_iter()
            .flat_map(|projected| list(projected, "sources"));
        let mut tokens = projected
            .filter_map(|source| source.get("serviceAccountToken"))
            .filter(|t| t.is_object());
        if tokens.any(|token| text(token, "/audience") == audience) {
            return Ok(true);
        }
        match driver_of(plugin, namespace, pod, volume) {
            Ok(Some(driver)) => {
                let driver = plugin
                    .find("csidrivers", "", &driver)
                    .map_err(|error| error.to_string());
                match driver {
                    Ok(driver) => {
                        let mut requests = list(&driver["spec"], "tokenRequests");
                        if requests.any(|request| text(request, "/audience") == audience) {
                            return Ok(true);
                        }
                    }
                    Err(error) => errors.push(error),
                }
            }
            Ok(None) => {}
            Err(error) => errors.push(error.to_string()),
        }
    }
    if errors.is_empty() {
        Ok(false)
    } else {
        Err(aggregate(&errors))
    }
}

/// The CSI driver behind a volume. Volumes of the kinds that were in the tree before CSI have none here.
fn driver_of(
    plugin: &NodeRestriction<'_>,
    namespace: &str,
    pod: &Value,
    volume: &Value,
) -> Result<Option<String>, Refusal> {
    let claim = match (
        volume.pointer("/ephemeral/volumeClaimTemplate"),
        volume.get("persistentVolumeClaim"),
    ) {
        (Some(template), _) if !template.is_null() => {
            format!("{}-{}", text(pod, "/metadata/name"), text(volume, "/name"))
        }
        (_, Some(claim)) if !claim.is_null() => text(claim, "/claimName").to_owned(),
        _ => {
            let driver = text(volume, "/csi/driver");
            return Ok((!driver.is_empty()).then(|| driver.to_owned()));
        }
    };
    let claim = plugin.find("persistentvolumeclaims", namespace, &claim)?;
    let volume = plugin.find("persistentvolumes", "", text(&claim, "/spec/volumeName"))?;
    let driver = text(&volume, "/spec/csi/driver");
    Ok((!driver.is_empty()).then(|| driver.to_owned()))
}
