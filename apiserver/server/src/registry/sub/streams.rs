//! Logs, commands and proxies: what the API itself can tell. What a kubelet has to answer comes with the kubelet.

use http::StatusCode;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::gofmt::quote;
use mainstay_machinery::status::{GroupKind, Reason, StatusError};
use serde_json::Value;

use super::super::dispatch::{Registry, Request, not_implemented};
use super::super::write::of_resource;
use crate::answer::{self, Answer};

/// Answers for a subresource that leads to a pod, a node or the pods of a service.
pub(super) async fn answer(registry: &Registry, request: &Request<'_>) -> Answer {
    let sub = request.target.subresource.as_str();
    let query = request.call.query;
    if sub != "log" && query.get("dryRun").is_some_and(|text| !text.is_empty()) {
        return Err(StatusError::bad_request("dryRun is not supported"));
    }
    match (request.resource.plural, sub) {
        ("pods", "log") => {
            check_log(request)?;
            let pod = pod(registry, request, &request.target.name).await?;
            let name = query.get("container").unwrap_or_default();
            check_container(&pod, name).map_err(StatusError::bad_request)?;
            if node_of(&pod).is_empty() {
                // Nothing has run, so nothing was said.
                return Ok(answer::whole_empty(StatusCode::NO_CONTENT));
            }
            check_node(registry, node_of(&pod)).await?;
        }
        ("pods", "exec" | "attach" | "portforward") => {
            let pod = pod(registry, request, &request.target.name).await?;
            if sub != "portforward" {
                let name = query.get("container").unwrap_or_default();
                check_container(&pod, name).map_err(StatusError::bad_request)?;
            }
            if node_of(&pod).is_empty() {
                return Err(StatusError::bad_request(format!(
                    "pod {} does not have a host assigned",
                    request.target.name
                )));
            }
            check_node(registry, node_of(&pod)).await?;
        }
        ("pods", "proxy") => {
            let name = named(&request.target.name, "pod")?;
            let pod = pod(registry, request, name).await?;
            if !has_address(&pod) {
                return Err(StatusError::bad_request("address not allowed"));
            }
        }
        ("services", "proxy") => check_service(registry, request).await?,
        ("nodes", "proxy") => {
            check_node(registry, named(&request.target.name, "node")?).await?;
        }
        _ => {}
    }
    let what = format!("{}/{sub}", request.resource.plural);
    Err(not_implemented(&what))
}

async fn pod(registry: &Registry, request: &Request<'_>, name: &str) -> Result<Value, StatusError> {
    let namespace = &request.target.namespace;
    let found = registry
        .find_newest(request.resource, namespace, name)
        .await?;
    found.ok_or_else(|| StatusError::not_found(of_resource(request.resource), name))
}

fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// Refuses options of a log that upstream refuses.
fn check_log(request: &Request<'_>) -> Result<(), StatusError> {
    let query = request.call.query;
    let number = |name| query.number(name);
    let (tail, limit) = (number("tailLines")?, number("limitBytes")?);
    let (seconds, time) = (number("sinceSeconds")?, query.get("sinceTime"));
    let mut errors = ErrorList::default();
    if let Some(tail) = tail.filter(|tail| *tail < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(&Path::new("tailLines"), tail, detail));
    }
    if let Some(limit) = limit.filter(|limit| *limit < 1) {
        let detail = "must be greater than 0";
        errors.push(Error::invalid(&Path::new("limitBytes"), limit, detail));
    }
    match (seconds, time.filter(|time| !time.is_empty())) {
        (Some(_), Some(_)) => {
            let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.push(Error::forbidden(&Path::new(""), detail));
        }
        (Some(seconds), None) if seconds < 1 => {
            let detail = "must be greater than 0";
            errors.push(Error::invalid(&Path::new("sinceSeconds"), seconds, detail));
        }
        _ => {}
    }
    match errors.is_empty() {
        true => Ok(()),
        false => {
            let kind = GroupKind::new("", "PodLogOptions");
            Err(StatusError::invalid(kind, &request.target.name, &errors))
        }
    }
}

/// Whether a pod has this container; if none is named, whether it has but one.
fn check_container(pod: &Value, container: &str) -> Result<(), String> {
    let names = |list: &str| {
        let items = pod["spec"][list].as_array().into_iter().flatten();
        let names = items.filter_map(|item| item["name"].as_str().map(str::to_owned));
        names.collect::<Vec<_>>()
    };
    let main = names("containers");
    let all = [
        names("initContainers"),
        main.clone(),
        names("ephemeralContainers"),
    ]
    .concat();
    let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
    match (container, main.as_slice()) {
        ("", [_]) => Ok(()),
        ("", []) => Err(format!("a container name must be specified for pod {pod}")),
        ("", _) => Err(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            all.join(" ")
        )),
        (name, _) if all.iter().any(|own| own == name) => Ok(()),
        (name, _) => Err(format!("container {name} is not valid for pod {pod}")),
    }
}

