//! Which requests there are: paths and methods of a resource.

use http::Method;
use mainstay_machinery::gofmt::quote;
use mainstay_machinery::status::{Reason, StatusError};
use mainstay_schema::{Resource, Verb, Verbs};

use super::write::of_resource;
use crate::request::{Info, Target};

/// The subresource that passes requests on.
pub(super) const PROXY: &str = "proxy";
/// The methods that it does that for.
const PROXIED: [Method; 7] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
];

/// What a request asks of its resource. As upstream: a path that is served with no method is not found, with another
/// method it is not allowed.
pub(super) fn route(
    method: &Method,
    info: &Info,
    target: &Target,
    resource: &Resource,
) -> Result<Verb, StatusError> {
    let served = served(info, target, resource)?;
    // A resource that is listed but cannot be watched says so.
    let watches = info.verb == "watch" && *method == Method::GET;
    if watches && served.contains(Verb::List) && !resource.verbs.contains(Verb::Watch) {
        return Err(StatusError::method_not_supported(
            of_resource(resource),
            info.verb,
        ));
    }
    if target.subresource == PROXY {
        // Whatever is asked, it is somebody else who answers.
        return match PROXIED.contains(method) {
            true => Ok(Verb::Get),
            false => Err(unknown_method()),
        };
    }
    let asked = Verb::ALL.into_iter().find(|verb| verb.name() == info.verb);
    match asked.filter(|verb| served.contains(*verb) && *method != Method::HEAD) {
        Some(Verb::Watch) if *method != Method::GET => Err(unknown_method()),
        Some(verb) => Ok(verb),
        None => Err(unknown_method()),
    }
}

/// The verbs of a path. `Err` if there are none.
fn served(info: &Info, target: &Target, resource: &Resource) -> Result<Verbs, StatusError> {
    const COLLECTION: [Verb; 4] = [
        Verb::List,
        Verb::Watch,
        Verb::Create,
        Verb::DeleteCollection,
    ];
    const ITEM: [Verb; 4] = [Verb::Get, Verb::Update, Verb::Patch, Verb::Delete];
    let everywhere = resource.namespaced && target.namespace.is_empty();
    let is_namespace = resource.kind == "Namespace" && resource.group.is_empty();
    let misplaced = !resource.namespaced && !target.namespace.is_empty() && !is_namespace;
    let rest = !target.rest.is_empty() && target.subresource != PROXY;
    let named = !target.name.is_empty();
    let verbs = if misplaced || rest || (everywhere && named) {
        Verbs::default()
    } else if !target.subresource.is_empty() {
        let found = resource.subresource(&target.subresource);
        let found = found.filter(|_| !info.by_prefix);
        found.map(|found| found.verbs).unwrap_or_default()
    } else if info.by_prefix {
        of(resource, &[Verb::Watch])
    } else if named {
        of(resource, &ITEM)
    } else if everywhere {
        of(resource, &[Verb::List, Verb::Watch])
    } else {
        of(resource, &COLLECTION)
    };
    match verbs == Verbs::default() {
        true => Err(StatusError::unknown_path()),
        false => Ok(verbs),
    }
}

/// Those of some verbs that a resource has.
fn of(resource: &Resource, verbs: &[Verb]) -> Verbs {
    let own = verbs.iter().filter(|verb| resource.verbs.contains(**verb));
    own.fold(Verbs::default(), |all, verb| all.with(*verb))
}

/// 405 for a path that is served, but not with this method.
pub(crate) fn unknown_method() -> StatusError {
    let message = "the server does not allow this method on the requested resource";
    StatusError {
        details: Some(Box::default()),
        ..StatusError::new(405, Reason::MethodNotAllowed, message)
    }
}

