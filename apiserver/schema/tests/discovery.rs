//! Discovery equals that of Kubernetes 1.36, less the beta and alpha versions.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "in a test a panic is the report"
)]

mod golden;

use mainstay_schema::discovery::{self, AggregatedVersion, Root};
use mainstay_schema::{groups, resources};
use serde_json::Value;

fn is_stable(version: &Value) -> bool {
    let version = version["version"].as_str().unwrap_or_default();
    !version.contains("alpha") && !version.contains("beta")
}

/// Drops what this server does not serve: unstable versions, and groups that have no others.
fn keep_stable(groups: &mut Value) {
    let groups = groups.as_array_mut().unwrap();
    for group in groups.iter_mut() {
        group["versions"].as_array_mut().unwrap().retain(is_stable);
    }
    groups.retain(|group| group["versions"][0].is_object());
}

#[test]
fn roots_are_as_upstream() {
    let Some(folder) = golden::folder("discovery") else {
        return;
    };
    let expected = golden::json(&folder.join("api.json"));
    assert_eq!(discovery::api_versions("10.10.10.10:8050"), expected);
    let mut expected = golden::json(&folder.join("apis.json"));
    keep_stable(&mut expected["groups"]);
    assert_eq!(discovery::api_group_list(), expected);
}

#[test]
fn every_group_is_as_upstream() {
    let Some(folder) = golden::folder("discovery") else {
        return;
    };
    for (group, _) in groups() {
        let mut expected = golden::json(&folder.join(format!("apis__{group}.json")));
        expected["versions"]
            .as_array_mut()
            .unwrap()
            .retain(is_stable);
        assert_eq!(discovery::api_group(group), Some(expected));
    }
    assert_eq!(discovery::api_group("none"), None);
    assert_eq!(discovery::api_group(""), None);
}

#[test]
fn every_version_lists_its_resources_as_upstream() {
    let Some(folder) = golden::folder("discovery") else {
        return;
    };
    let mut versions: Vec<_> = resources().iter().map(|r| (r.group, r.version)).collect();
    versions.dedup();
    assert_eq!(versions.len(), 22);
    for (group, version) in versions {
        let file = match group {
            "" => format!("api__{version}.json"),
            _ => format!("apis__{group}__{version}.json"),
        };
        let expected = golden::json(&folder.join(file));
        let ours = discovery::api_resource_list(group, version).unwrap();
        assert_eq!(ours["groupVersion"], expected["groupVersion"]);
        assert_eq!(ours["apiVersion"], expected["apiVersion"]);
        let (ours, expected) = (
            ours["resources"].as_array(),
            expected["resources"].as_array(),
        );
        for (ours, expected) in ours.unwrap().iter().zip(expected.unwrap()) {
            assert_eq!(ours, expected, "{group}/{version}");
        }
        assert_eq!(ours.unwrap().len(), expected.unwrap().len());
    }
    assert_eq!(discovery::api_resource_list("apps", "v1beta1"), None);
}

#[test]
fn aggregated_groups_are_as_upstream() {
    let Some(folder) = golden::folder("discovery") else {
        return;
    };
    let mut expected = golden::json(&folder.join("aggregated_v2.json"));
    keep_stable(&mut expected["items"]);
    let ours = discovery::aggregated(Root::Groups, AggregatedVersion::V2);
    let ours: Value = serde_json::from_slice(&ours.body).unwrap();
    for (ours, expected) in ours["items"]
        .as_array()
        .unwrap()
        .iter()
        .zip(expected["items"].as_array().unwrap())
    {
        assert_eq!(ours, expected);
    }
    assert_eq!(ours, expected);
}

#[test]
fn aggregated_documents_differ_by_root_and_version() {
    let core = discovery::aggregated(Root::Core, AggregatedVersion::V2);
    let value: Value = serde_json::from_slice(&core.body).unwrap();
    let pods = value
        .pointer("/items/0/versions/0/resources")
        .unwrap()
        .as_array()
        .unwrap();
    let pods = pods
        .iter()
        .find(|resource| resource["resource"] == "pods")
        .unwrap();
    assert_eq!(pods["subresources"].as_array().unwrap().len(), 10);
    let beta = discovery::aggregated(Root::Core, AggregatedVersion::V2Beta1);
    assert_ne!(core.hash, beta.hash);
    assert_eq!(core.etag().len(), 130);
}