/// Whether a node exists and says where it can be reached.
async fn check_node(registry: &Registry, name: &str) -> Result<(), StatusError> {
    let nodes = mainstay_schema::resource("", "v1", "nodes")
        .ok_or_else(|| StatusError::internal("the table has no nodes"))?;
    let node = registry.find_newest(nodes, "", name).await?;
    let node = node.ok_or_else(|| StatusError::not_found(of_resource(nodes), name))?;
    let addresses = node["status"]["addresses"].as_array();
    match addresses.is_some_and(|addresses| !addresses.is_empty()) {
        true => Ok(()),
        // Upstream passes the error on without a reason.
        false => Err(StatusError::new(
            500,
            Reason::Unknown,
            "no preferred addresses found; known addresses: []",
        )),
    }
}

/// Whether a pod has an address that may be reached from outside.
fn has_address(pod: &Value) -> bool {
    let status = &pod["status"];
    let listed = status["podIPs"][0]["ip"].as_str();
    let address = listed.or(status["podIP"].as_str()).unwrap_or_default();
    let address: Option<std::net::IpAddr> = address.parse().ok();
    address.is_some_and(|address| {
        let link_local = match address {
            std::net::IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
            std::net::IpAddr::V6(six) => six.is_unicast_link_local(),
        };
        !(link_local || address.is_loopback() || address.is_multicast() || address.is_unspecified())
    })
}

/// Whether a service has somebody behind it.
async fn check_service(registry: &Registry, request: &Request<'_>) -> Result<(), StatusError> {
    let (id, namespace) = (&request.target.name, &request.target.namespace);
    let (name, port) = split(id).ok_or_else(|| {
        StatusError::bad_request(format!("invalid service request {}", quote(id)))
    })?;
    if let Ok(number) = port.parse::<i64>() {
        let service = registry
            .find_newest(request.resource, namespace, name)
            .await?;
        let service =
            service.ok_or_else(|| StatusError::not_found(of_resource(request.resource), name))?;
        let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
        if !ports.any(|port| port["port"].as_i64() == Some(number)) {
            return Err(StatusError::service_unavailable(format!(
                "no service port {number} found for service {}",
                quote(name)
            )));
        }
    }
    let endpoints = mainstay_schema::resource("", "v1", "endpoints")
        .ok_or_else(|| StatusError::internal("the table has no endpoints"))?;
    let found = registry.find_newest(endpoints, namespace, name).await?;
    let found = found.ok_or_else(|| StatusError::not_found(of_resource(request.resource), name))?;
    let mut subsets = found["subsets"].as_array().into_iter().flatten();
    let has_addresses = |subset: &Value| {
        let addresses = subset["addresses"].as_array();
        addresses.is_some_and(|list| !list.is_empty())
    };
    match subsets.any(has_addresses) {
        true => Ok(()),
        false => Err(StatusError::service_unavailable(format!(
            "no endpoints available for service {}",
            quote(name)
        ))),
    }
}

/// The name in `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
fn named<'a>(id: &'a str, what: &str) -> Result<&'a str, StatusError> {
    split(id)
        .map(|(name, _)| name)
        .ok_or_else(|| StatusError::bad_request(format!("invalid {what} request {}", quote(id))))
}

/// Name and port, which may be empty.
fn split(id: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = id.split(':').collect();
    let (name, port) = match parts.as_slice() {
        [name] => (*name, ""),
        [name, port] => (*name, *port),
        ["" | "http" | "https", name, port] => (*name, *port),
        _ => return None,
    };
    (!name.is_empty()).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_that_is_none_was_not_told() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {
            "initContainers": [{"name": "i"}],
            "containers": [{"name": "a"}, {"name": "b"}],
        }});
        let cases = [
            ("a", Ok(())),
            ("i", Ok(())),
            ("x", Err("container x is not valid for pod p")),
            (
                "",
                Err("a container name must be specified for pod p, choose one of: [i a b]"),
            ),
        ];
        for (container, expected) in cases {
            let got = check_container(&pod, container);
            assert_eq!(got, expected.map_err(str::to_owned), "{container}");
        }
        let one = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}});
        assert_eq!(check_container(&one, ""), Ok(()));
    }

    #[test]
    fn proxies_are_named_with_scheme_and_port() {
        let cases = [
            ("a", Some(("a", ""))),
            ("a:80", Some(("a", "80"))),
            ("https:a:web", Some(("a", "web"))),
            ("ftp:a:1", None),
            (":80", None),
            ("a:b:c:d", None),
        ];
        for (id, expected) in cases {
            assert_eq!(split(id), expected, "{id}");
        }
    }

    #[test]
    fn only_addresses_of_pods_are_reached() {
        for (address, expected) in [
            ("10.1.2.3", true),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("", false),
        ] {
            let pod = json!({"status": {"podIP": address}});
            assert_eq!(has_address(&pod), expected, "{address}");
        }
    }
}