/// Names that cannot be part of a key: upstream's rule for path segments.
pub(super) fn check_segments(target: &Target) -> Result<(), StatusError> {
    for (what, text) in [("Namespace", &target.namespace), ("Name", &target.name)] {
        let why = match text.as_str() {
            "." => "may not be '.'",
            ".." => "may not be '..'",
            text if text.contains('%') => "may not contain '%'",
            _ => continue,
        };
        let text = quote(text);
        return Err(StatusError::bad_request(format!(
            "{what} parameter invalid: {text}: {why}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: Method, path: &str) -> Result<&'static str, u16> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let info = Info::new(&method, path, query == "watch").unwrap();
        let target = info.target.as_ref().unwrap();
        let resource =
            mainstay_schema::resource(&target.group, &target.version, &target.resource).unwrap();
        let verb = route(&method, &info, target, resource);
        verb.map(Verb::name).map_err(|e| e.code)
    }

    #[test]
    fn paths_and_methods_are_served_as_upstream_serves_them() {
        let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
        let (head, options) = (Method::HEAD, Method::OPTIONS);
        let cases = [
            (&get, "/api/v1/pods", Ok("list")),
            (&get, "/api/v1/pods?watch", Ok("watch")),
            (&post, "/api/v1/pods", Err(405)),
            (&delete, "/api/v1/pods", Err(405)),
            (&head, "/api/v1/pods", Err(405)),
            (&options, "/api/v1/pods", Err(405)),
            (&post, "/api/v1/namespaces/a/pods", Ok("create")),
            (&put, "/api/v1/namespaces/a/pods", Err(405)),
            (&delete, "/api/v1/namespaces/a/pods", Ok("deletecollection")),
            (&get, "/api/v1/namespaces/a/pods/b", Ok("get")),
            (&get, "/api/v1/namespaces/a/pods/b?watch", Ok("get")),
            (&post, "/api/v1/namespaces/a/pods/b", Err(405)),
            (&get, "/api/v1/pods/b", Err(404)),
            (&get, "/api/v1/namespaces/a/nodes", Err(404)),
            (&get, "/api/v1/namespaces/a/nodes/b", Err(404)),
            (&get, "/api/v1/namespaces/a", Ok("get")),
            (&delete, "/api/v1/namespaces", Err(405)),
            (&put, "/api/v1/namespaces/a/finalize", Ok("update")),
            (&get, "/api/v1/namespaces/a/finalize", Err(405)),
            (&get, "/api/v1/namespaces/a/pods/b/status", Ok("get")),
            (&get, "/api/v1/namespaces/a/pods/b/status/c", Err(404)),
            (&get, "/api/v1/namespaces/a/pods/b/gnome", Err(404)),
            (&get, "/api/v1/watch/pods", Ok("watch")),
            (&post, "/api/v1/watch/pods", Err(405)),
            (&get, "/api/v1/watch/namespaces/a/pods", Ok("watch")),
            (&get, "/api/v1/watch/namespaces/a/pods/b", Ok("watch")),
            (&get, "/api/v1/watch/namespaces/a/pods/b/status", Err(404)),
            (&get, "/apis/apps/v1/watch/deployments", Ok("watch")),
            (&get, "/api/v1/componentstatuses?watch", Err(405)),
            (&get, "/api/v1/watch/componentstatuses", Err(404)),
            (
                &post,
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                Ok("create"),
            ),
            (
                &get,
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                Err(405),
            ),
            (&post, "/api/v1/bindings", Err(404)),
            (&head, "/api/v1/nodes/a/proxy/b/c", Ok("get")),
            (
                &options,
                "/api/v1/namespaces/a/services/b:c/proxy",
                Ok("get"),
            ),
            (&get, "/api/v1/namespaces/a/pods/b/log/c", Err(404)),
            (&post, "/api/v1/namespaces/a/pods/b/log", Err(405)),
            (&get, "/api/v1/namespaces/a/pods/b/exec", Ok("get")),
            (&put, "/api/v1/namespaces/a/pods/b/attach", Err(405)),
        ];
        for (method, path, expected) in cases {
            assert_eq!(told(method.clone(), path), expected, "{method} {path}");
        }
    }
}
