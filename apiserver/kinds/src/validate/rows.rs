//! Which rules a kind has.

use super::{
    CreateRule, UpdateRule, autoscaling, certificates, cluster, config, devices, drivers,
    endpoints, events, jobs, network, pods, policy, ranges, services, storage, workloads,
};
use crate::kind::KindRef;
use crate::strategy::Part;
use mainstay_machinery::field::ErrorList;
use serde_json::Value;

pub(super) struct Row {
    group: &'static str,
    kind: &'static str,
    pub(super) create: CreateRule,
    pub(super) update: Option<UpdateRule>,
    /// Whether updates of the object itself must meet the rules of creation, too.
    pub(super) again: bool,
}

/// Rules of creation hold for updates, too.
const fn always(group: &'static str, kind: &'static str, rule: CreateRule) -> Row {
    Row {
        group,
        kind,
        create: rule,
        update: None,
        again: true,
    }
}

/// Rules of creation alone.
const fn created(group: &'static str, kind: &'static str, rule: CreateRule) -> Row {
    Row {
        group,
        kind,
        create: rule,
        update: None,
        again: false,
    }
}

impl Row {
    /// More rules for updates.
    const fn updated(mut self, rule: UpdateRule) -> Row {
        self.update = Some(rule);
        self
    }
}

pub(super) fn of(kind: KindRef<'_>) -> Option<&'static Row> {
    TABLE
        .iter()
        .find(|row| row.kind == kind.kind && row.group == kind.group)
}

fn pod_template(object: &Value, errors: &mut ErrorList) {
    super::pod_spec::template(&super::place::Place::top(object, "template"), errors);
}

fn deployment_update(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Status {
        workloads::status(new, errors);
    }
    workloads::keeps_selector(new, old, part, errors);
}

/// Upstream looks at what may not change before it looks at the rest.
fn daemon_set_update(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    workloads::keeps_selector(new, old, part, errors);
    if part == Part::Main {
        workloads::daemon_set(new, errors);
    }
}

fn stateful_set_update(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Status {
        workloads::status(new, errors);
    }
    workloads::update_stateful_set(new, old, part, errors);
}

fn controller_update(new: &Value, _: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Status {
        workloads::status(new, errors);
    }
}

fn attributes_class(object: &Value, errors: &mut ErrorList) {
    let driver = super::place::Place::top(object, "driverName");
    storage::provisioner(&driver, errors);
    let parameters = super::place::Place::top(object, "parameters");
    if parameters.is_empty() {
        parameters.required("must contain at least one key/value pair", errors);
    }
}

fn attributes_class_update(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    cluster::keeps(new, old, &["driverName", "parameters"], errors);
}

const RBAC: &str = "rbac.authorization.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const DEVICES: &str = "resource.k8s.io";

static TABLE: &[Row] = &[
    created("", "Pod", pods::create).updated(pods::update),
    always("", "PodTemplate", pod_template),
    always(
        "",
        "ReplicationController",
        workloads::replication_controller,
    )
    .updated(controller_update),
    always("", "Service", services::service).updated(services::update),
    always("", "Endpoints", endpoints::endpoints),
    created("", "ConfigMap", config::config_map).updated(config::update_config_map),
    created("", "Secret", config::secret).updated(config::update_secret),
    created("", "PersistentVolumeClaim", storage::claim).updated(storage::update_claim),
    created("", "PersistentVolume", storage::volume).updated(storage::update_volume),
    created("", "Namespace", cluster::namespace).updated(cluster::update_namespace),
    created("", "Node", cluster::node).updated(cluster::update_node),
    created("", "ResourceQuota", cluster::quota).updated(cluster::update_quota),
    always("", "LimitRange", cluster::limit_range),
    created("", "Event", events::event).updated(events::update_event),
    always("apps", "Deployment", workloads::deployment).updated(deployment_update),
    always("apps", "ReplicaSet", workloads::replica_set).updated(deployment_update),
    always("apps", "StatefulSet", workloads::stateful_set).updated(stateful_set_update),
    created("apps", "DaemonSet", workloads::daemon_set).updated(daemon_set_update),
    always("apps", "ControllerRevision", workloads::controller_revision)
        .updated(workloads::keeps_data),
    always("batch", "Job", jobs::job).updated(jobs::update_job),
    created("batch", "CronJob", jobs::cron_job).updated(jobs::update_cron_job),
    created(
        "autoscaling",
        "HorizontalPodAutoscaler",
        autoscaling::autoscaler,
    )
    .updated(autoscaling::update),
    created("policy", "PodDisruptionBudget", policy::disruption_budget)
        .updated(policy::update_disruption_budget),
    always("discovery.k8s.io", "EndpointSlice", endpoints::slice).updated(endpoints::update_slice),
    created(NETWORKING, "Ingress", network::create_ingress).updated(network::update_ingress),
    always(NETWORKING, "IngressClass", network::ingress_class)
        .updated(network::update_ingress_class),
    always(NETWORKING, "NetworkPolicy", network::network_policy),
    created(STORAGE, "StorageClass", storage::class).updated(storage::update_class),
    created(STORAGE, "VolumeAttributesClass", attributes_class).updated(attributes_class_update),
    created("scheduling.k8s.io", "PriorityClass", policy::priority_class)
        .updated(policy::update_priority_class),
    created("node.k8s.io", "RuntimeClass", policy::runtime_class)
        .updated(policy::update_runtime_class),
    created("coordination.k8s.io", "Lease", policy::lease).updated(policy::update_lease),
    created(
        "certificates.k8s.io",
        "CertificateSigningRequest",
        certificates::request,
    )
    .updated(certificates::update_request),
    always(STORAGE, "CSIDriver", drivers::driver).updated(drivers::update_driver),
    always(STORAGE, "CSINode", drivers::node).updated(drivers::update_node),
    always(STORAGE, "CSIStorageCapacity", drivers::capacity).updated(drivers::update_capacity),
    always(STORAGE, "VolumeAttachment", drivers::attachment).updated(drivers::update_attachment),
    created(NETWORKING, "IPAddress", ranges::address).updated(ranges::update_address),
    created(NETWORKING, "ServiceCIDR", ranges::service_range).updated(ranges::update_service_range),
    always(DEVICES, "DeviceClass", devices::class),
    created(DEVICES, "ResourceClaim", devices::claim).updated(devices::keeps_spec),
    created(DEVICES, "ResourceClaimTemplate", devices::template).updated(devices::keeps_spec),
    always(DEVICES, "ResourceSlice", devices::slice).updated(devices::update_slice),
    created(RBAC, "Role", policy::role).updated(policy::update_role),
    created(RBAC, "ClusterRole", policy::cluster_role).updated(policy::update_cluster_role),
    created(RBAC, "RoleBinding", policy::role_binding).updated(policy::update_role_binding),
    created(RBAC, "ClusterRoleBinding", policy::cluster_role_binding)
        .updated(policy::update_cluster_role_binding),
];
