//! Variables that tell a container where services are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;

/// Variables for a pod of this namespace: `kubernetes` of the default namespace always, the services of its own
/// namespace if it has service links. Services without a cluster address have none.
pub(super) fn service_variables(
    services: &[Arc<Service>],
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let from = service.metadata.namespace.as_deref().unwrap_or_default();
        if address(service).is_none() {
            continue;
        }
        if from == "default" && name == "kubernetes" {
            chosen.entry(name).or_insert(service);
        } else if links && from == namespace {
            chosen.insert(name, service);
        }
    }
    let mut variables = BTreeMap::new();
    for (name, service) in chosen {
        add(&mut variables, name, service);
    }
    variables
}

fn address(service: &Service) -> Option<&str> {
    let address = service.spec.as_ref()?.cluster_ip.as_deref()?;
    (!address.is_empty() && address != "None").then_some(address)
}

fn add(variables: &mut BTreeMap<String, String>, service_name: &str, service: &Service) {
    let prefix = variable(service_name);
    let address = address(service).unwrap_or_default();
    let host = match address.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => address.to_owned(),
    };
    let mut set = |name: String, value: String| variables.insert(name, value);
    set(format!("{prefix}_SERVICE_HOST"), address.to_owned());
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    for (at, port) in ports.into_iter().flatten().enumerate() {
        let number = port.port.to_string();
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let (lower, upper) = (protocol.to_lowercase(), protocol.to_uppercase());
        let url = format!("{lower}://{host}:{number}");
        if at == 0 {
            set(format!("{prefix}_SERVICE_PORT"), number.clone());
            set(format!("{prefix}_PORT"), url.clone());
        }
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let name = variable(name);
            set(format!("{prefix}_SERVICE_PORT_{name}"), number.clone());
        }
        let one = format!("{prefix}_PORT_{number}_{upper}");
        set(one.clone(), url);
        set(format!("{one}_PROTO"), lower);
        set(format!("{one}_PORT"), number);
        set(format!("{one}_ADDR"), address.to_owned());
    }
}

fn variable(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(yaml: &str) -> Arc<Service> {
        Arc::new(serde_yaml_ng::from_str(yaml).expect("a service"))
    }

    #[test]
    fn a_service_becomes_variables() {
        let services = [
            service(
                "{metadata: {name: my-db, namespace: ns}, spec: {clusterIP: 10.0.0.7, ports: [{name: sql-x, port: 5432}, {name: u, port: 53, protocol: UDP}]}}",
            ),
            service(
                "{metadata: {name: other, namespace: elsewhere}, spec: {clusterIP: 10.0.0.8, ports: [{port: 1}]}}",
            ),
            service(
                "{metadata: {name: headless, namespace: ns}, spec: {clusterIP: None, ports: [{port: 1}]}}",
            ),
            service("{metadata: {name: name, namespace: ns}, spec: {type: ExternalName}}"),
            service(
                "{metadata: {name: kubernetes, namespace: default}, spec: {clusterIP: 'fd00::1', ports: [{name: https, port: 443}]}}",
            ),
        ];
        let all = service_variables(&services, "ns", true);
        let text: Vec<_> = all.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            text,
            [
                "KUBERNETES_PORT=tcp://[fd00::1]:443",
                "KUBERNETES_PORT_443_TCP=tcp://[fd00::1]:443",
                "KUBERNETES_PORT_443_TCP_ADDR=fd00::1",
                "KUBERNETES_PORT_443_TCP_PORT=443",
                "KUBERNETES_PORT_443_TCP_PROTO=tcp",
                "KUBERNETES_SERVICE_HOST=fd00::1",
                "KUBERNETES_SERVICE_PORT=443",
                "KUBERNETES_SERVICE_PORT_HTTPS=443",
                "MY_DB_PORT=tcp://10.0.0.7:5432",
                "MY_DB_PORT_53_UDP=udp://10.0.0.7:53",
                "MY_DB_PORT_53_UDP_ADDR=10.0.0.7",
                "MY_DB_PORT_53_UDP_PORT=53",
                "MY_DB_PORT_53_UDP_PROTO=udp",
                "MY_DB_PORT_5432_TCP=tcp://10.0.0.7:5432",
                "MY_DB_PORT_5432_TCP_ADDR=10.0.0.7",
                "MY_DB_PORT_5432_TCP_PORT=5432",
                "MY_DB_PORT_5432_TCP_PROTO=tcp",
                "MY_DB_SERVICE_HOST=10.0.0.7",
                "MY_DB_SERVICE_PORT=5432",
                "MY_DB_SERVICE_PORT_SQL_X=5432",
                "MY_DB_SERVICE_PORT_U=53",
            ]
        );
        let without = service_variables(&services, "ns", false);
        assert!(without.keys().all(|name| name.starts_with("KUBERNETES_")));
        assert_eq!(without.len(), 8);
    }
}
