//! Which paths are served and what can be done at each, derived from the resource table.

use super::ids;
use super::params::{DELETE, LIST, NAME, NAMESPACE, PRETTY, Param, REST, WATCH, WRITE, of_stream};
use crate::resources::{Resource, Subresource, Verb, resources};
use crate::types::Gvk;

const API_RESOURCE_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";

/// One path with its operations.
#[derive(Debug)]
pub(crate) struct PathItem {
    pub(crate) path: String,
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug)]
pub(crate) struct Operation {
    /// Lower-case HTTP method.
    pub(crate) method: &'static str,
    pub(crate) id: String,
    /// `x-kubernetes-action`; empty for discovery.
    pub(crate) action: &'static str,
    pub(crate) gvk: Option<Gvk>,
    /// Sorted by name.
    pub(crate) params: Vec<Param>,
    pub(crate) body: Body,
    /// Codes of success, besides 401.
    pub(crate) codes: &'static [&'static str],
    pub(crate) answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    /// An object of this type.
    Object(&'static str),
    /// May be left out.
    DeleteOptions,
    Patch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An object of this type.
    Object(&'static str),
    /// A list or, with `watch=true`, a stream of events; the deprecated watch paths only stream.
    Watchable(&'static str),
    /// Whatever the other end sends.
    Stream,
    Text,
}

/// `/api/v1` or `/apis/GROUP/VERSION`.
pub(crate) fn root(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    }
}

/// Everything served below one group and version.
pub(crate) fn paths(group: &str, version: &str) -> Vec<PathItem> {
    let mut paths = vec![discovery(group, version)];
    for resource in resources()
        .iter()
        .filter(|r| r.group == group && r.version == version)
    {
        Builder::new(resource).add(&mut paths);
    }
    paths.retain(|path| !path.operations.is_empty());
    paths
}

fn discovery(group: &str, version: &str) -> PathItem {
    PathItem {
        path: root(group, version) + "/",
        operations: vec![Operation {
            method: "get",
            id: format!("get{}APIResources", ids::group_version(group, version)),
            action: "",
            gvk: None,
            params: Vec::new(),
            body: Body::None,
            codes: &["200"],
            answer: Answer::Object(API_RESOURCE_LIST),
        }],
    }
}

/// Makes the paths of one resource.
struct Builder {
    resource: &'static Resource,
    root: String,
    /// As in operation names: `AppsV1`.
    version_id: String,
    /// `Namespaced` or nothing.
    scope: &'static str,
}

impl Builder {
    fn new(resource: &'static Resource) -> Self {
        Self {
            resource,
            root: root(resource.group, resource.version),
            version_id: ids::group_version(resource.group, resource.version),
            scope: if resource.namespaced {
                "Namespaced"
            } else {
                ""
            },
        }
    }

    fn add(&self, paths: &mut Vec<PathItem>) {
        let Self { resource, root, .. } = self;
        let plural = resource.plural;
        let below = if resource.namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        let collection = format!("{root}{below}/{plural}");
        paths.push(self.item(collection.clone(), self.collection()));
        let object = format!("{collection}/{{name}}");
        for sub in &resource.subresources {
            self.subresource(&object, sub, paths);
        }
        paths.push(self.item(object, self.object()));
        if resource.namespaced && self.has(Verb::List) {
            let everywhere = self.list("ForAllNamespaces", "", &[PRETTY]);
            paths.push(self.item(format!("{root}/{plural}"), vec![everywhere]));
        }
        if self.has(Verb::Watch) {
            self.watches(below, paths);
        }
    }

    fn item(&self, path: String, operations: Vec<Operation>) -> PathItem {
        PathItem { path, operations }
    }

    fn has(&self, verb: Verb) -> bool {
        self.resource.verbs.contains(verb)
    }

    /// Names of the type of the resource and its parameters in a path.
    fn scope_params(&self, with_name: bool) -> Vec<Param> {
        let mut params = vec![PRETTY];
        params.extend(with_name.then_some(NAME));
        params.extend(self.resource.namespaced.then_some(NAMESPACE));
        params
    }

    fn collection(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        let scope = self.scope_params(false);
        if self.has(Verb::DeleteCollection) {
            let id = format!(
                "delete{}Collection{}{}",
                self.version_id, self.scope, self.resource.kind
            );
            let params = [&scope[..], LIST, DELETE].concat();
            let mut delete = self.operation("delete", id, "deletecollection", params);
            delete.body = Body::DeleteOptions;
            delete.answer = Answer::Object(STATUS);
            operations.push(delete);
        }
        if self.has(Verb::List) {
            operations.push(self.list("", self.scope, &scope));
        }
        if self.has(Verb::Create) {
            let id = format!(
                "create{}{}{}",
                self.version_id, self.scope, self.resource.kind
            );
            operations.push(self.create(id, self.resource.gvk(), &scope));
        }
        operations
    }

    fn list(&self, suffix: &str, scope: &str, params: &[Param]) -> Operation {
        let id = format!(
            "list{}{scope}{}{suffix}",
            self.version_id, self.resource.kind
        );
        let mut list = self.operation("get", id, "list", [params, LIST, WATCH].concat());
        let ty = self
            .resource
            .list_ty
            .expect("what can be listed has a list type");
        list.answer = Answer::Watchable(crate::schema().get(ty).name);
        list
    }

    fn create(&self, id: String, gvk: Gvk, scope: &[Param]) -> Operation {
        let mut create = self.operation("post", id, "post", [scope, WRITE].concat());
        create.gvk = Some(gvk);
        create.body = Body::Object(type_name(gvk));
        create.codes = &["200", "201", "202"];
        create.answer = Answer::Object(type_name(gvk));
        create
    }

    fn object(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        let gvk = self.resource.gvk();
        for (verb, method) in [
            (Verb::Get, "get"),
            (Verb::Patch, "patch"),
            (Verb::Update, "put"),
        ] {
            if self.has(verb) {
                operations.push(self.on_object(method, gvk, ""));
            }
        }
        if self.has(Verb::Delete) {
            let id = format!(
                "delete{}{}{}",
                self.version_id, self.scope, self.resource.kind
            );
            let params = [&self.scope_params(true)[..], DELETE].concat();
            let mut delete = self.operation("delete", id, "delete", params);
            delete.body = Body::DeleteOptions;
            delete.codes = &["200", "202"];
            if !self.resource.returns_deleted {
                delete.answer = Answer::Object(STATUS);
            }
            operations.push(delete);
        }
        operations
    }

    /// Read, patch or replace an object or, with a suffix for the name, a subresource.
    fn on_object(&self, method: &'static str, gvk: Gvk, suffix: &str) -> Operation {
        let verb = match method {
            "put" => "replace",
            "patch" => "patch",
            _ => "read",
        };
        let kind = self.resource.kind;
        let id = format!("{verb}{}{}{kind}{suffix}", self.version_id, self.scope);
        let mut params = self.scope_params(true);
        if method != "get" {
            params.extend(WRITE);
        }
        let mut operation = self.operation(method, id, method, params);
        operation.gvk = Some(gvk);
        operation.answer = Answer::Object(type_name(gvk));
        if method != "get" {
            operation.codes = &["200", "201"];
            operation.body = if method == "put" {
                Body::Object(type_name(gvk))
            } else {
                Body::Patch
            };
        }
        operation
    }

    fn subresource(&self, object: &str, sub: &Subresource, paths: &mut Vec<PathItem>) {
        let path = format!("{object}/{}", sub.name);
        let suffix = ids::title(sub.name);
        if sub.ty.is_none() {
            paths.push(self.item(path.clone(), self.connect(sub, &suffix, &[])));
            if sub.name == "proxy" {
                let with_path = format!("{suffix}WithPath");
                let operations = self.connect(sub, &with_path, &[REST]);
                paths.push(self.item(format!("{path}/{{path}}"), operations));
            }
            return;
        }
        let mut operations = Vec::new();
        for (verb, method) in [
            (Verb::Get, "get"),
            (Verb::Patch, "patch"),
            (Verb::Update, "put"),
        ] {
            if sub.verbs.contains(verb) {
                operations.push(self.on_object(method, sub.gvk, &suffix));
            }
        }
        if sub.verbs.contains(Verb::Create) {
            let kind = self.resource.kind;
            let id = format!("create{}{}{kind}{suffix}", self.version_id, self.scope);
            operations.push(self.create(id, sub.gvk, &self.scope_params(true)));
        }
        if sub.name == "log" {
            for operation in &mut operations {
                operation.params.extend(of_stream(sub.name));
                operation.params.sort_unstable();
                operation.answer = Answer::Text;
            }
        }
        paths.push(self.item(path, operations));
    }

    /// Streams and proxies: every method the verbs stand for does the same.
    fn connect(&self, sub: &Subresource, suffix: &str, more: &[Param]) -> Vec<Operation> {
        let methods: &[&'static str] = if sub.name == "proxy" {
            &["delete", "get", "head", "options", "patch", "post", "put"]
        } else {
            &["get", "post"]
        };
        let mut params = [&of_stream(sub.name)[..], more].concat();
        params.extend(
            self.scope_params(true)
                .into_iter()
                .filter(|param| *param != PRETTY),
        );
        let connect = |method: &&'static str| {
            let (gv, scope, kind) = (&self.version_id, self.scope, self.resource.kind);
            let id = format!("connect{gv}{}{scope}{kind}{suffix}", ids::title(method));
            let mut operation = self.operation(method, id, "connect", params.clone());
            operation.gvk = Some(sub.gvk);
            operation.answer = Answer::Stream;
            operation
        };
        methods.iter().map(connect).collect()
    }

    /// The watch paths of old, which newer clients replace by `watch=true`.
    fn watches(&self, below: &str, paths: &mut Vec<PathItem>) {
        let Self {
            resource,
            root,
            version_id,
            scope,
        } = self;
        let (kind, plural) = (resource.kind, resource.plural);
        let mut add = |path: String, id: String, action, params: &[Param]| {
            let params = [params, LIST, WATCH].concat();
            let mut watch = self.operation("get", id, action, params);
            watch.answer = Answer::Watchable(WATCH_EVENT);
            paths.push(self.item(path, vec![watch]));
        };
        let collection = format!("{root}/watch{below}/{plural}");
        let id = format!("watch{version_id}{scope}{kind}");
        let named = format!("{collection}/{{name}}");
        add(named, id.clone(), "watch", &self.scope_params(true));
        add(
            collection,
            id + "List",
            "watchlist",
            &self.scope_params(false),
        );
        if resource.namespaced {
            let id = format!("watch{version_id}{kind}ListForAllNamespaces");
            add(format!("{root}/watch/{plural}"), id, "watchlist", &[PRETTY]);
        }
    }

    fn operation(
        &self,
        method: &'static str,
        id: String,
        action: &'static str,
        mut params: Vec<Param>,
    ) -> Operation {
        params.sort_unstable();
        params.dedup();
        let gvk = self.resource.gvk();
        Operation {
            method,
            id,
            action,
            gvk: Some(gvk),
            params,
            body: Body::None,
            codes: &["200"],
            answer: Answer::Object(type_name(gvk)),
        }
    }
}

fn type_name(gvk: Gvk) -> &'static str {
    let schema = crate::schema();
    let id = schema.by_gvk(gvk.group, gvk.version, gvk.kind);
    schema
        .get(id.expect("a kind that requests carry has a type"))
        .name
}
