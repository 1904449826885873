//! The kinds whose rules differ from the plain ones, by group.

use super::Generation::{Everything, LaterOf, None as Never, Of, One};
use super::Status::{AsCreated, Initial};
use super::StatusMeta::{Keep, KeepLabels};
use super::names::ip_address;
use super::{
    CreateHook, Generation, Status, StatusMeta, Strategy, UpdateHook, certificates, cluster, pods,
    services, storage, workloads,
};
use mainstay_machinery::validate::{NameRule, name_is_dns_label, name_is_path_segment};

impl Strategy {
    const fn names(mut self, rule: NameRule) -> Self {
        self.name = rule;
        self
    }

    const fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    const fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    const fn status_meta(mut self, rule: StatusMeta) -> Self {
        self.status_meta = rule;
        self
    }

    const fn create_on_update(mut self) -> Self {
        self.create_on_update = true;
        self
    }

    const fn conditional_update(mut self) -> Self {
        self.unconditional_update = false;
        self
    }

    const fn on_create(mut self, hook: CreateHook) -> Self {
        self.on_create = Some(hook);
        self
    }

    const fn on_update(mut self, hook: UpdateHook) -> Self {
        self.on_update = Some(hook);
        self
    }
}

const SPEC: Generation = Of(&["spec"]);
/// A status without required fields.
const EMPTY: Status = Initial("{}");

const fn core(kind: &'static str) -> Strategy {
    Strategy::new("", kind)
}

const fn apps(kind: &'static str) -> Strategy {
    Strategy::new("apps", kind).generation(SPEC)
}

const fn networking(kind: &'static str) -> Strategy {
    Strategy::new("networking.k8s.io", kind)
}

const fn storage(kind: &'static str) -> Strategy {
    Strategy::new("storage.k8s.io", kind)
}

const fn rbac(kind: &'static str) -> Strategy {
    Strategy::new("rbac.authorization.k8s.io", kind)
        .names(name_is_path_segment)
        .create_on_update()
}

const fn certificates(kind: &'static str) -> Strategy {
    Strategy::new("certificates.k8s.io", kind)
}

const fn flowcontrol(kind: &'static str) -> Strategy {
    Strategy::new("flowcontrol.apiserver.k8s.io", kind)
        .generation(SPEC)
        .status(EMPTY)
        .status_meta(Keep)
}

const fn admission(kind: &'static str) -> Strategy {
    Strategy::new("admissionregistration.k8s.io", kind)
        .generation(SPEC)
        .conditional_update()
}

const fn resource(kind: &'static str) -> Strategy {
    Strategy::new("resource.k8s.io", kind)
}

