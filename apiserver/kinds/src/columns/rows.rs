//! The columns of every kind that has its own.

use super::cells::Cell::{
    self, Age, Bool, Containers, Count, Int, Joined, Labels, Of, Selector, Text,
};
use super::cells::{NONE, UNSET};
use super::{Column, autoscaling, network, nodes, pods, policy, storage, workloads};

/// The columns of a kind in these groups.
pub(super) struct Row {
    pub(super) groups: &'static [&'static str],
    pub(super) kind: &'static str,
    pub(super) columns: &'static [Column],
}

const fn column(name: &'static str, data_type: &'static str, cell: Cell) -> Column {
    Column {
        name,
        data_type,
        format: "",
        priority: 0,
        description: name,
        cell,
    }
}

const fn string(name: &'static str, cell: Cell) -> Column {
    column(name, "string", cell)
}

const fn integer(name: &'static str, cell: Cell) -> Column {
    column(name, "integer", cell)
}

const fn boolean(name: &'static str, cell: Cell) -> Column {
    column(name, "boolean", cell)
}

impl Column {
    const fn wide(mut self) -> Column {
        self.priority = 1;
        self
    }

    const fn says(mut self, description: &'static str) -> Column {
        self.description = description;
        self
    }
}

const fn named(cell: Cell) -> Column {
    let mut column = string("Name", cell).says("Name of the object, unique in its namespace.");
    column.format = "name";
    column
}

/// A column that holds a name without being called so.
const fn name_of(name: &'static str, cell: Cell) -> Column {
    let mut column = string(name, cell);
    column.format = "name";
    column
}

const NAME: Column = named(Text("metadata.name", ""));
const AGE: Column =
    string("Age", Age("metadata.creationTimestamp")).says("How long ago the object was created.");

const fn containers(path: &'static str) -> Column {
    string("Containers", Containers(path, "name"))
        .wide()
        .says("Names of the template's containers.")
}

const fn images(path: &'static str) -> Column {
    string("Images", Containers(path, "image"))
        .wide()
        .says("Images of the template's containers.")
}

const TEMPLATE: &str = "spec.template.spec.containers";
const CRON_TEMPLATE: &str = "spec.jobTemplate.spec.template.spec.containers";
const SELECTOR: Column = string("Selector", Selector("spec.selector"))
    .wide()
    .says("Labels of the pods it is about.");
const DESIRED: Column =
    integer("Desired", Int("spec.replicas")).says("How many pods there should be.");
const CURRENT: Column = integer("Current", Int("status.replicas")).says("How many pods there are.");
const READY: Column =
    integer("Ready", Int("status.readyReplicas")).says("How many of the pods are ready.");

/// Kinds without columns of their own.
pub(super) static PLAIN: &[Column] = &[
    NAME,
    column("Created At", "date", Text("metadata.creationTimestamp", ""))
        .says("When the object was created."),
];

macro_rules! rows {
    ($($groups:tt $kind:literal: [$($column:expr),* $(,)?],)*) => {
        &[$({
            const COLUMNS: &[Column] = &[$($column),*];
            Row { groups: &$groups, kind: $kind, columns: COLUMNS }
        }),*]
    };
}

