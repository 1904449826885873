//! The texts under `tables/`, built into the crate.

macro_rules! types {
    ($($file:literal),* $(,)?) => {
        /// Name of the package and text of its table.
        pub(crate) const TYPES: &[(&str, &str)] = &[
            $(($file, include_str!(concat!("../tables/types/", $file, ".txt")))),*
        ];
    };
}

types![
    "admissionregistration.v1",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "apimachinery.pkg.api.resource",
    "apimachinery.pkg.apis.meta.v1",
    "apimachinery.pkg.runtime",
    "apimachinery.pkg.util.intstr",
    "apimachinery.pkg.version",
    "apps.v1",
    "authentication.v1",
    "authorization.v1",
    "autoscaling.v1",
    "autoscaling.v2",
    "batch.v1",
    "certificates.v1",
    "coordination.v1",
    "core.v1",
    "discovery.v1",
    "events.v1",
    "flowcontrol.v1",
    "kube-aggregator.pkg.apis.apiregistration.v1",
    "networking.v1",
    "node.v1",
    "policy.v1",
    "rbac.v1",
    "resource.v1",
    "scheduling.v1",
    "storage.v1",
];
