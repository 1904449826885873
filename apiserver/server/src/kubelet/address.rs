//! Where a node's kubelet listens.

use serde_json::Value;

/// A kubelet's host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The first address of the first type that a node has any of, in the order of preference, and the port that its kubelet
/// has told, or else the usual one. `Err` is upstream's text.
pub(crate) fn endpoint(
    node: &Value,
    preferred: &[String],
    usual_port: u16,
) -> Result<Endpoint, String> {
    let status = &node["status"];
    let addresses: Vec<(&str, &str)> = status["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            let text = |field: &str| one[field].as_str().unwrap_or_default();
            (text("type"), text("address"))
        })
        .collect();
    let of_type = |wanted: &String| addresses.iter().find(|(kind, _)| kind == wanted);
    let Some((_, host)) = preferred.iter().find_map(of_type) else {
        let known: Vec<String> = addresses
            .iter()
            .map(|(kind, address)| format!("{{{kind} {address}}}"))
            .collect();
        return Err(format!(
            "no preferred addresses found; known addresses: [{}]",
            known.join(" ")
        ));
    };
    let told = status["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64();
    let told = told.and_then(|port| u16::try_from(port).ok());
    Ok(Endpoint {
        host: (*host).to_owned(),
        port: told.filter(|port| *port > 0).unwrap_or(usual_port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn preferred(types: &[&str]) -> Vec<String> {
        types.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn the_order_of_preference_counts_not_that_of_the_node() {
        let node = json!({"status": {
            "addresses": [
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "InternalIP", "address": "fd00::1"},
                {"type": "Hostname", "address": "n"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10255}},
        }});
        let told = |types: &[&str]| endpoint(&node, &preferred(types), 10_250);
        let at = |host: &str| {
            let (host, port) = (host.to_owned(), 10_255);
            Ok(Endpoint { host, port })
        };
        assert_eq!(told(&["Hostname", "InternalIP"]), at("n"));
        assert_eq!(told(&["ExternalIP", "InternalIP"]), at("10.0.0.1"));
        assert_eq!(
            told(&["ExternalDNS"]),
            Err(
                "no preferred addresses found; known addresses: [{InternalIP 10.0.0.1} {InternalIP fd00::1} {Hostname n}]"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_kubelet_that_tells_no_port_has_the_usual_one() {
        let mut node = json!({"status": {"addresses": [{"type": "Hostname", "address": "n"}]}});
        let types = preferred(&["Hostname"]);
        assert_eq!(endpoint(&node, &types, 10_250).unwrap().port, 10_250);
        node["status"]["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": 0}});
        assert_eq!(endpoint(&node, &types, 10_250).unwrap().port, 10_250);
        let none = endpoint(&json!({}), &types, 10_250).unwrap_err();
        assert!(none.ends_with("known addresses: []"), "{none}");
    }
}
