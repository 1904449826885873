//! Families of addresses a service asks for. This server gives out IPv4 alone; what cannot be is refused, never
//! cut down.

use mainstay_machinery::field::{Error, ErrorList, Path};
use serde_json::{Value, json};

const SINGLE: &str = "SingleStack";
const REQUIRE: &str = "RequireDualStack";
const PREFER: &str = "PreferDualStack";

/// Fills in `ipFamilyPolicy` and `ipFamilies`, as upstream does for a cluster with one family.
///
/// # Errors
/// Everything that is wrong with addresses and families, in upstream's words.
pub(super) fn complete(service: &mut Value, old: Option<&Value>) -> Result<(), ErrorList> {
    if service["spec"]["type"] == "ExternalName" || old.is_some_and(|old| stays(service, old)) {
        return Ok(());
    }
    let headless = service["spec"]["clusterIP"] == "None";
    let anywhere = service["spec"]["selector"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty);
    if service["spec"]["ipFamilyPolicy"].is_null() {
        let before = old.map(|old| &old["spec"]["ipFamilyPolicy"]);
        service["spec"]["ipFamilyPolicy"] = match before.filter(|before| !before.is_null()) {
            Some(before) => before.clone(),
            // Nothing is given out for these, so that they may have both.
            None if headless && anywhere => json!(REQUIRE),
            None => json!(SINGLE),
        };
    }
    none_or(mainstay_kinds::service_address_errors(service))?;
    none_or(agree(&mut service["spec"], old.map(|old| &old["spec"])))?;
    let spec = &mut service["spec"];
    if headless && anywhere {
        complete_anywhere(spec);
        return Ok(());
    }
    none_or(served(spec))?;
    if length(spec, "ipFamilies") == 0 {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
    Ok(())
}

fn none_or(errors: ErrorList) -> Result<(), ErrorList> {
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

/// A service that would like both families is left alone unless the client changes what it asks for.
fn stays(new: &Value, old: &Value) -> bool {
    let (new, old) = (&new["spec"], &old["spec"]);
    let same = |field: &str| new[field] == old[field];
    old["type"] != "ExternalName"
        && new["ipFamilyPolicy"] == PREFER
        && ["ipFamilyPolicy", "clusterIPs", "ipFamilies"]
            .iter()
            .all(|field| same(field))
}

fn length(spec: &Value, field: &str) -> usize {
    spec[field].as_array().map_or(0, Vec::len)
}

fn path(field: &'static str) -> Path {
    Path::new("spec").child(field)
}

/// Whether policy, families and addresses go together.
fn agree(spec: &mut Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::default();
    let single = spec["ipFamilyPolicy"] == SINGLE;
    for (field, one, many) in [
        ("clusterIPs", "cluster IP", "cluster IPs"),
        ("ipFamilies", "IP family", "IP families"),
    ] {
        let (policy, count) = (spec["ipFamilyPolicy"].clone(), length(spec, field));
        let mut refuse = |why: String| {
            errors.push(Error::invalid(&path("ipFamilyPolicy"), policy.clone(), why));
        };
        let before = old.map_or(0, |old| length(old, field));
        let unchanged = old.is_some_and(|old| old[field] == spec[field]);
        if single && unchanged && count > 1 {
            // Going back to one family is asked for by the policy alone.
            if let Some(list) = spec[field].as_array_mut() {
                list.truncate(1);
            }
        } else if single && count > 1 {
            refuse(format!(
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple {many} are specified"
            ));
        } else if !single && before == 2 && count == 1 {
            refuse(format!(
                "must be 'SingleStack' to release the secondary {one}"
            ));
        }
    }
    let addresses = spec["clusterIPs"].as_array().cloned().unwrap_or_default();
    let known = length(spec, "ipFamilies");
    for (index, address) in addresses.iter().enumerate().skip(known) {
        match address.as_str() {
            Some("None") | None => break,
            Some(text) if text.contains(':') => errors.push(Error::invalid(
                &path("clusterIPs").index(index),
                addresses.clone(),
                "IPv6 is not configured on this cluster",
            )),
            Some(_) => match spec["ipFamilies"].as_array_mut() {
                Some(list) => list.push(json!("IPv4")),
                None => spec["ipFamilies"] = json!(["IPv4"]),
            },
        }
    }
    errors
}

/// Services without addresses and pods of their own are for others to fill: both families unless told otherwise.
fn complete_anywhere(spec: &mut Value) {
    let first = match spec["ipFamilies"][0].as_str() {
        Some(first) => first.to_owned(),
        None => "IPv4".to_owned(),
    };
    if length(spec, "ipFamilies") < 2 {
        spec["ipFamilies"] = match (spec["ipFamilyPolicy"] == SINGLE, first.as_str()) {
            (true, _) => json!([first]),
            (false, "IPv4") => json!(["IPv4", "IPv6"]),
            (false, _) => json!(["IPv6", "IPv4"]),
        };
    }
}

/// Whether there is what is asked for.
fn served(spec: &Value) -> ErrorList {
    let mut errors = ErrorList::default();
    if spec["ipFamilyPolicy"] == REQUIRE {
        errors.push(Error::invalid(
            &path("ipFamilyPolicy"),
            REQUIRE,
            "this cluster is not configured for dual-stack services",
        ));
    }
    let families = spec["ipFamilies"].as_array().into_iter().flatten();
    for (index, family) in families.enumerate() {
        if *family != "IPv4" {
            errors.push(Error::invalid(
                &path("ipFamilies").index(index),
                family.clone(),
                "not configured on this cluster",
            ));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &Value, old: Option<&Value>) -> Result<Value, String> {
        let mut service = json!({ "spec": spec });
        let old = old.map(|old| json!({ "spec": old }));
        match complete(&mut service, old.as_ref()) {
            Ok(()) => {
                let spec = &service["spec"];
                Ok(json!([spec["ipFamilyPolicy"], spec["ipFamilies"]]))
            }
            Err(errors) => Err(errors.to_string()),
        }
    }

    #[test]
    fn families_are_filled_in_or_refused() {
        let invalid = |text: &str| Err(text.to_owned());
        let selector = json!({"a": "b"});
        let cases = [
            (
                json!({"selector": selector}),
                Ok(json!(["SingleStack", ["IPv4"]])),
            ),
            (
                json!({"selector": selector, "ipFamilyPolicy": "PreferDualStack"}),
                Ok(json!(["PreferDualStack", ["IPv4"]])),
            ),
            (
                json!({"selector": selector, "ipFamilyPolicy": "RequireDualStack"}),
                invalid(
                    "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
                ),
            ),
            (
                json!({"ipFamilies": ["IPv6"]}),
                invalid(
                    "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
                ),
            ),
            (
                json!({"clusterIP": "fd00::1", "clusterIPs": ["fd00::1"]}),
                invalid(
                    "spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster",
                ),
            ),
            (
                json!({"ipFamilies": ["IPv4", "IPv6"]}),
                invalid(
                    "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
                ),
            ),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None"]}),
                Ok(json!(["RequireDualStack", ["IPv4", "IPv6"]])),
            ),
            (
                json!({"clusterIP": "None", "clusterIPs": ["None"], "selector": selector}),
                Ok(json!(["SingleStack", ["IPv4"]])),
            ),
            (json!({"type": "ExternalName"}), Ok(json!([null, null]))),
        ];
        for (spec, expected) in cases {
            assert_eq!(of(&spec, None), expected, "{spec}");
        }
    }

    #[test]
    fn an_update_keeps_the_policy_it_does_not_mention() {
        let old = json!({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4"],
            "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "selector": {"a": "b"}});
        let mut new = old.clone();
        new["ipFamilyPolicy"] = Value::Null;
        assert_eq!(
            of(&new, Some(&old)),
            Ok(json!(["PreferDualStack", ["IPv4"]]))
        );
    }
}
