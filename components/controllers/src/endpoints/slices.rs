//! From the slices there are to those there should be, with as few writes as possible.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use mainstay_client::controller_ref;

use super::desired::Family;
use super::ports::Port;
use crate::limits::ENDPOINTS_PER_SLICE;

/// Who made a slice: this controller touches no others.
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const OURSELVES: &str = "endpointslice-controller.k8s.io";
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) create: Vec<EndpointSlice>,
    pub(super) update: Vec<EndpointSlice>,
    pub(super) delete: Vec<EndpointSlice>,
}

/// Endpoints that should be there, by address family and ports.
pub(super) type Wanted = BTreeMap<(Family, Vec<Port>), Vec<Endpoint>>;

/// Upstream's three steps for every set of ports: slices keep what is still true; changed ones are filled up with what
/// is new; the rest goes where it fits best without another write, or into new slices.
pub(super) fn plan(service: &Service, existing: &[EndpointSlice], wanted: Wanted) -> Plan {
    let mut plan = Plan::default();
    let mut groups: HashMap<(String, Vec<Port>), Vec<&EndpointSlice>> = HashMap::new();
    for slice in existing {
        let key = (slice.address_type.clone(), ports_of(slice));
        groups.entry(key).or_default().push(slice);
    }
    let labels = labels(service);
    for ((family, ports), endpoints) in wanted {
        let key = (family.name().to_owned(), ports.clone());
        let slices = groups.remove(&key).unwrap_or_default();
        let fresh = || new_slice(service, family, &ports, &labels);
        group(slices, endpoints, &labels, &fresh, &mut plan);
    }
    let void = groups.into_values().flatten();
    plan.delete.extend(void.cloned());
    plan.delete
        .sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    recycle(&mut plan);
    plan
}

/// One write instead of two: what is to be created takes the place of what is to be deleted.
fn recycle(plan: &mut Plan) {
    let mut create = Vec::new();
    for new in std::mem::take(&mut plan.create) {
        let same = |old: &EndpointSlice| old.address_type == new.address_type;
        match plan.delete.iter().position(same) {
            Some(place) => {
                let metadata = plan.delete.remove(place).metadata;
                let labels = new.metadata.labels.clone();
                let mut slice = EndpointSlice { metadata, ..new };
                slice.metadata.labels = labels;
                plan.update.push(slice);
            }
            None => create.push(new),
        }
    }
    plan.create = create;
}

fn group(
    slices: Vec<&EndpointSlice>,
    endpoints: Vec<Endpoint>,
    labels: &BTreeMap<String, String>,
    fresh: &dyn Fn() -> EndpointSlice,
    plan: &mut Plan,
) {
    let nobody = endpoints.is_empty();
    let mut missing: HashMap<String, Endpoint> = HashMap::new();
    for endpoint in endpoints {
        missing.insert(identity(&endpoint), endpoint);
    }
    let mut changed = Vec::new();
    let mut same = Vec::new();
    for slice in slices {
        let kept = kept(slice, &mut missing);
        let differs = kept.as_slice() != slice.endpoints.as_deref().unwrap_or_default()
            || slice.metadata.labels.as_ref() != Some(labels);
        let next = EndpointSlice {
            endpoints: Some(kept),
            ..with_labels(slice, labels)
        };
        if differs { &mut changed } else { &mut same }.push(next);
    }
    let mut rest: Vec<_> = missing.into_iter().collect();
    rest.sort_by(|a, b| a.0.cmp(&b.0));
    let mut rest: Vec<_> = rest.into_iter().map(|(_, endpoint)| endpoint).collect();
    // The fullest first: fewer slices in the end.
    changed.sort_by_key(|slice| std::cmp::Reverse(len(slice)));
    for slice in &mut changed {
        fill(slice, &mut rest);
    }
    while !rest.is_empty() {
        let mut slice = take_room(&mut same, rest.len()).unwrap_or_else(fresh);
        fill(&mut slice, &mut rest);
        match slice.metadata.name {
            Some(_) => changed.push(slice),
            None => plan.create.push(slice),
        }
    }
    // A service without any endpoint has one slice that says so.
    let keeps_one = same.iter().any(|slice| nobody || len(slice) > 0) || !plan.create.is_empty();
    let mut placeholder = nobody && !keeps_one;
    for slice in changed {
        if len(&slice) > 0 || std::mem::take(&mut placeholder) {
            plan.update.push(slice);
        } else {
            plan.delete.push(slice);
        }
    }
    if placeholder {
        plan.create.push(fresh());
    }
}