pub(super) static TABLE: &[Strategy] = &[
    core("Pod")
        .generation(SPEC)
        .status(EMPTY)
        .on_create(pods::create)
        .on_update(pods::update),
    core("PodTemplate").generation(Of(&["template"])),
    core("ReplicationController").generation(SPEC).status(Initial(r#"{"replicas": 0}"#)),
    core("Namespace")
        .names(name_is_dns_label)
        .status(Initial(r#"{"phase": "Active"}"#))
        .on_create(cluster::create_namespace)
        .on_update(cluster::update_namespace),
    core("Node").status(AsCreated).on_create(cluster::create_node).on_update(cluster::update_node),
    core("PersistentVolume")
        .status(Initial(r#"{"phase": "Pending"}"#))
        .on_create(storage::create_volume)
        .on_update(storage::update_volume),
    core("PersistentVolumeClaim")
        .status(Initial(r#"{"phase": "Pending"}"#))
        .on_create(storage::create_claim)
        .on_update(storage::update_claim),
    core("ResourceQuota").status(EMPTY),
    core("LimitRange").create_on_update(),
    core("Event").create_on_update(),
    core("Endpoints").create_on_update(),
    core("Service")
        .names(name_is_dns_label)
        .status(Initial(r#"{"loadBalancer": {}}"#))
        .create_on_update()
        .on_create(services::create)
        .on_update(services::update),
    core("Secret").on_create(cluster::create_secret).on_update(cluster::update_secret),
    core("ServiceAccount")
        .on_create(cluster::create_service_account)
        .on_update(cluster::update_service_account),
    apps("Deployment")
        .generation(Of(&["spec", "metadata.annotations"]))
        .status(EMPTY)
        .status_meta(KeepLabels),
    apps("ReplicaSet").status(Initial(r#"{"replicas": 0}"#)),
    apps("StatefulSet")
        .names(name_is_dns_label)
        .status(Initial(r#"{"replicas": 0, "availableReplicas": 0}"#)),
    apps("DaemonSet")
        .status(Initial(
            r#"{"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0}"#,
        ))
        .on_create(workloads::create_daemon_set)
        .on_update(workloads::update_daemon_set),
    apps("ControllerRevision").generation(Never),
    Strategy::new("batch", "Job")
        .generation(SPEC)
        .status(EMPTY)
        .on_create(workloads::create_job),
    Strategy::new("batch", "CronJob").generation(SPEC).status(EMPTY),
    Strategy::new("autoscaling", "HorizontalPodAutoscaler")
        .status(Initial(r#"{"desiredReplicas": 0}"#))
        .on_create(workloads::create_autoscaler),
    Strategy::new("policy", "PodDisruptionBudget")
        .generation(SPEC)
        .status(Initial(
            r#"{"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}"#,
        ))
        .conditional_update(),
    networking("Ingress").generation(SPEC).status(Initial(r#"{"loadBalancer": {}}"#)),
    networking("IngressClass").generation(SPEC),
    networking("NetworkPolicy").generation(SPEC),
    networking("IPAddress").names(ip_address),
    networking("ServiceCIDR").status(EMPTY).status_meta(Keep),
    Strategy::new("discovery.k8s.io", "EndpointSlice").generation(Everything),
    Strategy::new("coordination.k8s.io", "Lease").create_on_update().conditional_update(),
    Strategy::new("node.k8s.io", "RuntimeClass").create_on_update().conditional_update(),
    Strategy::new("scheduling.k8s.io", "PriorityClass").generation(One),
    storage("CSIDriver").generation(LaterOf(&["spec"])).conditional_update(),
    storage("CSINode").conditional_update(),
    storage("CSIStorageCapacity").conditional_update(),
    storage("VolumeAttachment")
        .status(Initial(r#"{"attached": false}"#))
        .status_meta(Keep)
        .conditional_update(),
    rbac("Role"),
    rbac("RoleBinding"),
    rbac("ClusterRole"),
    rbac("ClusterRoleBinding"),
    certificates("CertificateSigningRequest")
        .status(EMPTY)
        .on_create(certificates::create_request)
        .on_update(certificates::update_request),
    // The name starts with the signer's name, whose slashes are written as colons.
    certificates("ClusterTrustBundle").names(name_is_path_segment).conditional_update(),
    certificates("PodCertificateRequest").status(EMPTY).status_meta(Keep).conditional_update(),
    flowcontrol("FlowSchema"),
    flowcontrol("PriorityLevelConfiguration"),
    admission("ValidatingWebhookConfiguration").generation(Of(&["webhooks"])),
    admission("MutatingWebhookConfiguration").generation(Of(&["webhooks"])),
    admission("ValidatingAdmissionPolicy").status(EMPTY).status_meta(Keep),
    admission("ValidatingAdmissionPolicyBinding"),
    admission("MutatingAdmissionPolicy"),
    admission("MutatingAdmissionPolicyBinding"),
    Strategy::new("apiextensions.k8s.io", "CustomResourceDefinition")
        .generation(SPEC)
        .status(EMPTY)
        .status_meta(Keep)
        .conditional_update()
        .on_create(cluster::create_custom_resource)
        .on_update(cluster::update_custom_resource),
    Strategy::new("apiregistration.k8s.io", "APIService")
        .names(name_is_path_segment)
        .status(EMPTY)
        .status_meta(Keep)
        .conditional_update(),
    resource("DeviceClass").generation(SPEC),
    resource("ResourceSlice").generation(SPEC).on_create(cluster::create_slice).on_update(cluster::update_slice),
    resource("ResourceClaim").status(EMPTY).status_meta(Keep),
    resource("DeviceTaintRule")
        .generation(SPEC)
        .status(EMPTY)
        .status_meta(Keep)
        .on_create(cluster::create_taint_rule)
        .on_update(cluster::update_taint_rule),
    Strategy::new("storagemigration.k8s.io", "StorageVersionMigration")
        .status(EMPTY)
        .status_meta(Keep)
        .conditional_update(),
];
