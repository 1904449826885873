//! Requests that are held back between a decision and the server.

use std::fmt;
use std::sync::Arc;

use controllers::Context;
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tower::service_fn;

/// Holds back the first request of a method to a path that contains some text: what the controller has decided by is
/// old by the time the server hears of it. Clones are the same.
#[derive(Clone)]
pub struct Hold {
    method: Method,
    path: Arc<str>,
    stage: watch::Sender<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Waiting,
    Held,
    LetGo,
    Answered(u16),
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = *self.stage.borrow();
        write!(f, "Hold({} {}: {stage:?})", self.method, self.path)
    }
}

impl Hold {
    #[must_use]
    pub fn of(method: Method, path: &str) -> Self {
        Self {
            method,
            path: Arc::from(path),
            stage: watch::channel(Stage::Waiting).0,
        }
    }

    /// The same context, whose requests may be held.
    #[must_use]
    pub fn on(&self, cx: Context) -> Context {
        let (hold, inner) = (self.clone(), cx.client.clone());
        let service = service_fn(move |request: Request<Body>| {
            let (hold, inner) = (hold.clone(), inner.clone());
            async move {
                let held = hold.takes(&request);
                if held {
                    hold.until(Stage::LetGo).await;
                }
                let answer = inner.send(request).await;
                if held {
                    let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
                    hold.stage.send_replace(Stage::Answered(code));
                }
                answer
            }
        });
        Context {
            client: Client::new(service, cx.client.default_namespace().to_owned()),
            ..cx
        }
    }

    fn takes(&self, request: &Request<Body>) -> bool {
        request.method() == self.method
            && request.uri().path().contains(&*self.path)
            && self.stage.send_if_modified(|stage| {
                let is_first = *stage == Stage::Waiting;
                *stage = (*stage).max(Stage::Held);
                is_first
            })
    }

    async fn until(&self, goal: Stage) -> Stage {
        let mut stage = self.stage.subscribe();
        // The sender lives as long as this.
        *stage.wait_for(|stage| *stage >= goal).await.unwrap()
    }

    /// Waits until there is such a request.
    pub async fn held(&self) {
        self.until(Stage::Held).await;
    }

    /// Lets it go, and returns the status of the answer; 0 if there is none.
    pub async fn let_go(&self) -> u16 {
        self.stage.send_replace(Stage::LetGo);
        match self.until(Stage::Answered(0)).await {
            Stage::Answered(code) => code,
            stage => unreachable!("{stage:?}"),
        }
    }
}