/// The fullest of slices that would stay as they are and have room for all of the rest: a write of one that is there
/// instead of another slice.
fn take_room(same: &mut Vec<EndpointSlice>, rest: usize) -> Option<EndpointSlice> {
    let fits = |slice: &EndpointSlice| len(slice) + rest <= ENDPOINTS_PER_SLICE;
    let places = (0..same.len()).filter(|place| fits(&same[*place]));
    let place = places.max_by_key(|place| len(&same[*place]))?;
    Some(same.swap_remove(place))
}

/// The endpoints of a slice that should still be there, as they should be; they are missing no longer.
fn kept(slice: &EndpointSlice, missing: &mut HashMap<String, Endpoint>) -> Vec<Endpoint> {
    let old = slice.endpoints.iter().flatten();
    old.filter_map(|endpoint| missing.remove(&identity(endpoint)))
        .collect()
}

fn fill(slice: &mut EndpointSlice, rest: &mut Vec<Endpoint>) {
    let endpoints = slice.endpoints.get_or_insert_default();
    let room = ENDPOINTS_PER_SLICE.saturating_sub(endpoints.len());
    endpoints.extend(rest.drain(..room.min(rest.len())));
}

fn len(slice: &EndpointSlice) -> usize {
    slice.endpoints.as_ref().map_or(0, Vec::len)
}

/// The same pod at the same address.
fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|r| r.uid.as_deref());
    let node = endpoint.node_name.as_deref().unwrap_or_default();
    let hostname = endpoint.hostname.as_deref().unwrap_or_default();
    let addresses = endpoint.addresses.join(",");
    format!("{addresses}|{}|{node}|{hostname}", uid.unwrap_or_default())
}

fn ports_of(slice: &EndpointSlice) -> Vec<Port> {
    let ports = slice.ports.iter().flatten();
    let mut ports: Vec<_> = ports
        .map(|port| Port {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            port: port.port.unwrap_or(0),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    ports.sort();
    ports
}

fn new_slice(
    service: &Service,
    family: Family,
    ports: &[Port],
    labels: &BTreeMap<String, String>,
) -> EndpointSlice {
    let ports = ports.iter().map(|port| EndpointPort {
        name: Some(port.name.clone()),
        protocol: Some(port.protocol.clone()),
        port: Some(port.port),
        app_protocol: port.app_protocol.clone(),
    });
    let mut slice = EndpointSlice {
        address_type: family.name().to_owned(),
        endpoints: Some(vec![]),
        ports: Some(ports.collect()),
        ..EndpointSlice::default()
    };
    let name = service.metadata.name.as_deref().unwrap_or_default();
    slice.metadata.generate_name = Some(format!("{name}-"));
    slice.metadata.namespace = service.metadata.namespace.clone();
    slice.metadata.owner_references = Some(vec![controller_ref(service)]);
    slice.metadata.labels = Some(labels.clone());
    slice
}

fn with_labels(slice: &EndpointSlice, labels: &BTreeMap<String, String>) -> EndpointSlice {
    let mut slice = slice.clone();
    slice.metadata.labels = Some(labels.clone());
    slice
}

/// The service's own, but for names that mean something here.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let own = service.metadata.labels.iter().flatten();
    let reserved: HashSet<_> = [SERVICE_NAME, MANAGED_BY, HEADLESS].into();
    let own = own.filter(|(name, _)| !reserved.contains(name.as_str()));
    let mut labels: BTreeMap<_, _> = own.map(|(n, v)| (n.clone(), v.clone())).collect();
    let name = service.metadata.name.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), name);
    labels.insert(MANAGED_BY.to_owned(), OURSELVES.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}

