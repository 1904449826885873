//! What a service needs before it can be written.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupKind, StatusError};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::addresses::{self, Refused};
use super::claim::{Claim, Taken, release};
use super::families;
use super::ports;
use crate::admission::{Attempt, Claims, Lookup, Operation};
use crate::registry::Registry;

/// Hands out addresses and ports.
#[derive(Clone, Debug)]
pub(crate) struct Allocators {
    pub(crate) lookup: Lookup,
    pub(crate) addresses: Ipv4Net,
    pub(crate) ports: (u16, u16),
    /// Ports that belonged to no service when leftovers were last looked for.
    pub(crate) suspects: Arc<Mutex<HashSet<u16>>>,
}

impl Allocators {
    /// Gives a service what it has not got yet.
    pub(crate) async fn admit(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Value,
    ) -> Result<Claims, StatusError> {
        if !attempt.is("", "services") || attempt.operation == Operation::Delete {
            return Ok(Claims::default());
        }
        let registry = self.lookup.registry()?;
        let service = Service {
            allocators: self,
            registry,
            namespace: attempt.namespace,
            name: meta::name(object).to_owned(),
            dry_run: attempt.dry_run,
            old: attempt.old,
        };
        let mut claims = Vec::new();
        service.address(object, &mut claims).await?;
        service.ports(object, &mut claims).await?;
        Ok(Claims::new(claims))
    }

    /// The server's own range, then those that ServiceCIDR objects add.
    fn ranges(&self, registry: &Registry) -> Result<Vec<Ipv4Net>, StatusError> {
        let mut ranges = vec![self.addresses];
        for object in addresses::known_ranges(registry)? {
            for range in addresses::usable_ranges(&object) {
                if !ranges.iter().any(|own| own.contains(&range)) {
                    ranges.push(range);
                }
            }
        }
        Ok(ranges)
    }

    /// Frees what a service had that is gone, or has no longer.
    pub(crate) fn free(&self, before: &Value, after: Option<&Value>) {
        let Ok(registry) = self.lookup.registry() else {
            return;
        };
        let kept: Vec<Taken> = after.map(taken).unwrap_or_default();
        let freed: Vec<Taken> = taken(before)
            .into_iter()
            .filter(|one| !kept.contains(one))
            .collect();
        if freed.is_empty() {
            return;
        }
        tokio::spawn(async move {
            for one in freed {
                release(&registry, &one).await;
            }
        });
    }

    /// Frees what belongs to services that do not exist: what a server that died left behind.
    pub(crate) async fn free_leftovers(&self) -> Result<(), StatusError> {
        let registry = self.lookup.registry()?;
        let services = mainstay_schema::resource("", "v1", "services")
            .ok_or_else(|| StatusError::internal("the table has no services"))?;
        // Claims first: a service that is written meanwhile is in the list that follows.
        let claimed = addresses::known(&registry)?;
        let ports = ports::used(&registry).await?;
        let all = registry
            .all(services, &mainstay_apistore::Scope::All)
            .await?;
        let used: HashSet<String> = all
            .iter()
            .flat_map(taken)
            .map(|one| format!("{one:?}"))
            .collect();
        let is_used = |one: &Taken| used.contains(&format!("{one:?}"));
        let old_enough = |object: &Value| {
            let created = meta::creation_timestamp(object).unwrap_or_default();
            let limit = crate::registry::after(-LEFTOVER_SECONDS);
            *created < *meta::format_time(limit)
        };
        for object in claimed.iter().filter(|object| old_enough(object)) {
            let one = Taken::Address(meta::name(object).to_owned());
            if !is_used(&one) && object["spec"]["parentRef"]["resource"] == "services" {
                release(&registry, &one).await;
            }
        }
        let unused: HashSet<u16> = ports
            .into_iter()
            .map(|(port, _)| port)
            .filter(|port| !is_used(&Taken::Port(*port)))
            .collect();
        // Keys have no time: what is unused twice in a row is left over.
        let before = std::mem::replace(&mut *self.suspects.lock(), unused.clone());
        for port in unused.intersection(&before) {
            release(&registry, &Taken::Port(*port)).await;
        }
        Ok(())
    }
}

/// Longer than any write takes, in seconds.
const LEFTOVER_SECONDS: i64 = 300;

/// What a service has taken.
fn taken(service: &Value) -> Vec<Taken> {
    let spec = &service["spec"];
    let addresses = spec["clusterIPs"].as_array().into_iter().flatten();
    let mut all: Vec<Taken> = addresses
        .filter_map(Value::as_str)
        .filter(|address| !address.is_empty() && *address != "None")
        .map(|address| Taken::Address(address.to_owned()))
        .collect();
    let ports = spec["ports"].as_array().into_iter().flatten();
    let ports = ports
        .filter_map(|port| port["nodePort"].as_u64())
        .chain(spec["healthCheckNodePort"].as_u64())
        .filter_map(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0);
    all.extend(ports.map(Taken::Port));
    all.dedup();
    all
}

