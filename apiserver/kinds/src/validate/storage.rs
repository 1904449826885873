//! Persistent volumes, claims and storage classes.

use std::collections::{BTreeMap, BTreeSet};

use super::differences::differences;
use super::place::{NOT_POSITIVE, Place};
use super::{resources, scheduling, volumes};
use crate::strategy::Part;
use crate::value::{at, carry, entry_text, has, same, take, text};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::quantity::Quantity;
use mainstay_machinery::validate::{
    FIELD_IMMUTABLE, dns1123_subdomain, name_is_dns_label, name_is_dns_subdomain, qualified_name,
};
use serde_json::Value;

const ACCESS_MODES: &[&str] = &[
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
const DRIVER_BYTES_MAX: usize = 63;
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Sources of persistent volumes with the fields they must have.
const SOURCES: &[(&str, &[&str])] = &[
    ("hostPath", &[]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("nfs", &["server", "path"]),
    ("rbd", &["monitors", "image"]),
    ("quobyte", &["registry", "volume"]),
    ("cephfs", &["monitors"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("cinder", &["volumeID"]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
    ("storageos", &["volumeName"]),
    ("csi", &["driver", "volumeHandle"]),
];

/// Name of a CSI driver: a domain, written in any case.
pub(super) fn driver_name(driver: &Place<'_>, errors: &mut ErrorList) {
    if driver.is_empty() {
        return;
    }
    if driver.text().len() > DRIVER_BYTES_MAX {
        errors.push(Error::too_long(&driver.path, DRIVER_BYTES_MAX));
    }
    driver.messages(dns1123_subdomain(&driver.text().to_lowercase()), errors);
}

fn access_modes(modes: &Place<'_>, errors: &mut ErrorList) {
    for mode in modes
        .items()
        .filter(|mode| !ACCESS_MODES.contains(&mode.text()))
    {
        errors.push(Error::not_supported(&modes.path, mode.text(), ACCESS_MODES));
    }
    let of_one_pod = |mode: &Place<'_>| mode.text() == "ReadWriteOncePod";
    if modes.items().any(|mode| of_one_pod(&mode)) && !modes.items().all(|mode| of_one_pod(&mode)) {
        modes.forbidden(
            "may not use ReadWriteOncePod with other access modes",
            errors,
        );
    }
}

fn class_name(spec: &Place<'_>, name: &'static str, errors: &mut ErrorList) {
    if !spec.at(name).is_empty() {
        spec.at(name).named(name_is_dns_subdomain, errors);
    }
}

pub(super) fn claim(object: &Value, errors: &mut ErrorList) {
    claim_spec(&Place::top(object, "spec"), errors);
}

pub(super) fn claim_spec(spec: &Place<'_>, errors: &mut ErrorList) {
    let modes = spec.at("accessModes");
    if modes.is_empty() {
        modes.required("at least 1 access mode is required", errors);
    }
    spec.at("selector").selector(errors);
    access_modes(&modes, errors);
    let path = spec.at("resources").path.key("storage");
    let wanted = Place {
        value: spec.at("resources.requests.storage").value,
        path,
    };
    match wanted.quantity() {
        None => wanted.required("", errors),
        Some(amount) if amount.signum() <= 0 => {
            errors.push(Error::invalid(
                &wanted.path,
                amount.to_string(),
                NOT_POSITIVE,
            ));
        }
        Some(_) => {
            resources::amount("storage", &wanted, errors);
        }
    }
    class_name(spec, "storageClassName", errors);
    spec.at("volumeMode")
        .optional_one_of(&["Block", "Filesystem"], errors);
    data_sources(spec, errors);
    class_name(spec, "volumeAttributesClassName", errors);
}

fn data_sources(spec: &Place<'_>, errors: &mut ErrorList) {
    for name in ["dataSource", "dataSourceRef"] {
        let source = spec.at(name);
        if !source.is_set() {
            continue;
        }
        source.at("name").must_be_set(errors);
        source.at("kind").must_be_set(errors);
        let (group, kind) = (source.at("apiGroup"), source.at("kind").text());
        if group.is_empty() {
            if kind != "PersistentVolumeClaim" {
                let detail =
                    "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
                errors.push(Error::invalid(&source.path, kind, detail));
            }
        } else {
            group.dns_subdomain(errors);
        }
        if !source.at("namespace").is_empty() {
            source.at("namespace").named(name_is_dns_label, errors);
        }
    }
    let (source, reference) = (spec.at("dataSource"), spec.at("dataSourceRef"));
    if !source.is_set() || !reference.is_set() {
        return;
    }
    let equal = ["apiGroup", "kind", "name"]
        .iter()
        .all(|f| source.at(f).equals(&reference.at(f)));
    let detail = if !reference.at("namespace").is_empty() {
        "may not be specified when dataSourceRef.namespace is specified"
    } else if !equal {
        "must match dataSourceRef"
    } else {
        return;
    };
    errors.push(Error::invalid(&spec.path, source.path.to_string(), detail));
}

pub(super) fn update_claim(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part != Part::Main {
        return;
    }
    claim(new, errors);
    let path = Path::new("spec");
    let (mut after, mut before) = (new.clone(), old.clone());
    if text(old, "spec.volumeName").is_empty() {
        carry(&mut before, new, "spec.volumeName");
    }
    class_upgrade(new, old, &mut after, errors);
    if text(new, "status.phase") == "Bound" {
        carry(&mut after, old, "spec.resources.requests.storage");
        carry(&mut after, old, "spec.volumeAttributesClassName");
    }
    if !same(after.get("spec"), before.get("spec")) {
        let changed = differences(&before["spec"], &after["spec"], "spec");
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{changed}"
        );
        errors.push(Error::forbidden(&path, detail));
    }
    smaller(new, old, errors);
    let mode = Place::new(at(new, "spec.volumeMode"), Path::new("volumeMode"));
    if !same(at(new, "spec.volumeMode"), at(old, "spec.volumeMode")) {
        mode.invalid(FIELD_IMMUTABLE, errors);
    }
    let class = Place::top(new, "spec").at("volumeAttributesClassName");
    if has(old, "status.currentVolumeAttributesClassName") && class.is_empty() {
        let to = if class.is_set() {
            "empty string"
        } else {
            "nil"
        };
        if !class.equals(&Place::top(old, "spec").at("volumeAttributesClassName")) {
            let detail = format!(
                "update to {to} is forbidden when status.currentVolumeAttributesClassName is not nil"
            );
            class.forbidden(detail, errors);
        }
    }
}

/// A claim without a class may be given one; one that has it by annotation may move it to the field.
fn class_upgrade(new: &Value, old: &Value, after: &mut Value, errors: &mut ErrorList) {
    let annotation = |claim| entry_text(claim, "metadata.annotations", CLASS_ANNOTATION).to_owned();
    let class = text(new, "spec.storageClassName");
    let unset = !has(old, "spec.storageClassName") && has(new, "spec.storageClassName");
    let before = annotation(old);
    if unset && !before.is_empty() && class == before {
        take(after, "spec.storageClassName");
        return;
    }
    if annotation(new) != before {
        let path = Path::new("metadata")
            .child("annotations")
            .child(CLASS_ANNOTATION);
        errors.push(Error::invalid(&path, annotation(new), FIELD_IMMUTABLE));
    }
    if unset && before.is_empty() {
        take(after, "spec.storageClassName");
    }
}

/// A claim may ask for less than before only down to what it has.
fn smaller(new: &Value, old: &Value, errors: &mut ErrorList) {
    let amount = |claim, path| at(claim, path).and_then(|v| Quantity::from_value(v).ok());
    let wanted = "spec.resources.requests.storage";
    let (Some(after), Some(before)) = (amount(new, wanted), amount(old, wanted)) else {
        return;
    };
    let has = amount(old, "status.capacity.storage");
    if after < before && has.is_none_or(|has| after <= has) {
        let path = Place::top(new, "spec")
            .at("resources.requests.storage")
            .path;
        errors.push(Error::forbidden(
            &path,
            "field can not be less than status.capacity",
        ));
    }
}

pub(super) fn volume(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let (modes, capacity) = (spec.at("accessModes"), spec.at("capacity"));
    modes.must_be_set(errors);
    access_modes(&modes, errors);
    capacity.must_be_set(errors);
    if capacity.value.get("storage").is_none() || capacity.len() > 1 {
        let value = capacity.value.clone();
        errors.push(Error::not_supported(&capacity.path, value, &["storage"]));
    }
    for (_, amount) in capacity.entries() {
        if let Some(quantity) = amount.quantity().filter(|quantity| quantity.signum() <= 0) {
            errors.push(Error::invalid(
                &amount.path,
                quantity.to_string(),
                NOT_POSITIVE,
            ));
        }
    }
    spec.at("persistentVolumeReclaimPolicy")
        .optional_one_of(&["Delete", "Recycle", "Retain"], errors);
    let affinity = spec.at("nodeAffinity");
    if affinity.is_set() {
        if affinity.at("required").is_set() {
            scheduling::node_selector(&affinity.at("required"), errors);
        } else {
            affinity
                .at("required")
                .required("must specify required node constraints", errors);
        }
    }
    volume_source(&spec, errors);
    if spec.at("hostPath.path").text() == "/"
        && spec.at("persistentVolumeReclaimPolicy").text() == "Recycle"
    {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        spec.at("persistentVolumeReclaimPolicy")
            .forbidden(detail, errors);
    }
    class_name(&spec, "storageClassName", errors);
    spec.at("volumeMode")
        .optional_one_of(&["Block", "Filesystem"], errors);
    let class = spec.at("volumeAttributesClassName");
    if class.is_set() {
        if class.is_empty() {
            class.required("an empty string is disallowed", errors);
        } else {
            class.named(name_is_dns_subdomain, errors);
        }
        if !spec.at("csi").is_set() {
            let detail = "has to be specified when using volumeAttributesClassName";
            spec.at("csi").required(detail, errors);
        }
    }
}

fn volume_source(spec: &Place<'_>, errors: &mut ErrorList) {
    let mut given = 0;
    for (kind, required) in SOURCES {
        let source = spec.at(kind);
        if !source.is_set() {
            continue;
        }
        given += 1;
        if given > 1 {
            source.forbidden("may not specify more than 1 volume type", errors);
            continue;
        }
        for field in *required {
            source.at(field).must_be_set(errors);
        }
        match *kind {
            "hostPath" => volumes::host_path(&source, errors),
            "csi" => driver_name(&source.at("driver"), errors),
            "local" => {
                source.at("path").no_backsteps(errors);
                if !spec.at("nodeAffinity.required").is_set() {
                    let detail = "Local volume requires node affinity";
                    spec.at("nodeAffinity").required(detail, errors);
                }
            }
            _ => {}
        }
    }
    if given == 0 {
        spec.required("must specify a volume type", errors);
    }
}

pub(super) fn update_volume(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part != Part::Main {
        return;
    }
    volume(new, errors);
    let source = |volume: &Value| {
        let mut kept = serde_json::Map::new();
        for (kind, _) in SOURCES {
            if let Some(value) = at(volume, &format!("spec.{kind}")) {
                kept.insert((*kind).to_owned(), value.clone());
            }
        }
        Value::Object(kept)
    };
    let (mut after, before) = (source(new), source(old));
    if has(old, "spec.csi") && !has(old, "spec.csi.controllerExpandSecretRef") {
        take(&mut after, "csi.controllerExpandSecretRef");
    }
    if !same(Some(&after), Some(&before)) {
        let path = Path::new("spec").child("persistentvolumesource");
        let changed = differences(&before, &after, "spec");
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{changed}");
        errors.push(Error::forbidden(&path, detail));
    }
    for name in ["volumeMode", "nodeAffinity"] {
        let place = format!("spec.{name}");
        let kept = name == "nodeAffinity" && !has(old, "spec.nodeAffinity");
        if !kept && !same(at(new, &place), at(old, &place)) {
            Place::new(at(new, &place), Path::new(name)).invalid(FIELD_IMMUTABLE, errors);
        }
    }
}

/// Who makes volumes of a class: a qualified name, whatever the case of its letters.
pub(super) fn provisioner(provisioner: &Place<'_>, errors: &mut ErrorList) {
    if provisioner.is_empty() {
        provisioner.required("", errors);
        return;
    }
    let name = provisioner.text().to_lowercase();
    for message in qualified_name(&name) {
        errors.push(Error::invalid(&provisioner.path, name.as_str(), message));
    }
}

pub(super) fn class(object: &Value, errors: &mut ErrorList) {
    provisioner(&Place::top(object, "provisioner"), errors);
    let parameters = Place::top(object, "parameters");
    let bytes: usize = parameters
        .entries()
        .map(|(key, value)| key.len() + value.text().len())
        .sum();
    if parameters.len() > PARAMETERS_MAX {
        errors.push(Error::too_long(&parameters.path, PARAMETERS_MAX));
    } else if bytes > PARAMETERS_BYTES_MAX {
        errors.push(Error::too_long(&parameters.path, PARAMETERS_BYTES_MAX));
    }
    Place::top(object, "reclaimPolicy").optional_one_of(&["Delete", "Retain"], errors);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    Place::top(object, "volumeBindingMode").one_of(&modes, errors);
    topologies(&Place::top(object, "allowedTopologies"), errors);
}

/// Terms must differ, keys within a term, and values of a key.
fn topologies(terms: &Place<'_>, errors: &mut ErrorList) {
    let mut seen: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
    for term in terms.items() {
        let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for requirement in term.at("matchLabelExpressions").items() {
            let (key, values) = (requirement.at("key"), requirement.at("values"));
            if values.is_empty() {
                values.required("", errors);
            }
            let mut distinct = BTreeSet::new();
            for value in values.items() {
                if !distinct.insert(value.text()) {
                    value.duplicate(errors);
                }
            }
            key.qualified_name(errors);
            if keys.insert(key.text(), distinct).is_some() {
                key.duplicate(errors);
            }
        }
        if seen.contains(&keys) {
            let path = term.at("matchLabelExpressions").path;
            errors.push(Error::duplicate(&path, ""));
        }
        seen.push(keys);
    }
}

pub(super) fn update_class(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    for name in [
        "parameters",
        "provisioner",
        "reclaimPolicy",
        "volumeBindingMode",
    ] {
        Place::top(new, name).immutable(&Place::top(old, name), errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn topologies_of_a_class_were_not_looked_at() {
        let of = |terms: Value| {
            let mut errors = ErrorList::default();
            topologies(
                &Place::top(&json!({ "allowedTopologies": terms }), "allowedTopologies"),
                &mut errors,
            );
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let term = |key: &str, values: &[&str]| json!({"matchLabelExpressions": [{"key": key, "values": values}]});
        let none: Vec<String> = Vec::new();
        assert_eq!(
            of(json!([term("zone", &["a"]), term("zone", &["b"])])),
            none
        );
        let cases = [
            (
                json!([term("zone", &[])]),
                "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
            ),
            (
                json!([{"matchLabelExpressions": [{"values": ["a"]}]}]),
                "allowedTopologies[0].matchLabelExpressions[0].key: Invalid value: \"\": name part must be non-empty",
            ),
            (
                json!([term("z", &["a", "a"])]),
                "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\"",
            ),
            (
                json!([term("z", &["a", "b"]), term("z", &["b", "a"])]),
                "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            ),
        ];
        for (terms, expected) in cases {
            assert_eq!(of(terms)[0], expected);
        }
    }
}
