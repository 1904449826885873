//! What a component tells users about an object, as Event objects.
//!
//! The rules are those of client-go's event correlator: the same event again raises the count of the first one, many
//! different messages of one reason about one object become one, and who talks too much about one object is not
//! heard for a while.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::correlate::{Correlator, Known};
use crate::leader::Fence;
use crate::limits::{EVENT_ATTEMPTS, EVENT_MESSAGE_MAX, EVENTS_WAITING_MAX};

/// Pause between two attempts to write one event.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells events. Cheap to clone; telling never waits, and drops what finds no room.
#[derive(Clone)]
pub struct Events {
    waiting: mpsc::Sender<Said>,
    /// How many were told and are not dealt with.
    pending: Arc<watch::Sender<usize>>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// One thing said about one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Said {
    pub(crate) about: About,
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// The object, in the state it was in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct About {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) field_path: String,
}

impl About {
    fn of(about: &ObjectReference) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            api_version: text(&about.api_version),
            kind: text(&about.kind),
            namespace: text(&about.namespace),
            name: text(&about.name),
            uid: text(&about.uid),
            resource_version: text(&about.resource_version),
            field_path: text(&about.field_path),
        }
    }
}

impl Events {
    /// `component` is who tells them, as `deployment-controller`; they are written until the last clone is dropped.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn start(client: Client, component: &str) -> Self {
        let (waiting, said) = mpsc::channel(EVENTS_WAITING_MAX);
        let pending = Arc::new(watch::channel(0).0);
        let writer = Writer {
            client,
            component: component.to_owned(),
            correlator: Correlator::new(),
            pending: Arc::clone(&pending),
        };
        tokio::spawn(writer.run(said));
        Self { waiting, pending }
    }

    /// Waits until all that was told is written or given up.
    pub async fn flushed(&self) {
        // The sender lives as long as this.
        let _ = self.pending.subscribe().wait_for(|n| *n == 0).await;
    }

    /// Something that is as it should be.
    pub fn normal<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.tell(about, "Normal", reason, message.into());
    }

    /// Something that somebody should look at.
    pub fn warning<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.tell(about, "Warning", reason, message.into());
    }

    /// Something that is as it should be, about an object of which only this reference is known.
    pub fn normal_about(&self, about: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.say(About::of(about), "Normal", reason, message.into());
    }

    /// A warning about an object of which only this reference is known.
    pub fn warning_about(&self, about: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.say(About::of(about), "Warning", reason, message.into());
    }

    fn tell<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        kind: &'static str,
        reason: &str,
        message: String,
    ) {
        let meta = about.meta();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let about = About {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            namespace: text(&meta.namespace),
            name: text(&meta.name),
            uid: text(&meta.uid),
            resource_version: text(&meta.resource_version),
            field_path: String::new(),
        };
        self.say(about, kind, reason, message);
    }

    fn say(&self, about: About, kind: &'static str, reason: &str, message: String) {
        let said = Said {
            about,
            kind,
            reason: reason.to_owned(),
            message: shortened(message),
        };
        self.pending.send_modify(|n| *n += 1);
        if self.waiting.try_send(said).is_err() {
            self.pending.send_modify(|n| *n -= 1);
            tracing::debug!(reason, "no room for an event");
        }
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > EVENT_MESSAGE_MAX {
        let end = (0..=EVENT_MESSAGE_MAX)
            .rev()
            .find(|at| message.is_char_boundary(*at));
        message.truncate(end.unwrap_or(0));
    }
    message
}

struct Writer {
    client: Client,
    component: String,
    correlator: Correlator,
    pending: Arc<watch::Sender<usize>>,
}

impl Writer {
    async fn run(mut self, mut said: mpsc::Receiver<Said>) {
        while let Some(said) = said.recv().await {
            if let Some(said) = self.correlator.pass(said, Instant::now()) {
                self.deal_with(&said).await;
            }
            self.pending.send_modify(|n| *n -= 1);
        }
    }

    async fn deal_with(&mut self, said: &Arc<Said>) {
        for attempt in 1..=EVENT_ATTEMPTS {
            match self.write(said).await {
                Ok(()) => break,
                Err(error) if Fence::refused(&error) => break,
                // Refused: the namespace is going, or it is no valid event; asking again changes nothing.
                Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                    tracing::debug!(reason = said.reason, "event refused: {status}");
                    break;
                }
                Err(error) if attempt == EVENT_ATTEMPTS => {
                    tracing::warn!(reason = said.reason, "event not written: {error}");
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn write(&mut self, said: &Arc<Said>) -> kube::Result<()> {
        let namespace = namespace(&said.about);
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let now = Time(jiff::Timestamp::now());
        if let Some(known) = self.correlator.known(said) {
            let count = known.count + 1;
            let patch = json!({"count": count, "lastTimestamp": now, "message": said.message});
            let params = PatchParams::default();
            match api
                .patch(&known.name, &params, &Patch::Strategic(&patch))
                .await
            {
                Ok(_) => {
                    let name = known.name.clone();
                    self.correlator.written(said, &Known { name, count });
                    return Ok(());
                }
                // Its time was over.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        let event = self.event(said, now);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event).await?;
        self.correlator.written(said, &Known { name, count: 1 });
        Ok(())
    }

    fn event(&self, said: &Said, now: Time) -> Event {
        let About {
            api_version,
            kind,
            namespace: of,
            name,
            uid,
            resource_version,
            field_path,
        } = said.about.clone();
        let some = |text: String| (!text.is_empty()).then_some(text);
        let mut event = Event {
            type_: Some(said.kind.to_owned()),
            reason: Some(said.reason.clone()),
            message: Some(said.message.clone()),
            count: Some(1),
            first_timestamp: Some(now.clone()),
            source: Some(EventSource {
                component: Some(self.component.clone()),
                host: None,
            }),
            reporting_component: Some(self.component.clone()),
            ..Event::default()
        };
        // As client-go names them.
        event.metadata.name = Some(format!("{name}.{:x}", now.0.as_nanosecond()));
        event.metadata.namespace = Some(namespace(&said.about).to_owned());
        event.last_timestamp = Some(now);
        event.involved_object = ObjectReference {
            api_version: some(api_version),
            kind: some(kind),
            namespace: some(of),
            name: some(name),
            uid: some(uid),
            resource_version: some(resource_version),
            field_path: some(field_path),
        };
        event
    }
}

/// Events about what is in no namespace are in the default one.
fn namespace(about: &About) -> &str {
    match about.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    }
}
