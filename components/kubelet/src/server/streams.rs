//! Exec, attach and port forwarding: the runtime is asked where, and the client is handed on to there.

use std::collections::BTreeMap;

use form_urlencoded::parse;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use mainstay_cri::{
    AttachRequest, ContainerFilter, ContainerState, ContainerStateValue, CriError, ExecRequest,
    ExecSyncRequest, ListContainersRequest, ListPodSandboxRequest, PodSandboxFilter,
    PodSandboxState, PodSandboxStateValue, PortForwardRequest, Runtime, Trouble,
};

use super::answer::{Answer, text, whole};
use super::paths::Target;
use crate::labels::{CONTAINER_NAME, POD_UID};
use crate::limits::RUN_DEADLINE;

/// Which streams a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

/// What a request about streams is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Exec,
    Attach,
    PortForward,
}

/// Where the runtime serves what was asked for.
///
/// # Errors
/// What to answer, in upstream's words.
pub(super) async fn place(
    runtime: &Runtime,
    kind: Kind,
    target: &Target,
    pod: Option<&Pod>,
    request: &Request<Incoming>,
) -> Result<String, Box<Answer>> {
    let query = request.uri().query().unwrap_or_default();
    let bad = |why: String| Box::new(text(StatusCode::BAD_REQUEST, why));
    let wanted = match kind {
        Kind::PortForward => None,
        _ => Some(Wanted::of(query).map_err(bad)?),
    };
    let ports = match kind == Kind::PortForward && is_websocket(request) {
        true => ports(query).map_err(bad)?,
        false => Vec::new(),
    };
    let gone = |why: &str| Box::new(text(StatusCode::NOT_FOUND, why.to_owned()));
    let failed = |error: CriError| Box::new(failed(error));
    let internal = |why: String| Box::new(internal(why));
    let pod = pod.ok_or_else(|| gone("pod does not exist"))?;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let name = &target.container;
    let url = match (kind, wanted) {
        (Kind::Exec, Some(wanted)) => {
            let id = running(runtime, uid, name).await.map_err(failed)?;
            let none = || internal(format!("container not found ({name:?})"));
            let exec = ExecRequest {
                container_id: id.ok_or_else(none)?,
                cmd: commands(query),
                tty: wanted.tty,
                stdin: wanted.stdin,
                stdout: wanted.stdout,
                stderr: wanted.stderr,
            };
            runtime.call(exec).await.map(|answer| answer.url)
        }
        (Kind::Attach, Some(wanted)) => {
            let id = running(runtime, uid, name).await.map_err(failed)?;
            let full = format!("{}_{}", target.pod, target.namespace);
            let none = || internal(format!("container {name} not found in pod {full}"));
            let tty = has_tty(pod, name);
            let attach = AttachRequest {
                container_id: id.ok_or_else(none)?,
                stdin: wanted.stdin,
                tty,
                stdout: wanted.stdout,
                // A terminal has one output.
                stderr: wanted.stderr && !tty,
            };
            runtime.call(attach).await.map(|answer| answer.url)
        }
        _ => {
            if target.uid.as_deref().is_some_and(|wanted| wanted != uid) {
                return Err(gone("pod not found"));
            }
            let sandbox = sandbox(runtime, uid).await.map_err(failed)?;
            let full = format!("{}_{}", target.pod, target.namespace);
            let forward = PortForwardRequest {
                pod_sandbox_id: sandbox
                    .ok_or_else(|| internal(format!("pod not found ({full:?})")))?,
                port: ports,
            };
            runtime.call(forward).await.map(|answer| answer.url)
        }
    };
    url.map_err(failed)
}

/// Runs a command to its end; what it said is the answer.
pub(super) async fn run(
    runtime: &Runtime,
    target: &Target,
    pod: Option<&Pod>,
    query: &str,
) -> Answer {
    let Some(pod) = pod else {
        return text(StatusCode::NOT_FOUND, "pod does not exist");
    };
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let command = parse(query.as_bytes()).find(|(name, _)| name == "cmd");
    let command = command
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let id = match running(runtime, uid, &target.container).await {
        Ok(Some(id)) => id,
        Ok(None) => return internal(format!("container not found ({:?})", target.container)),
        Err(error) => return internal(error.message),
    };
    let request = ExecSyncRequest {
        container_id: id,
        cmd: command.split(' ').map(str::to_owned).collect(),
        timeout: i64::try_from(RUN_DEADLINE.as_secs()).unwrap_or(i64::MAX),
    };
    let patience = RUN_DEADLINE + crate::limits::EXEC_MARGIN;
    match runtime.call_within(request, patience).await {
        Ok(mut answer) => {
            answer.stdout.append(&mut answer.stderr);
            if answer.exit_code == 0 {
                return whole(StatusCode::OK, "application/json", answer.stdout);
            }
            let said = String::from_utf8_lossy(&answer.stdout).into_owned();
            internal(format!(
                "command '{command}' exited with {}: {said}",
                answer.exit_code
            ))
        }
        Err(error) => internal(error.message),
    }
}