pub(super) static TABLE: &[Row] = rows! {
    [""] "Pod": [
        NAME,
        string("Ready", Of(pods::ready)).says("Containers that are ready, of all that run on."),
        string("Status", Of(pods::status)).says("What the containers do, in a word."),
        string("Restarts", Of(pods::restarts)).says("How often containers were restarted, and when last."),
        AGE,
        string("IP", Of(pods::address)).wide().says("Address of the pod."),
        string("Node", Text("spec.nodeName", NONE)).wide().says("Node the pod runs on."),
        string("Nominated Node", Text("status.nominatedNodeName", NONE)).wide()
            .says("Node where room is being made for the pod."),
        string("Readiness Gates", Of(pods::readiness_gates)).wide().says("Conditions that make it ready."),
    ],
    [""] "PodTemplate": [
        NAME,
        string("Containers", Containers("template.spec.containers", "name")),
        string("Images", Containers("template.spec.containers", "image")),
        string("Pod Labels", Labels("template.metadata.labels")),
    ],
    ["autoscaling"] "Scale": [
        string("Name", Text("metadata.name", "")),
        integer("Desired", Int("spec.replicas")).says("Replicas that are wanted."),
        integer("Available", Int("status.replicas")).says("Replicas that there are."),
        AGE,
    ],
    [""] "ReplicationController": [
        NAME, DESIRED, CURRENT, READY, AGE, containers(TEMPLATE), images(TEMPLATE),
        string("Selector", Labels("spec.selector")).wide(),
    ],
    ["apps"] "ReplicaSet": [NAME, DESIRED, CURRENT, READY, AGE, containers(TEMPLATE), images(TEMPLATE), SELECTOR],
    ["apps"] "Deployment": [
        NAME,
        string("Ready", Of(workloads::ready)).says("Pods that are ready, of those wanted."),
        string("Up-to-date", Int("status.updatedReplicas")).says("Pods of the newest template."),
        string("Available", Int("status.availableReplicas")).says("Pods ready for long enough."),
        AGE, containers(TEMPLATE), images(TEMPLATE),
        string("Selector", Of(workloads::deployment_selector)).wide(),
    ],
    ["apps"] "StatefulSet": [
        NAME, string("Ready", Of(workloads::ready)).says("Pods that are ready, of those wanted."),
        AGE, containers(TEMPLATE), images(TEMPLATE),
    ],
    ["apps"] "DaemonSet": [
        NAME,
        integer("Desired", Int("status.desiredNumberScheduled")).says("Nodes that should run the pod."),
        integer("Current", Int("status.currentNumberScheduled")).says("Nodes that do."),
        integer("Ready", Int("status.numberReady")).says("Nodes where it is ready."),
        integer("Up-to-date", Int("status.updatedNumberScheduled")).says("Nodes with the newest template."),
        integer("Available", Int("status.numberAvailable")).says("Nodes where it is ready for long enough."),
        string("Node Selector", Labels("spec.template.spec.nodeSelector")),
        AGE, containers(TEMPLATE), images(TEMPLATE), SELECTOR,
    ],
    ["apps"] "ControllerRevision": [
        NAME, string("Controller", Of(workloads::controller)), string("Revision", Int("revision")), AGE,
    ],
    ["batch"] "Job": [
        NAME,
        string("Status", Of(workloads::job_status)),
        string("Completions", Of(workloads::completions)).says("Pods that succeeded, of those wanted."),
        string("Duration", Of(workloads::job_duration)).says("How long the job took so far."),
        AGE, containers(TEMPLATE), images(TEMPLATE), SELECTOR,
    ],
    ["batch"] "CronJob": [
        NAME,
        string("Schedule", Text("spec.schedule", "")),
        string("Timezone", Text("spec.timeZone", NONE)),
        boolean("Suspend", Of(workloads::suspended)),
        integer("Active", Count("status.active")).says("Jobs that are running."),
        string("Last Schedule", Of(workloads::last_schedule)),
        AGE, containers(CRON_TEMPLATE), images(CRON_TEMPLATE),
        string("Selector", Selector("spec.jobTemplate.spec.selector")).wide(),
    ],
    ["policy"] "PodDisruptionBudget": [
        NAME,
        string("Min Available", Of(policy::min_available)),
        string("Max Unavailable", Of(policy::max_unavailable)),
        integer("Allowed Disruptions", Int("status.disruptionsAllowed")),
        AGE,
    ],
    ["autoscaling"] "HorizontalPodAutoscaler": [
        NAME,
        string("Reference", Of(autoscaling::reference)).says("What is scaled."),
        string("Targets", Of(autoscaling::targets)).says("Metrics now, and as they should be."),
        string("MinPods", Of(autoscaling::min_pods)),
        string("MaxPods", Int("spec.maxReplicas")),
        string("Replicas", Int("status.currentReplicas")),
        AGE,
    ],
    [""] "Service": [
        NAME,
        string("Type", Text("spec.type", "")),
        string("Cluster-IP", Of(network::cluster_ip)),
        string("External-IP", Of(network::external_ip)),
        string("Port(s)", Of(network::ports)),
        AGE,
        string("Selector", Labels("spec.selector")).wide(),
    ],
    [""] "Endpoints": [NAME, string("Endpoints", Of(network::endpoints)), AGE],
    ["discovery.k8s.io"] "EndpointSlice": [
        NAME,
        string("AddressType", Text("addressType", "")),
        string("Ports", Of(network::slice_ports)),
        string("Endpoints", Of(network::slice_endpoints)),
        AGE,
    ],
    ["networking.k8s.io", "extensions"] "Ingress": [
        NAME,
        string("Class", Text("spec.ingressClassName", NONE)),
        string("Hosts", Of(network::hosts)),
        string("Address", Of(network::ingress_address)),
        string("Ports", Of(network::ingress_ports)),
        AGE,
    ],
    ["networking.k8s.io"] "IngressClass": [
        named(Of(network::ingress_class_name)),
        string("Controller", Text("spec.controller", "")),
        string("Parameters", Of(network::ingress_class_parameters)),
        AGE,
    ],
    ["networking.k8s.io"] "NetworkPolicy": [NAME, string("Pod-Selector", Selector("spec.podSelector")), AGE],
    ["networking.k8s.io"] "ServiceCIDR": [NAME, string("CIDRs", Joined("spec.cidrs", "")), AGE],
    ["networking.k8s.io"] "IPAddress": [NAME, string("ParentRef", Of(network::parent))],
    [""] "Node": [
        NAME,
        string("Status", Of(nodes::status)),
        string("Roles", Of(nodes::roles)),
        AGE,
        string("Version", Text("status.nodeInfo.kubeletVersion", "")),
        string("Internal-IP", Of(nodes::internal_ip)).wide(),
        string("External-IP", Of(nodes::external_ip)).wide(),
        string("OS-Image", Text("status.nodeInfo.osImage", "<unknown>")).wide(),
        string("Kernel-Version", Of(nodes::kernel)).wide(),
        string("Container-Runtime", Text("status.nodeInfo.containerRuntimeVersion", "<unknown>")).wide(),
    ],
    [""] "Namespace": [NAME, string("Status", Text("status.phase", "")), AGE],
    [""] "ServiceAccount": [NAME, AGE],
    [""] "ConfigMap": [NAME, string("Data", Of(policy::config_map_data)), AGE],
    [""] "Secret": [NAME, string("Type", Text("type", "")), string("Data", Count("data")), AGE],
    [""] "ResourceQuota": [
        NAME, string("Request", Of(policy::quota_requests)), string("Limit", Of(policy::quota_limits)), AGE,
    ],
    [""] "ComponentStatus": [
        NAME,
        string("Status", Of(nodes::component_status)),
        string("Message", Of(nodes::component_message)),
        string("Error", Of(nodes::component_error)),
    ],
    ["", "events.k8s.io"] "Event": [
        string("Last Seen", Of(policy::last_seen)),
        string("Type", Text("type", "")),
        string("Reason", Text("reason", "")),
        string("Object", Of(policy::event_object)),
        string("Subobject", Of(policy::event_subobject)).wide(),
        string("Source", Of(policy::event_source)).wide(),
        string("Message", Of(policy::event_message)),
        string("First Seen", Of(policy::first_seen)).wide(),
        string("Count", Of(policy::event_count)).wide(),
        NAME.wide(),
    ],
    [""] "PersistentVolume": [
        NAME,
        string("Capacity", Text("spec.capacity.storage", "0")),
        string("Access Modes", Of(storage::volume_modes)),
        string("Reclaim Policy", Text("spec.persistentVolumeReclaimPolicy", "")),
        string("Status", Of(storage::phase)),
        string("Claim", Of(storage::claim)),
        string("StorageClass", Of(storage::class)),
        string("VolumeAttributesClass", Text("spec.volumeAttributesClassName", UNSET)),
        string("Reason", Text("status.reason", "")),
        AGE,
        string("VolumeMode", Text("spec.volumeMode", UNSET)).wide(),
    ],
    [""] "PersistentVolumeClaim": [
        NAME,
        string("Status", Of(storage::phase)),
        string("Volume", Text("spec.volumeName", "")),
        string("Capacity", Of(storage::claim_capacity)),
        string("Access Modes", Of(storage::claim_modes)),
        string("StorageClass", Of(storage::class)),
        string("VolumeAttributesClass", Text("spec.volumeAttributesClassName", UNSET)),
        AGE,
        string("VolumeMode", Text("spec.volumeMode", UNSET)).wide(),
    ],
    ["storage.k8s.io"] "StorageClass": [
        named(Of(storage::storage_class_name)),
        string("Provisioner", Text("provisioner", "")),
        string("ReclaimPolicy", Text("reclaimPolicy", "Delete")),
        string("VolumeBindingMode", Text("volumeBindingMode", "Immediate")),
        string("AllowVolumeExpansion", Bool("allowVolumeExpansion", false)),
        AGE,
    ],
    ["storage.k8s.io"] "VolumeAttributesClass": [NAME, string("DriverName", Text("driverName", "")), AGE],
    ["storage.k8s.io"] "VolumeAttachment": [
        NAME,
        name_of("Attacher", Text("spec.attacher", "")),
        string("PV", Text("spec.source.persistentVolumeName", "")),
        string("Node", Text("spec.nodeName", "")),
        boolean("Attached", Bool("status.attached", false)),
        AGE,
    ],
    ["storage.k8s.io"] "CSINode": [NAME, integer("Drivers", Count("spec.drivers")), AGE],
    ["storage.k8s.io"] "CSIDriver": [
        NAME,
        boolean("AttachRequired", Bool("spec.attachRequired", true)),
        boolean("PodInfoOnMount", Bool("spec.podInfoOnMount", false)),
        boolean("StorageCapacity", Bool("spec.storageCapacity", false)),
        string("TokenRequests", Of(storage::token_audiences)),
        boolean("RequiresRepublish", Bool("spec.requiresRepublish", false)),
        string("Modes", Joined("spec.volumeLifecycleModes", NONE)),
        AGE,
    ],
    ["storage.k8s.io"] "CSIStorageCapacity": [
        // Upstream has no columns of its own for it.
        NAME, column("Created At", "date", Text("metadata.creationTimestamp", "")),
    ],
    ["rbac.authorization.k8s.io"] "RoleBinding": [
        NAME, string("Role", Of(policy::role)), AGE,
        string("Users", Of(policy::users)).wide(),
        string("Groups", Of(policy::groups)).wide(),
        string("ServiceAccounts", Of(policy::service_accounts)).wide(),
    ],
    ["rbac.authorization.k8s.io"] "ClusterRoleBinding": [
        NAME, string("Role", Of(policy::role)), AGE,
        string("Users", Of(policy::users)).wide(),
        string("Groups", Of(policy::groups)).wide(),
        string("ServiceAccounts", Of(policy::service_accounts)).wide(),
    ],
    ["certificates.k8s.io"] "CertificateSigningRequest": [
        NAME, AGE,
        string("SignerName", Text("spec.signerName", NONE)),
        string("Requestor", Text("spec.username", "")),
        string("RequestedDuration", Of(policy::requested_duration)),
        string("Condition", Of(policy::request_condition)),
    ],
    ["certificates.k8s.io"] "ClusterTrustBundle": [NAME, string("SignerName", Text("spec.signerName", NONE))],
    ["certificates.k8s.io"] "PodCertificateRequest": [
        NAME,
        string("PodName", Text("spec.podName", "")),
        string("ServiceAccountName", Text("spec.serviceAccountName", "")),
        string("NodeName", Text("spec.nodeName", "")),
        string("SignerName", Text("spec.signerName", "")),
        string("State", Of(policy::pod_request_state)),
        string("UnverifiedUserAnnotations", Labels("spec.unverifiedUserAnnotations")).wide(),
    ],
    ["coordination.k8s.io"] "Lease": [NAME, string("Holder", Text("spec.holderIdentity", "")), AGE],
    ["scheduling.k8s.io"] "PriorityClass": [
        NAME,
        integer("Value", Int("value")),
        boolean("Global-Default", Bool("globalDefault", false)),
        AGE,
        string("PreemptionPolicy", Text("preemptionPolicy", "")),
    ],
    ["node.k8s.io"] "RuntimeClass": [NAME, string("Handler", Text("handler", "")), AGE],
    ["admissionregistration.k8s.io"] "MutatingWebhookConfiguration": [
        NAME, integer("Webhooks", Count("webhooks")), AGE,
    ],
    ["admissionregistration.k8s.io"] "ValidatingWebhookConfiguration": [
        NAME, integer("Webhooks", Count("webhooks")), AGE,
    ],
    ["admissionregistration.k8s.io"] "ValidatingAdmissionPolicy": [
        NAME, integer("Validations", Count("spec.validations")), string("ParamKind", Of(policy::param_kind)), AGE,
    ],
    ["admissionregistration.k8s.io"] "ValidatingAdmissionPolicyBinding": [
        NAME, string("PolicyName", Text("spec.policyName", "")), string("ParamRef", Of(policy::param_ref)), AGE,
    ],
    ["admissionregistration.k8s.io"] "MutatingAdmissionPolicy": [
        NAME, integer("Mutations", Count("spec.mutations")), string("ParamKind", Of(policy::param_kind)), AGE,
    ],
    ["admissionregistration.k8s.io"] "MutatingAdmissionPolicyBinding": [
        NAME, string("PolicyName", Text("spec.policyName", "")), string("ParamRef", Of(policy::param_ref)), AGE,
    ],
    ["flowcontrol.apiserver.k8s.io"] "FlowSchema": [
        NAME,
        string("PriorityLevel", Text("spec.priorityLevelConfiguration.name", "")),
        string("MatchingPrecedence", Int("spec.matchingPrecedence")),
        string("DistinguisherMethod", Text("spec.distinguisherMethod.type", NONE)),
        AGE,
        string("MissingPL", Of(policy::dangling)),
    ],
    ["flowcontrol.apiserver.k8s.io"] "PriorityLevelConfiguration": [
        NAME,
        string("Type", Text("spec.type", "")),
        string("NominalConcurrencyShares", Of(policy::shares)),
        string("Queues", Of(policy::queues)),
        string("HandSize", Of(policy::hand_size)),
        string("QueueLengthLimit", Of(policy::queue_length_limit)),
        AGE,
    ],
    ["resource.k8s.io"] "DeviceClass": [NAME, AGE],
    ["resource.k8s.io"] "ResourceClaim": [NAME, string("State", Of(policy::claim_state)), AGE],
    ["resource.k8s.io"] "ResourceClaimTemplate": [NAME, AGE],
    ["resource.k8s.io"] "ResourceSlice": [
        NAME,
        string("Node", Text("spec.nodeName", "")),
        string("Driver", Text("spec.driver", "")),
        string("Pool", Text("spec.pool.name", "")),
        AGE,
    ],
    ["resource.k8s.io"] "DeviceTaintRule": [
        NAME,
        string("Key", Text("spec.taint.key", "")),
        string("Value", Text("spec.taint.value", "")),
        string("Effect", Text("spec.taint.effect", "")),
        string("TimeAdded", Of(policy::taint_added)),
        AGE,
    ],
    ["storagemigration.k8s.io"] "StorageVersionMigration": [
        NAME, string("Resource", Of(policy::migrated)), string("Status", Of(policy::migration_status)),
    ],
    ["apiregistration.k8s.io"] "APIService": [
        NAME,
        string("Service", Of(policy::api_service)),
        string("Available", Of(policy::api_available)),
        AGE,
    ],
};
