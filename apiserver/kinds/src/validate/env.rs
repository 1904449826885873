//! Environment variables and where their values come from.

use super::place::Place;
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::{
    config_map_key, env_var_name, name_is_dns_subdomain, qualified_name,
};

/// Fields of a pod that variables can take.
const POD_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields of a pod that files can take.
pub(super) const VOLUME_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const BYTE_DIVISORS: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";

pub(super) fn variables(variables: &Place<'_>, errors: &mut ErrorList) {
    for variable in variables.items() {
        let name = variable.at("name");
        if name.is_empty() {
            name.required("", errors);
        } else {
            name.messages(env_var_name(name.text()), errors);
        }
        value_from(&variable, errors);
    }
}

fn value_from(variable: &Place<'_>, errors: &mut ErrorList) {
    let from = variable.at("valueFrom");
    if !from.is_set() {
        return;
    }
    let sources = [
        "fieldRef",
        "resourceFieldRef",
        "configMapKeyRef",
        "secretKeyRef",
        "fileKeyRef",
    ];
    let given: Vec<_> = sources
        .into_iter()
        .filter(|source| from.at(source).is_set())
        .collect();
    for source in &given {
        let place = from.at(source);
        match *source {
            "fieldRef" => field_ref(&place, POD_FIELDS, errors),
            "resourceFieldRef" => resource_ref(&place, false, errors),
            "fileKeyRef" => file_key(&place, errors),
            _ => key_ref(&place, errors),
        }
    }
    let detail = match given.len() {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !variable.at("value").is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(Error::invalid(&from.path, "", detail));
}

/// A reference to a field of the pod, perhaps to one label or annotation: `metadata.labels['a']`.
pub(super) fn field_ref(reference: &Place<'_>, known: &[&str], errors: &mut ErrorList) {
    for name in ["apiVersion", "fieldPath"] {
        if reference.at(name).is_empty() {
            reference.at(name).required("", errors);
            return;
        }
    }
    let field = reference.at("fieldPath");
    let subscripted = field
        .text()
        .strip_suffix("']")
        .and_then(|path| path.split_once("['"));
    let Some((path, subscript)) = subscripted else {
        if !is_pod_field(field.text()) {
            let detail = format!(
                "error converting fieldPath: field label not supported: {}",
                field.text()
            );
            field.invalid(detail, errors);
        } else if !known.contains(&field.text()) {
            errors.push(Error::not_supported(&field.path, field.text(), known));
        }
        return;
    };
    let name = match path {
        "metadata.annotations" => subscript.to_lowercase(),
        "metadata.labels" => subscript.to_owned(),
        _ => {
            let detail = format!(
                "error converting fieldPath: field label does not support subscript: {}",
                field.text()
            );
            field.invalid(detail, errors);
            return;
        }
    };
    for message in qualified_name(&name) {
        errors.push(Error::invalid(&reference.path, name.as_str(), message));
    }
}

fn is_pod_field(path: &str) -> bool {
    const OTHERS: [&str; 4] = [
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.phase",
        "spec.host",
    ];
    POD_FIELDS.contains(&path) || VOLUME_FIELDS.contains(&path) || OTHERS.contains(&path)
}

/// A reference to a request or limit of a container.
pub(super) fn resource_ref(reference: &Place<'_>, of_file: bool, errors: &mut ErrorList) {
    let resource = reference.at("resource");
    let huge_pages = ["limits.hugepages-", "requests.hugepages-"];
    if of_file && reference.at("containerName").is_empty() {
        reference.at("containerName").required("", errors);
    } else if resource.is_empty() {
        resource.required("", errors);
    } else if !RESOURCES.contains(&resource.text())
        && !huge_pages
            .iter()
            .any(|prefix| resource.text().starts_with(prefix))
    {
        errors.push(Error::not_supported(
            &resource.path,
            resource.text(),
            RESOURCES,
        ));
    }
    divisor(reference, errors);
}

fn divisor(reference: &Place<'_>, errors: &mut ErrorList) {
    let divisor = reference.at("divisor");
    let Some(amount) = divisor.quantity().filter(|amount| !amount.is_zero()) else {
        return;
    };
    let text = amount.to_string();
    let resource = reference.at("resource").text();
    let of_bytes = BYTE_DIVISORS.split(", ").any(|known| known == text);
    let kind = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" if text != "1m" && text != "1" => {
            let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
            errors.push(Error::invalid(&divisor.path, resource, detail));
            return;
        }
        "memory" => "memory",
        "ephemeral-storage" => "local ephemeral storage",
        name if name.starts_with("hugepages-") => "hugepages",
        _ => return,
    };
    if !of_bytes {
        let detail =
            format!("only divisor's values {BYTE_DIVISORS} are supported with the {kind} resource");
        errors.push(Error::invalid(&divisor.path, resource, detail));
    }
}

fn key_ref(reference: &Place<'_>, errors: &mut ErrorList) {
    let name = reference.at("name");
    for message in name_is_dns_subdomain(name.text(), false) {
        errors.push(Error::invalid(&name.path, name.text(), message));
    }
    let key = reference.at("key");
    if key.is_empty() {
        key.required("", errors);
    } else {
        key.messages(config_map_key(key.text()), errors);
    }
}

fn file_key(reference: &Place<'_>, errors: &mut ErrorList) {
    let key = reference.at("key");
    if key.is_empty() {
        key.required("", errors);
    } else {
        key.messages(env_var_name(key.text()), errors);
    }
    let volume = reference.at("volumeName");
    if volume.is_empty() {
        volume.required("", errors);
    } else {
        volume.dns_label(errors);
    }
    reference.at("path").must_be_set(errors);
    reference.at("path").no_backsteps(errors);
}

pub(super) fn sources(sources: &Place<'_>, errors: &mut ErrorList) {
    for source in sources.items() {
        let prefix = source.at("prefix");
        if !prefix.is_empty() {
            prefix.messages(env_var_name(prefix.text()), errors);
        }
        let mut given = 0;
        for kind in ["configMapRef", "secretRef"] {
            if source.at(kind).is_set() {
                given += 1;
                let name = source.at(kind).at("name");
                if name.is_empty() {
                    name.required("", errors);
                } else {
                    name.messages(name_is_dns_subdomain(name.text(), true), errors);
                }
            }
        }
        let detail = match given {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        errors.push(Error::invalid(&sources.path, "", detail));
    }
}