pub(super) fn is_headless(service: &Service) -> bool {
    let address = service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref());
    // None was given, or none yet, which an unfinished object may have.
    matches!(address, Some("None" | "") | None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ObjectReference;
    use serde_json::json;

    fn service() -> Service {
        let service = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "s", "labels": {"a": "b"}},
            "spec": {"clusterIP": "10.96.0.9"},
        });
        serde_json::from_value(service).expect("a service")
    }

    fn endpoint(number: usize) -> Endpoint {
        Endpoint {
            addresses: vec![format!("10.0.{}.{}", number / 250, number % 250)],
            target_ref: Some(ObjectReference {
                uid: Some(format!("u{number}")),
                ..ObjectReference::default()
            }),
            ..Endpoint::default()
        }
    }

    fn wanted(numbers: impl IntoIterator<Item = usize>) -> Wanted {
        let port = Port {
            name: "http".to_owned(),
            protocol: "TCP".to_owned(),
            port: 80,
            app_protocol: None,
        };
        let endpoints = numbers.into_iter().map(endpoint).collect();
        BTreeMap::from([((Family::IPv4, vec![port]), endpoints)])
    }

    /// The slices after a plan was carried out.
    fn carried_out(
        existing: &[EndpointSlice],
        plan: Plan,
        names: &mut usize,
    ) -> Vec<EndpointSlice> {
        let gone: HashSet<_> = plan
            .delete
            .iter()
            .map(|s| s.metadata.name.clone())
            .collect();
        let mut all: Vec<_> = existing.to_vec();
        all.retain(|slice| !gone.contains(&slice.metadata.name));
        for slice in plan.update {
            let place = all
                .iter_mut()
                .find(|s| s.metadata.name == slice.metadata.name);
            *place.expect("only what is there is updated") = slice;
        }
        for mut slice in plan.create {
            *names += 1;
            slice.metadata.name = Some(format!("web-{names}"));
            all.push(slice);
        }
        all
    }

    fn sizes(slices: &[EndpointSlice]) -> Vec<usize> {
        let mut sizes: Vec<_> = slices.iter().map(len).collect();
        sizes.sort_unstable();
        sizes
    }

    #[test]
    fn slices_follow_with_few_writes_and_settle() {
        let service = service();
        let names = &mut 0;
        let mut slices = Vec::new();
        // Endpoints, then writes (created, updated, deleted), then sizes.
        type Step = (Vec<usize>, (usize, usize, usize), Vec<usize>);
        let all = |range: std::ops::Range<usize>| range.collect::<Vec<_>>();
        let steps: Vec<Step> = vec![
            (vec![], (1, 0, 0), vec![0]),
            (all(0..3), (0, 1, 0), vec![3]),
            (all(0..250), (2, 1, 0), vec![50, 100, 100]),
            (all(0..260), (0, 1, 0), vec![60, 100, 100]),
            (all(3..260), (0, 1, 0), vec![57, 100, 100]),
            (all(3..263), (0, 1, 0), vec![60, 100, 100]),
            (vec![], (0, 1, 2), vec![0]),
        ];
        for (numbers, writes, expected) in steps {
            let plan = plan(&service, &slices, wanted(numbers.clone()));
            let made = (plan.create.len(), plan.update.len(), plan.delete.len());
            assert_eq!(made, writes, "for {} endpoints", numbers.len());
            slices = carried_out(&slices, plan, names);
            assert_eq!(sizes(&slices), expected);
            let again = super::plan(&service, &slices, wanted(numbers));
            assert_eq!(again, Plan::default(), "what is settled stays");
        }
    }

    #[test]
    fn what_a_slice_says_of_itself() {
        let plan = plan(&service(), &[], wanted([1]));
        let slice = &plan.create[0];
        let labels = slice.metadata.labels.as_ref().expect("labels");
        let labels: Vec<_> = labels
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let expected = [("a", "b"), (MANAGED_BY, OURSELVES), (SERVICE_NAME, "web")];
        assert_eq!(labels, expected);
        assert_eq!(slice.metadata.generate_name.as_deref(), Some("web-"));
        assert_eq!(slice.address_type, "IPv4");
    }

    #[test]
    fn a_slice_is_used_again_for_other_ports() {
        let service = service();
        let first = plan(&service, &[], wanted([1]));
        let slices = carried_out(&[], first, &mut 0);
        let mut other = wanted([1]);
        let ((family, mut ports), endpoints) = other.pop_first().expect("one");
        ports[0].port = 8080;
        other.insert((family, ports), endpoints);
        let plan = plan(&service, &slices, other);
        let made = (plan.create.len(), plan.update.len(), plan.delete.len());
        assert_eq!(made, (0, 1, 0));
        assert_eq!(ports_of(&plan.update[0])[0].port, 8080);
    }
}