impl Wanted {
    fn of(query: &str) -> Result<Self, String> {
        let mut seen = BTreeMap::new();
        for (name, value) in parse(query.as_bytes()) {
            // Of several values the first one counts.
            seen.entry(name.into_owned()).or_insert(value == "1");
        }
        let is = |name: &str| seen.get(name).copied().unwrap_or(false);
        let tty = is("tty");
        let wanted = Self {
            stdin: is("input"),
            stdout: is("output"),
            stderr: is("error") && !tty,
            tty,
        };
        match wanted.stdin || wanted.stdout || wanted.stderr {
            true => Ok(wanted),
            false => Err("you must specify at least 1 of stdin, stdout, stderr".to_owned()),
        }
    }
}

fn commands(query: &str) -> Vec<String> {
    let words = parse(query.as_bytes()).filter(|(name, _)| name == "command");
    words.map(|(_, value)| value.into_owned()).collect()
}

/// Ports of a WebSocket's query; who speaks SPDY names them later.
fn ports(query: &str) -> Result<Vec<i32>, String> {
    let mut ports = Vec::new();
    for (name, value) in parse(query.as_bytes()) {
        if name != "port" {
            continue;
        }
        if value.is_empty() {
            return Err("query parameter \"port\" cannot be empty".to_owned());
        }
        for word in value.split(',') {
            let port: u16 = word
                .parse()
                .map_err(|error| format!("unable to parse {value:?} as a port: {error}"))?;
            if port == 0 {
                return Err(format!("port {value:?} must be > 0"));
            }
            ports.push(i32::from(port));
        }
    }
    match ports.is_empty() {
        true => Err("query parameter \"port\" is required".to_owned()),
        false => Ok(ports),
    }
}

fn is_websocket(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(http::header::UPGRADE);
    let upgrade = upgrade.and_then(|value| value.to_str().ok());
    *request.method() == Method::GET
        && upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

fn has_tty(pod: &Pod, name: &str) -> bool {
    let Some(spec) = &pod.spec else {
        return false;
    };
    let init = spec.init_containers.iter().flatten();
    let mut all = init.chain(&spec.containers);
    if let Some(container) = all.find(|container| container.name == name) {
        return container.tty == Some(true);
    }
    let mut ephemeral = spec.ephemeral_containers.iter().flatten();
    ephemeral.any(|container| container.name == name && container.tty == Some(true))
}

/// The newest container of a name that runs.
async fn running(runtime: &Runtime, uid: &str, name: &str) -> Result<Option<String>, CriError> {
    let labels = [(POD_UID, uid), (CONTAINER_NAME, name)];
    let answer = runtime.call(ListContainersRequest {
        filter: Some(ContainerFilter {
            state: Some(ContainerStateValue {
                state: ContainerState::Running as i32,
            }),
            label_selector: labels
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            ..ContainerFilter::default()
        }),
    });
    let newest = answer.await?.containers.into_iter();
    let newest = newest.max_by_key(|container| container.created_at);
    Ok(newest.map(|container| container.id))
}

/// The newest sandbox that is up.
async fn sandbox(runtime: &Runtime, uid: &str) -> Result<Option<String>, CriError> {
    let answer = runtime.call(ListPodSandboxRequest {
        filter: Some(PodSandboxFilter {
            state: Some(PodSandboxStateValue {
                state: PodSandboxState::Ready as i32,
            }),
            label_selector: BTreeMap::from([(POD_UID.to_owned(), uid.to_owned())]),
            ..PodSandboxFilter::default()
        }),
    });
    let newest = answer.await?.items.into_iter();
    let newest = newest.max_by_key(|sandbox| sandbox.created_at);
    Ok(newest.map(|sandbox| sandbox.id))
}

fn internal(why: String) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, why)
}

/// As upstream's streaming errors.
fn failed(error: CriError) -> Answer {
    match error.trouble {
        Trouble::NotFound => text(StatusCode::NOT_FOUND, error.message),
        Trouble::Exhausted => {
            let mut answer = text(StatusCode::TOO_MANY_REQUESTS, error.message);
            let headers = answer.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
            answer
        }
        _ => internal(error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_read_from_the_query() {
        let all = Wanted::of("command=a&input=1&output=1&error=1").expect("fine");
        assert!(all.stdin && all.stdout && all.stderr && !all.tty);
        let terminal = Wanted::of("tty=1&error=1&output=1").expect("fine");
        assert!(terminal.tty && terminal.stdout && !terminal.stderr);
        for query in ["", "command=a", "input=true", "tty=1&error=1"] {
            assert!(Wanted::of(query).is_err(), "{query}");
        }
        let words = commands("command=sh&input=1&command=-c&command=a%20b+c");
        assert_eq!(words, ["sh", "-c", "a b c"]);
    }

    #[test]
    fn ports_of_websockets_are_read() {
        assert_eq!(ports("port=80,443&port=8080"), Ok(vec![80, 443, 8080]));
        for query in ["", "port=", "port=0", "port=x", "port=65536", "port=1,"] {
            assert!(ports(query).is_err(), "{query}");
        }
    }
}
