//! Commands in containers, and ports of pods.

use form_urlencoded::Serializer;
use mainstay_auth::Attributes;
use mainstay_machinery::status::{GroupResource, StatusError};

use super::super::super::dispatch::{Registry, Request};
use super::{container, node, node_of, pod};
use crate::answer::Answer;
use crate::proxy::{Passing, Wanted, asks_for_tunnel, asks_for_v5, switch, translate, tunnel};
use crate::request::Query;

/// Whoever may only read must not run commands by way of a WebSocket, which begins with GET.
pub(super) fn check_create(registry: &Registry, request: &Request<'_>) -> Result<(), StatusError> {
    const VERB: &str = "create";
    let (call, target) = (request.call, request.target);
    if call.info.verb == VERB {
        return Ok(());
    }
    let asked = Attributes::resource(call.user, VERB, &target.group, &target.resource)
        .object(&target.namespace, &target.name)
        .part(&target.subresource);
    let verdict = registry.authorizer.authorize(&Attributes {
        version: &target.version,
        path: &call.info.path,
        ..asked
    });
    match verdict.allowed() {
        true => Ok(()),
        false => {
            let resource = GroupResource::new(&target.group, &target.resource);
            let name = &target.name;
            Err(StatusError::forbidden(resource, name, &verdict.reason))
        }
    }
}

pub(super) async fn answer(registry: &Registry, request: &Request<'_>) -> Answer {
    let (call, target) = (request.call, request.target);
    let sub = target.subresource.as_str();
    let pod = pod(registry, request, &target.name).await?;
    let own = format!("{}/{}", target.namespace, target.name);
    let path = match sub {
        "portforward" => format!("/portForward/{own}"),
        _ => {
            let named = call.query.get("container").unwrap_or_default();
            let chosen = container::chosen(&pod, named).map_err(StatusError::bad_request)?;
            format!("/{sub}/{own}/{chosen}")
        }
    };
    if node_of(&pod).is_empty() {
        return Err(StatusError::bad_request(format!(
            "pod {} does not have a host assigned",
            target.name
        )));
    }
    let kubelet = node::kubelet(registry, node_of(&pod)).await?;
    let wanted = wanted(call.query);
    let query = match sub {
        "portforward" => ports(call.query)?,
        _ => options(call.query, wanted),
    };
    let passing = Passing {
        call,
        room: &registry.room,
        backend: registry.kubelets.backend(false),
        location: node::at(kubelet, path, query),
    };
    match sub {
        "portforward" if asks_for_tunnel(call.headers) => tunnel(passing).await,
        "exec" | "attach" if asks_for_v5(call.headers) => translate(passing, wanted).await,
        _ => switch(passing).await,
    }
}

fn wanted(query: &Query<'_>) -> Wanted {
    Wanted {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        tty: query.flag("tty"),
    }
}

/// The options of a command as kubelets know them, sorted.
fn options(query: &Query<'_>, wanted: Wanted) -> String {
    let mut pairs = Serializer::new(String::new());
    for word in query.all("command") {
        pairs.append_pair("command", word);
    }
    for (name, is_wanted) in [
        ("error", wanted.stderr),
        ("input", wanted.stdin),
        ("output", wanted.stdout),
        ("tty", wanted.tty),
    ] {
        if is_wanted {
            pairs.append_pair(name, "1");
        }
    }
    pairs.finish()
}

/// The ports that are forwarded, for protocols that name them at once.
fn ports(query: &Query<'_>) -> Result<String, StatusError> {
    let mut all = Vec::new();
    for text in query.all("ports") {
        let port: i32 = text.parse().map_err(|_| {
            StatusError::bad_request(format!(
                "strconv.ParseInt: parsing {text:?}: invalid syntax"
            ))
        })?;
        all.push(port.to_string());
    }
    let mut pairs = Serializer::new(String::new());
    if !all.is_empty() {
        pairs.append_pair("port", &all.join(","));
    }
    Ok(pairs.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_in_the_kubelets_words() {
        let query = Query::parse(Some(
            "container=c&command=sh&command=-c&command=echo%20a%26b&stdin=true&stdout=1&stderr=false&tty=true",
        ));
        let wanted = wanted(&query);
        let expected = Wanted {
            stdin: true,
            stdout: true,
            stderr: false,
            tty: true,
        };
        assert_eq!(wanted, expected);
        assert_eq!(
            options(&query, wanted),
            "command=sh&command=-c&command=echo+a%26b&input=1&output=1&tty=1"
        );
    }

    #[test]
    fn forwarded_ports_are_one_list() {
        let query = Query::parse(Some("ports=80&ports=443"));
        assert_eq!(ports(&query).unwrap(), "port=80%2C443");
        assert_eq!(ports(&Query::parse(None)).unwrap(), "");
        assert!(ports(&Query::parse(Some("ports=x"))).is_err());
    }
}
