//! Making and deleting pods in the name of an owner.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use mainstay_client::{Events, controller_ref, delete_exactly};

/// A pod that `owner` controls, with a name that begins with the owner's and that the apiserver completes.
pub(crate) fn pod_from<O: Resource<DynamicType = ()>>(
    template: &PodTemplateSpec,
    owner: &O,
) -> Pod {
    let made = template.metadata.clone().unwrap_or_default();
    let mut pod = Pod {
        spec: template.spec.clone(),
        ..Pod::default()
    };
    pod.metadata.labels = made.labels;
    pod.metadata.annotations = made.annotations;
    pod.metadata.finalizers = made.finalizers;
    let name = owner.meta().name.as_deref().unwrap_or_default();
    pod.metadata.generate_name = Some(format!("{name}-"));
    pod.metadata.owner_references = Some(vec![controller_ref(owner)]);
    pod
}

/// Creates and deletes, and tells the owner's events about it.
#[derive(Debug)]
pub(crate) struct PodControl<'a, O> {
    pub(crate) api: Api<Pod>,
    pub(crate) events: &'a Events,
    pub(crate) owner: &'a O,
}

impl<'a, O: Resource<DynamicType = ()>> PodControl<'a, O> {
    pub(crate) fn new(client: &Client, events: &'a Events, owner: &'a O) -> Self {
        let namespace = owner.meta().namespace.as_deref().unwrap_or_default();
        Self {
            api: Api::namespaced(client.clone(), namespace),
            events,
            owner,
        }
    }

    pub(crate) async fn create(&self, pod: &Pod) -> kube::Result<Pod> {
        let created = self.api.create(&PostParams::default(), pod).await;
        match &created {
            Ok(pod) => {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let text = format!("Created pod: {name}");
                self.events.normal(self.owner, "SuccessfulCreate", text);
            }
            Err(error) if namespace_goes(error) => {}
            Err(error) => {
                let text = format!("Error creating: {}", reason(error));
                self.events.warning(self.owner, "FailedCreate", text);
            }
        }
        created
    }

    /// Deletes this pod and no other of its name; one that is gone is fine.
    pub(crate) async fn delete(&self, pod: &Pod) -> kube::Result<()> {
        match delete_exactly(&self.api, pod).await {
            Ok(true) => {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let text = format!("Deleted pod: {name}");
                self.events.normal(self.owner, "SuccessfulDelete", text);
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => {
                let text = format!("Error deleting: {}", reason(&error));
                self.events.warning(self.owner, "FailedDelete", text);
                Err(error)
            }
        }
    }
}

/// What the server said, without what this client adds.
pub(crate) fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Whether nothing can be created because the namespace is being deleted.
pub(crate) fn namespace_goes(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut reasons = causes.map(|cause| cause.reason.as_str());
    reasons.any(|reason| reason == "NamespaceTerminating")
}
