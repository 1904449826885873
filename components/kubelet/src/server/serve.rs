//! Answers requests.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use mainstay_client::Health;
use mainstay_client::metrics::Metrics;
use mainstay_cri::ContainerStatusRequest;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::{Answer, json, streamed, text, whole};
use super::guard::{Guard, Refusal, Shown};
use super::logs::{LogOptions, OptionsError, Read, choose, read};
use super::paths::{NoPage, Page, Target};
use super::stats::{MEDIA, Stats, cadvisor, resource};
use super::streams::{self, Kind};
use super::upgrade::Upgrades;
use super::{listed, node_logs};
use crate::context::Context;
use crate::figures::Figures;
use crate::limits::{JUDGE_DEADLINE, LOG_CHUNKS_WAITING_MAX};
use crate::worker::Pods;

/// Everything that answers are made from.
pub(super) struct Api {
    pub(super) guard: Guard,
    pub(super) context: Arc<Context>,
    pub(super) pods: Pods,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
    pub(super) figures: Figures,
    pub(super) stats: Stats,
    pub(super) upgrades: Upgrades,
    /// What `/configz` shows.
    pub(super) config: Value,
    /// Whether there are logs, exec and the like.
    pub(super) debugging: bool,
    /// The node's own logs; `None` if they are not for reading.
    pub(super) node_logs: Option<PathBuf>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    pub(super) async fn answer(&self, request: Request<Incoming>, shown: &Shown) -> Answer {
        let (method, path) = (request.method().as_str(), request.uri().path());
        let judged = self.guard.judge(method, path, request.headers(), shown);
        match timeout(JUDGE_DEADLINE, judged).await {
            Ok(Ok(())) => {}
            Ok(Err(Refusal(code, why))) => return text(code, why),
            Err(_) => return text(StatusCode::INTERNAL_SERVER_ERROR, "Authorization error"),
        }
        let page = match Page::of(method, path) {
            Ok(page) => page,
            Err(NoPage::NotFound) => {
                return text(StatusCode::NOT_FOUND, "404 page not found\n");
            }
            Err(NoPage::Method) => {
                let why = "405: Method Not Allowed";
                return text(StatusCode::METHOD_NOT_ALLOWED, why);
            }
        };
        let (name, long_running) = page.name();
        let _answering = self.figures.asked(method, name, long_running);
        if !self.debugging && is_debugging(&page) {
            let why = "Debug endpoints are disabled.\n";
            return text(StatusCode::METHOD_NOT_ALLOWED, why);
        }
        self.page(page, request).await
    }