struct Service<'a> {
    allocators: &'a Allocators,
    registry: Arc<Registry>,
    namespace: &'a str,
    name: String,
    dry_run: bool,
    old: Option<&'a Value>,
}

impl Service<'_> {
    fn invalid(&self, error: Error) -> StatusError {
        let mut errors = ErrorList::default();
        errors.push(error);
        StatusError::invalid(GroupKind::new("", "Service"), &self.name, &errors)
    }

    fn had(&self, one: &Taken) -> bool {
        self.old.is_some_and(|old| taken(old).contains(one))
    }

    async fn address(
        &self,
        object: &mut Value,
        claims: &mut Vec<Claim>,
    ) -> Result<(), StatusError> {
        families::complete(object, self.old).map_err(|errors| {
            StatusError::invalid(GroupKind::new("", "Service"), &self.name, &errors)
        })?;
        let spec = &mut object["spec"];
        let wanted = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
        if spec["type"] == "ExternalName" || wanted == "None" {
            return Ok(());
        }
        let had_one = |old: &&Value| old["spec"]["type"] != "ExternalName";
        if self.old.filter(had_one).is_some() && !wanted.is_empty() {
            // It keeps what it has: validation refuses another.
            return Ok(());
        }
        let address = match wanted.as_str() {
            "" => self.any_address().await?,
            text => self.this_address(text).await?,
        };
        let text = address.to_string();
        if !self.dry_run && !self.had(&Taken::Address(text.clone())) {
            let claim = Claim::new(Arc::clone(&self.registry), Taken::Address(text.clone()));
            claims.push(claim);
        }
        spec["clusterIP"] = json!(text);
        spec["clusterIPs"] = json!([text]);
        Ok(())
    }

    async fn any_address(&self) -> Result<Ipv4Addr, StatusError> {
        if self.dry_run {
            // Shown, not taken.
            let range = self.allocators.addresses;
            return Ok(range.hosts().last().unwrap_or(range.addr()));
        }
        for range in self.allocators.ranges(&self.registry)? {
            let (namespace, name) = (self.namespace, &self.name);
            match addresses::claim_any(&self.registry, range, namespace, name).await {
                Ok(address) => return Ok(address),
                Err(Refused::Failed(e)) => return Err(e),
                Err(_) => {}
            }
        }
        Err(StatusError::internal(
            "failed to allocate a serviceIP: range is full",
        ))
    }

    async fn this_address(&self, text: &str) -> Result<Ipv4Addr, StatusError> {
        let path = Path::new("spec").child("clusterIPs");
        let refused = |why: &str| {
            let detail = format!("failed to allocate IP {text}: {why}");
            self.invalid(Error::invalid(&path, json!([text]), detail))
        };
        let address: Ipv4Addr = text
            .parse()
            .map_err(|_| refused("not a valid IPv4 address"))?;
        if self.had(&Taken::Address(text.to_owned())) {
            return Ok(address);
        }
        let ranges = self.allocators.ranges(&self.registry)?;
        let fits = |range: &&Ipv4Net| range.contains(&address);
        let range = *ranges.iter().find(fits).unwrap_or(&ranges[0]);
        let claimed = match self.dry_run {
            true => addresses::is_free(&self.registry, range, address).await,
            false => {
                let (namespace, name) = (self.namespace, &self.name);
                addresses::claim(&self.registry, range, address, namespace, name).await
            }
        };
        match claimed {
            Ok(()) => Ok(address),
            Err(Refused::Failed(e)) => Err(e),
            Err(Refused::OutOfRange) => Err(refused(
                "the provided network does not match the current range",
            )),
            Err(_) => Err(refused("provided IP is already allocated")),
        }
    }

    async fn ports(&self, object: &mut Value, claims: &mut Vec<Claim>) -> Result<(), StatusError> {
        let spec = &mut object["spec"];
        let kind = spec["type"].as_str().unwrap_or_default();
        let wants = match kind {
            "NodePort" => true,
            "LoadBalancer" => spec["allocateLoadBalancerNodePorts"] != false,
            _ => false,
        };
        if matches!(kind, "NodePort" | "LoadBalancer") {
            let ports = spec["ports"].as_array_mut();
            self.node_ports(ports.into_iter().flatten(), wants, claims)
                .await?;
        }
        self.health_port(spec, claims).await
    }

    /// A new service's ports of the same number (of two protocols) share one port on the nodes.
    async fn node_ports(
        &self,
        list: impl Iterator<Item = &mut Value>,
        wants: bool,
        claims: &mut Vec<Claim>,
    ) -> Result<(), StatusError> {
        let mut list: Vec<&mut Value> = list.collect();
        let numbers = |port: &Value| {
            let number = |field: &str| port[field].as_u64().unwrap_or(0);
            (number("port"), number("nodePort"))
        };
        let asked: Vec<(u64, u64)> = list.iter().map(|port| numbers(port)).collect();
        let creates = self.old.is_none();
        let mut given: Vec<(u64, u64)> = Vec::new();
        for (at, port) in list.iter_mut().enumerate() {
            let (number, own) = numbers(port);
            if own == 0 && !wants {
                continue;
            }
            let same_number = |other: &&(u64, u64)| other.0 == number;
            let shared = given.iter().find(|other| match creates {
                true => other.0 == number && (own == 0 || own == other.1),
                false => own != 0 && own == other.1,
            });
            let node = match shared {
                Some((_, node)) => *node,
                None => {
                    // Somebody further down may have asked for the port of this number.
                    let later = asked.iter().filter(same_number).find(|other| other.1 != 0);
                    let wanted = match (own, later) {
                        (0, Some((_, later))) if creates => *later,
                        _ => own,
                    };
                    let path = Path::new("spec").child("ports").index(at).child("nodePort");
                    u64::from(self.port(wanted, &path, claims).await?)
                }
            };
            given.push((number, node));
            port["nodePort"] = json!(node);
        }
        Ok(())
    }

    /// The port where load balancers ask whether a node has pods of the service.
    async fn health_port(
        &self,
        spec: &mut Value,
        claims: &mut Vec<Claim>,
    ) -> Result<(), StatusError> {
        let needs = |spec: &Value| {
            spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
        };
        if !needs(spec) {
            return Ok(());
        }
        let path = Path::new("spec").child("healthCheckNodePort");
        let asked = spec["healthCheckNodePort"].as_u64().unwrap_or(0);
        let old = self.old.map(|old| &old["spec"]).filter(|old| needs(old));
        if let Some(old) = old {
            let before = old["healthCheckNodePort"].as_u64().unwrap_or(0);
            return match before == asked {
                true => Ok(()),
                false => Err(self.invalid(Error::forbidden(&path, "field is immutable"))),
            };
        }
        let port = self.port(asked, &path, claims).await.map_err(|e| {
            let why = match asked {
                0 => "failed to allocate a HealthCheck NodePort",
                _ => "failed to allocate requested HealthCheck NodePort",
            };
            match (e.code, e.message.rsplit(": ").next()) {
                (422, Some(detail)) => {
                    StatusError::internal(format_args!("{why} {asked}: {detail}"))
                }
                _ => e,
            }
        })?;
        spec["healthCheckNodePort"] = json!(port);
        Ok(())
    }

    async fn port(
        &self,
        asked: u64,
        path: &Path,
        claims: &mut Vec<Claim>,
    ) -> Result<u16, StatusError> {
        let range = self.allocators.ports;
        let Ok(asked) = u16::try_from(asked) else {
            return Err(self.out_of_range(path, asked));
        };
        let asked = Some(asked).filter(|port| *port > 0);
        let owner = format!("{}/{}", self.namespace, self.name);
        if asked.is_some_and(|port| self.had(&Taken::Port(port))) {
            return Ok(asked.unwrap_or_default());
        }
        let claimed = match asked {
            // Shown, not taken.
            None if self.dry_run => return Ok(range.1),
            Some(port) if self.dry_run => ports::is_free(&self.registry, range, port)
                .await
                .map(|()| port),
            Some(port) => ports::claim(&self.registry, range, port, &owner)
                .await
                .map(|()| port),
            None => ports::claim_any(&self.registry, range, &owner).await,
        };
        match claimed {
            Ok(port) => {
                if !self.dry_run {
                    let claim = Claim::new(Arc::clone(&self.registry), Taken::Port(port));
                    claims.push(claim);
                }
                Ok(port)
            }
            Err(Refused::Failed(e)) => Err(e),
            Err(Refused::OutOfRange) => Err(self.out_of_range(path, u64::from(asked.unwrap_or(0)))),
            Err(Refused::Taken) => Err(self.invalid(Error::invalid(
                path,
                asked.unwrap_or(0),
                "provided port is already allocated",
            ))),
            Err(Refused::Full) => Err(StatusError::internal(
                "failed to allocate a nodePort: range is full",
            )),
        }
    }

    fn out_of_range(&self, path: &Path, port: u64) -> StatusError {
        let (first, last) = self.allocators.ports;
        let detail = format!(
            "provided port is not in the valid range. The range of valid ports is {first}-{last}"
        );
        self.invalid(Error::invalid(path, port, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_has_is_told() {
        let service = json!({"spec": {
            "clusterIPs": ["10.0.0.1"],
            "ports": [{"port": 80, "nodePort": 30080}, {"port": 81}],
            "healthCheckNodePort": 30081,
        }});
        assert_eq!(
            taken(&service),
            [
                Taken::Address("10.0.0.1".to_owned()),
                Taken::Port(30080),
                Taken::Port(30081)
            ]
        );
        assert!(taken(&json!({"spec": {"clusterIPs": ["None"]}})).is_empty());
    }
}
