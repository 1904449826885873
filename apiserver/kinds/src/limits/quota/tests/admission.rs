//! What requests are charged and refused for.

use super::super::{Refusal, admit, charge, concerns, required};
use super::{NOW, create, of, pod, quota, scoped, selecting};
use crate::limits::Change;
use serde_json::{Value, json};

#[test]
fn containers_must_set_what_is_limited() {
    let quota = quota(
        json!({"limits.cpu": "1", "requests.memory": "1Gi", "requests.storage": "1"}),
        json!({"limits.cpu": "0", "requests.memory": "0"}),
    );
    let mut pod = json!({"spec": {
        "containers": [{"name": "c2"}, {"name": "c1", "resources": {"requests": {"memory": "1"}}}],
        "initContainers": [{"name": "a"}]}});
    assert_eq!(
        required(&quota, of("pods"), &pod),
        Err(
            "failed quota: q: must specify limits.cpu for: a,c1,c2; requests.memory for: a,c2"
                .to_owned()
        )
    );
    pod["spec"]["resources"] = json!({"limits": {"cpu": "1"}});
    assert_eq!(
        required(&quota, of("pods"), &pod),
        Ok(()),
        "the pod sets it as a whole"
    );
    assert_eq!(
        required(&quota, of("persistentvolumeclaims"), &json!({})),
        Err("status unknown for quota: q, resources: requests.storage".to_owned())
    );
}

#[test]
fn charges_add_to_what_is_used() {
    let counted = |pairs: Value| crate::quantities::amounts(&pairs, "");
    let hard = json!({"pods": "2", "requests.cpu": "2", "limits.memory": "1Gi"});
    let quota = |pods: &str, cpu: &str| {
        quota(
            hard.clone(),
            json!({"pods": pods, "requests.cpu": cpu, "limits.memory": "512Mi"}),
        )
    };
    for (quota, new, old, expected) in [
        (
            quota("1", "500m"),
            json!({"pods": "1", "requests.cpu": "1500m", "cpu": "9"}),
            None,
            Ok(Some(
                json!({"pods": "2", "requests.cpu": "2", "limits.memory": "512Mi"}),
            )),
        ),
        (
            quota("2", "500m"),
            json!({"pods": "1"}),
            None,
            Err("exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"),
        ),
        (
            quota("2", "1"),
            json!({"pods": "1", "requests.cpu": "1500m", "limits.memory": "1Gi"}),
            None,
            Err(
                "exceeded quota: q, requested: limits.memory=1Gi,pods=1,requests.cpu=1500m, \
                 used: limits.memory=512Mi,pods=2,requests.cpu=1, \
                 limited: limits.memory=1Gi,pods=2,requests.cpu=2",
            ),
        ),
        (
            quota("3", "1"),
            json!({"requests.cpu": "1"}),
            None,
            Ok(Some(
                json!({"pods": "3", "requests.cpu": "2", "limits.memory": "512Mi"}),
            )),
        ),
        (
            quota("2", "1"),
            json!({"pods": "1", "requests.cpu": "3"}),
            Some(json!({"pods": "1", "requests.cpu": "2"})),
            Ok(Some(
                json!({"pods": "2", "requests.cpu": "2", "limits.memory": "512Mi"}),
            )),
        ),
        (
            quota("2", "2"),
            json!({"pods": "1", "requests.cpu": "1"}),
            Some(json!({"pods": "1", "requests.cpu": "2"})),
            Ok(None),
        ),
        (
            quota("0", "0"),
            json!({"secrets": "1", "requests.cpu": "0"}),
            None,
            Ok(None),
        ),
        (
            quota("0", "1"),
            json!({"requests.cpu": "1e60"}),
            Some(json!({"requests.cpu": "1"})),
            Err(
                "exceeded quota: q, requested: requests.cpu=1e60, used: requests.cpu=1, limited: requests.cpu=2",
            ),
        ),
        (
            quota("0", "1"),
            json!({"requests.cpu": "1e60"}),
            None,
            Err(
                "exceeded quota: q, requested: requests.cpu=1e60, used: requests.cpu=1, limited: requests.cpu=2",
            ),
        ),
    ] {
        let old = old.map(counted);
        let found = charge(&quota, &counted(new.clone()), old.as_ref());
        let found = found.map(|quota| quota.map(|quota| quota["status"]["used"].clone()));
        assert_eq!(found, expected.map_err(str::to_owned), "{new}");
    }
}