    async fn page(&self, page: Page, request: Request<Incoming>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        match page {
            Page::Health => self.health(request.uri().path(), query),
            Page::Pods => json(&listed::pods(&self.context, &self.pods)),
            Page::RunningPods => match listed::running(&self.context.runtime).await {
                Ok(list) => json(&list),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.message),
            },
            Page::Summary => self.summary(query).await,
            Page::Metrics => {
                let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                whole(StatusCode::OK, media, self.metrics.text())
            }
            Page::ResourceMetrics => {
                let summary = self.stats.summary(true).await;
                whole(StatusCode::OK, MEDIA, resource(summary.ok().as_ref()))
            }
            Page::CadvisorMetrics => match self.stats.summary(true).await {
                Ok(summary) => whole(StatusCode::OK, MEDIA, cadvisor(&summary)),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.message),
            },
            Page::Configz => json(&self.config),
            Page::NodeLogs(path) => match &self.node_logs {
                Some(folder) => node_logs::page(folder, &path).await,
                None => text(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "logs endpoint is disabled.\n",
                ),
            },
            Page::ContainerLogs(target) => self.container_logs(&target, query).await,
            Page::Run(target) => {
                let pod = self.pod(&target);
                streams::run(&self.context.runtime, &target, pod.as_deref(), query).await
            }
            Page::Exec(target) => self.stream(Kind::Exec, &target, request).await,
            Page::Attach(target) => self.stream(Kind::Attach, &target, request).await,
            Page::PortForward(target) => self.stream(Kind::PortForward, &target, request).await,
        }
    }

    fn health(&self, path: &str, query: &str) -> Answer {
        let path = path.strip_suffix('/').unwrap_or(path);
        match self.health.page(path, query) {
            Some(page) if page.ok => text(StatusCode::OK, page.text),
            Some(page) => text(StatusCode::INTERNAL_SERVER_ERROR, page.text),
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    async fn summary(&self, query: &str) -> Answer {
        let brief = query
            .split('&')
            .any(|part| part == "only_cpu_and_memory=true");
        let summary = self.stats.summary(brief).await;
        match summary.map(|summary| serde_json::to_value(&summary)) {
            Ok(Ok(value)) => json(&value),
            Ok(Err(error)) => {
                let why = format!("Internal Error: {error}");
                text(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
            Err(error) => {
                let why = format!("Internal Error: {error}");
                text(StatusCode::INTERNAL_SERVER_ERROR, why)
            }
        }
    }

    fn pod(&self, target: &Target) -> Option<Arc<Pod>> {
        self.pods.named(&target.namespace, &target.pod)
    }

    async fn stream(&self, kind: Kind, target: &Target, request: Request<Incoming>) -> Answer {
        let pod = self.pod(target);
        let runtime = &self.context.runtime;
        match streams::place(runtime, kind, target, pod.as_deref(), &request).await {
            Ok(url) => self.upgrades.forward(request, &url).await,
            Err(answer) => *answer,
        }
    }

    async fn container_logs(&self, target: &Target, query: &str) -> Answer {
        let options = match LogOptions::of(query, Timestamp::now()) {
            Ok(options) => options,
            Err(error @ OptionsError::Undecodable) => {
                return text(StatusCode::BAD_REQUEST, error.to_string());
            }
            Err(error @ OptionsError::Invalid) => {
                return text(StatusCode::UNPROCESSABLE_ENTITY, error.to_string());
            }
        };
        let (name, container) = (&target.pod, &target.container);
        let Some(pod) = self.pod(target) else {
            return text(
                StatusCode::NOT_FOUND,
                format!("pod {name:?} does not exist"),
            );
        };
        if !has_container(&pod, container) {
            let why = format!("container {container:?} not found in pod {name:?}");
            return text(StatusCode::NOT_FOUND, why);
        }
        let chosen = choose(name, &self.status(&pod), container, options.previous);
        let id = match chosen {
            Ok(id) => id,
            Err(why) => return text(StatusCode::BAD_REQUEST, why),
        };
        self.log(id, options).await
    }

    fn status(&self, pod: &Pod) -> PodStatus {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let latest = self.context.statuses.latest(uid);
        latest.or_else(|| pod.status.clone()).unwrap_or_default()
    }

    /// The log of one container. What goes wrong on the way stands in it, as upstream has it.
    async fn log(&self, id: String, options: LogOptions) -> Answer {
        let (to, parts) = mpsc::channel(LOG_CHUNKS_WAITING_MAX);
        let runtime = self.context.runtime.clone();
        tokio::spawn(async move {
            let request = ContainerStatusRequest {
                container_id: id.clone(),
                verbose: false,
            };
            let path = match runtime.call(request).await {
                Ok(answer) => answer.status.map(|status| status.log_path),
                Err(error) => {
                    tracing::debug!("a log's container: {error}");
                    None
                }
            };
            let Some(path) = path else {
                let why = format!("unable to retrieve container logs for containerd://{id}");
                let _ = to.send(why.into()).await;
                return;
            };
            let what = Read {
                runtime,
                id,
                path: path.into(),
                options,
                to: to.clone(),
            };
            if let Err(why) = read(what).await {
                let _ = to.send(why.into()).await;
            }
        });
        streamed("text/plain", parts)
    }
}

fn is_debugging(page: &Page) -> bool {
    matches!(
        page,
        Page::Run(_)
            | Page::Exec(_)
            | Page::Attach(_)
            | Page::PortForward(_)
            | Page::ContainerLogs(_)
            | Page::RunningPods
            | Page::NodeLogs(_)
    )
}

fn has_container(pod: &Pod, name: &str) -> bool {
    let Some(spec) = &pod.spec else {
        return false;
    };
    let init = spec.init_containers.iter().flatten();
    let mut names = init.chain(&spec.containers).map(|one| &one.name);
    let mut ephemeral = spec.ephemeral_containers.iter().flatten();
    names.any(|known| known == name) || ephemeral.any(|known| known.name == name)
}
