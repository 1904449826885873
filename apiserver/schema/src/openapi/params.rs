//! Parameters of operations.

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Path,
    Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// `string`, `integer` or `boolean`.
    pub(crate) ty: &'static str,
}

impl Param {
    /// Parameters of a path are always required, those of a query never.
    pub(crate) fn required(self) -> bool {
        self.place == Place::Path
    }
}

const fn query(name: &'static str, ty: &'static str) -> Param {
    Param {
        name,
        place: Place::Query,
        ty,
    }
}

const fn path(name: &'static str) -> Param {
    Param {
        name,
        place: Place::Path,
        ty: "string",
    }
}

pub(crate) const NAME: Param = path("name");
pub(crate) const NAMESPACE: Param = path("namespace");
/// The rest of a path behind `proxy/`.
pub(crate) const REST: Param = path("path");
pub(crate) const PRETTY: Param = query("pretty", "string");

/// What narrows or continues a list.
pub(crate) const LIST: &[Param] = &[
    query("continue", "string"),
    query("fieldSelector", "string"),
    query("labelSelector", "string"),
    query("limit", "integer"),
    query("resourceVersion", "string"),
    query("resourceVersionMatch", "string"),
    query("sendInitialEvents", "boolean"),
    query("timeoutSeconds", "integer"),
];

pub(crate) const WATCH: &[Param] = &[
    query("allowWatchBookmarks", "boolean"),
    query("watch", "boolean"),
];

pub(crate) const WRITE: &[Param] = &[
    query("dryRun", "string"),
    query("fieldManager", "string"),
    query("fieldValidation", "string"),
];

pub(crate) const DELETE: &[Param] = &[
    query("dryRun", "string"),
    query("gracePeriodSeconds", "integer"),
    query("orphanDependents", "boolean"),
    query("propagationPolicy", "string"),
];

const STREAMS: [Param; 5] = [
    query("container", "string"),
    query("stderr", "boolean"),
    query("stdin", "boolean"),
    query("stdout", "boolean"),
    query("tty", "boolean"),
];

/// Parameters of the subresources that stream or forward instead of answering with an object.
pub(crate) fn of_stream(subresource: &str) -> Vec<Param> {
    match subresource {
        "attach" => STREAMS.to_vec(),
        "exec" => [&STREAMS[..], &[query("command", "string")]].concat(),
        "portforward" => vec![query("ports", "integer")],
        "proxy" => vec![query("path", "string")],
        "log" => vec![
            query("container", "string"),
            query("follow", "boolean"),
            query("insecureSkipTLSVerifyBackend", "boolean"),
            query("limitBytes", "integer"),
            query("previous", "boolean"),
            query("sinceSeconds", "integer"),
            query("stream", "string"),
            query("tailLines", "integer"),
            query("timestamps", "boolean"),
        ],
        _ => Vec::new(),
    }
}