#[test]
fn requests_are_admitted_by_all_quotas_of_the_namespace() {
    let small = pod(json!({"cpu": "1"}), json!({}));
    let pods = quota(json!({"pods": "1"}), json!({"pods": "0"}));
    let cpu = quota(
        json!({"requests.cpu": "1", "secrets": "1"}),
        json!({"requests.cpu": "0", "secrets": "1"}),
    );
    let secrets = quota(json!({"count/secrets": "1"}), json!({"count/secrets": "0"}));
    let charged = admit(&create("pods", &small), [&pods, &cpu, &secrets], NOW).expect("fits");
    let used: Vec<_> = charged
        .iter()
        .map(|quota| &quota["status"]["used"])
        .collect();
    assert_eq!(
        used,
        [
            &json!({"pods": "1"}),
            &json!({"requests.cpu": "1", "secrets": "1"})
        ]
    );

    let full = Refusal::Forbidden(
        "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1".to_owned(),
    );
    assert_eq!(
        admit(&create("pods", &small), [&cpu, &charged[0]], NOW),
        Err(full)
    );

    let negative = pod(json!({"cpu": "-1"}), json!({}));
    let said = "quota usage is negative for resource(s): cpu,requests.cpu".to_owned();
    assert_eq!(
        admit(&create("pods", &negative), [&cpu], NOW),
        Err(Refusal::Forbidden(said))
    );

    let absurd = selecting("PriorityClass", "Near", json!([]));
    let said = "error matching scopes of quota q, err: error on matching scope {PriorityClass Near []}: \
        failed to parse and convert selector: \"Near\" is not a valid scope selector operator";
    assert_eq!(
        admit(&create("pods", &small), [&absurd], NOW),
        Err(Refusal::Failed(said.to_owned()))
    );
}

#[test]
fn updates_pay_for_what_they_add() {
    let stored =
        |spec: Value| json!({"metadata": {"name": "x", "resourceVersion": "7"}, "spec": spec});
    let storage = |amount: &str| stored(json!({"resources": {"requests": {"storage": amount}}}));
    let (one, two) = (storage("1Gi"), storage("2Gi"));
    let storage_quota = quota(
        json!({"requests.storage": "2Gi"}),
        json!({"requests.storage": "1Gi"}),
    );
    let node_port = stored(json!({"type": "NodePort", "ports": [{"port": 1}]}));
    let internal = stored(json!({"type": "ClusterIP", "ports": [{"port": 1}]}));
    let ports_quota = quota(
        json!({"services": "1", "services.nodeports": "1"}),
        json!({"services": "1", "services.nodeports": "0"}),
    );
    let endless = stored(json!({"containers": [{}]}));
    let ending = stored(json!({"containers": [{}], "activeDeadlineSeconds": 5}));
    let ending_quota = scoped(json!(["Terminating"]));
    for (what, plural, old, new, quota, expected) in [
        (
            "a claim grows",
            "persistentvolumeclaims",
            &one,
            &two,
            &storage_quota,
            Some(json!({"requests.storage": "2Gi"})),
        ),
        (
            "a claim stays",
            "persistentvolumeclaims",
            &one,
            &one,
            &storage_quota,
            None,
        ),
        (
            "a service opens ports of nodes",
            "services",
            &internal,
            &node_port,
            &ports_quota,
            Some(json!({"services": "1", "services.nodeports": "1"})),
        ),
        (
            "a service closes them",
            "services",
            &node_port,
            &internal,
            &ports_quota,
            None,
        ),
        (
            "a pod gets a deadline, and enters a scope",
            "pods",
            &endless,
            &ending,
            &ending_quota,
            Some(json!({"pods": "1"})),
        ),
        (
            "a pod changes otherwise",
            "pods",
            &ending,
            &ending,
            &ending_quota,
            None,
        ),
    ] {
        let change = Change {
            resource: of(plural),
            subresource: "",
            new,
            old: Some(old),
        };
        let charged = admit(&change, [quota], NOW).expect("fits");
        let used = charged.first().map(|quota| quota["status"]["used"].clone());
        assert_eq!(used, expected, "{what}");
    }
    // The status reports what is so already: it is recorded even beyond the bound.
    let mut grown = two.clone();
    grown["status"] = json!({"allocatedResources": {"storage": "9Gi"}});
    let resource = of("persistentvolumeclaims");
    let change = Change {
        resource,
        subresource: "status",
        new: &grown,
        old: Some(&two),
    };
    let charged = admit(&change, [&storage_quota], NOW).expect("never refused");
    assert_eq!(
        charged[0]["status"]["used"],
        json!({"requests.storage": "8Gi"})
    );
}

#[test]
fn quotas_look_only_at_what_can_change_usage() {
    let (new, old) = (json!({}), json!({"metadata": {"resourceVersion": "1"}}));
    for (plural, subresource, old, expected) in [
        ("pods", "", None, true),
        ("pods", "", Some(&old), false),
        ("pods", "resize", Some(&old), true),
        ("pods", "status", Some(&old), false),
        ("pods", "binding", None, false),
        ("services", "", Some(&old), true),
        ("persistentvolumeclaims", "", Some(&old), true),
        ("persistentvolumeclaims", "status", Some(&old), true),
        ("deployments", "", None, true),
        ("deployments", "", Some(&old), false),
        ("serviceaccounts", "token", None, false),
        ("events", "", None, false),
        ("nodes", "", None, false),
        ("namespaces", "", None, false),
    ] {
        let change = Change {
            resource: of(plural),
            subresource,
            new: &new,
            old,
        };
        assert_eq!(concerns(&change), expected, "{plural}/{subresource}");
    }
}
