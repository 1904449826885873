//! Volumes of a pod and their sources.

use super::env::{VOLUME_FIELDS, field_ref, resource_ref};
use super::place::Place;
use super::storage;
use mainstay_machinery::field::{Error, ErrorList};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const FILE_MODE_MAX: i64 = 0o777;
const ONE_TYPE: &str = "may not specify more than 1 volume type";
/// A token that lives shorter is not worth its request.
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

pub(super) const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// Sources in upstream's order, with the fields they must have. The first few have rules of their own.
const SOURCES: &[(&str, &[&str])] = &[
    ("emptyDir", &[]),
    ("hostPath", &[]),
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &[]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("quobyte", &["registry", "volume"]),
    ("downwardAPI", &[]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("configMap", &[]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &["volumeName"]),
    ("projected", &[]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("ephemeral", &[]),
    ("image", &[]),
];

/// Checks all volumes and returns the valid ones by name.
pub(super) fn all<'v>(
    volumes: &Place<'v>,
    pod_name: &str,
    errors: &mut ErrorList,
) -> BTreeMap<&'v str, &'v Value> {
    let created: BTreeSet<String> = volumes
        .items()
        .filter(|volume| !pod_name.is_empty() && volume.at("ephemeral").is_set())
        .map(|volume| format!("{pod_name}-{}", volume.at("name").text()))
        .collect();
    let mut valid = BTreeMap::new();
    for volume in volumes.items() {
        let mut found = ErrorList::new();
        source(&volume, &mut found);
        let name = volume.at("name");
        if name.is_empty() {
            name.required("", &mut found);
        } else {
            name.dns_label(&mut found);
        }
        if valid.contains_key(name.text()) {
            name.duplicate(&mut found);
        }
        if found.is_empty() {
            valid.insert(name.text(), volume.value);
        }
        errors.extend(found);
        let claim = volume.at("persistentVolumeClaim.claimName");
        if created.contains(claim.text()) {
            claim.invalid(
                "must not reference a PVC that gets created for an ephemeral volume",
                errors,
            );
        }
    }
    valid
}

fn source(volume: &Place<'_>, errors: &mut ErrorList) {
    let mut given = 0;
    for (kind, required) in SOURCES {
        let source = volume.at(kind);
        if !source.is_set() {
            continue;
        }
        given += 1;
        if given > 1 {
            source.forbidden(ONE_TYPE, errors);
            continue;
        }
        for field in *required {
            source.at(field).must_be_set(errors);
        }
        of_kind(kind, &source, errors);
    }
    if given == 0 {
        volume.required("must specify a volume type", errors);
    }
}

fn of_kind(kind: &str, source: &Place<'_>, errors: &mut ErrorList) {
    match kind {
        "emptyDir" => {
            let limit = source.at("sizeLimit");
            if limit.quantity().is_some_and(|limit| limit.signum() < 0) {
                limit.forbidden("SizeLimit field must be a valid resource quantity", errors);
            }
        }
        "hostPath" => host_path(source, errors),
        "gitRepo" => source.at("directory").descending_path(errors),
        "secret" => keys(source, "secretName", errors),
        "configMap" => keys(source, "name", errors),
        "nfs" => {
            let path = source.at("path");
            if !path.text().starts_with('/') {
                errors.push(Error::invalid(
                    &path.path,
                    path.text(),
                    "must be an absolute path",
                ));
            }
        }
        "downwardAPI" => {
            mode(&source.at("defaultMode"), errors);
            for file in source.at("items").items() {
                downward_file(&file, source, errors);
            }
        }
        "projected" => projected(source, errors),
        "ephemeral" => ephemeral(source, errors),
        "csi" => storage::driver_name(&source.at("driver"), errors),
        "image" => {
            source.at("reference").must_be_set(errors);
            source
                .at("pullPolicy")
                .one_of(&["Always", "IfNotPresent", "Never"], errors);
        }
        _ => {}
    }
}

pub(super) fn host_path(source: &Place<'_>, errors: &mut ErrorList) {
    let path = source.at("path");
    if path.is_empty() {
        path.required("", errors);
        return;
    }
    path.no_backsteps(errors);
    source.at("type").optional_one_of(HOST_PATH_TYPES, errors);
}

fn mode(mode: &Place<'_>, errors: &mut ErrorList) {
    if mode
        .number()
        .is_some_and(|bits| !(0..=FILE_MODE_MAX).contains(&bits))
    {
        mode.invalid(FILE_MODE, errors);
    }
}

fn keys(source: &Place<'_>, name: &'static str, errors: &mut ErrorList) {
    source.at(name).must_be_set(errors);
    mode(&source.at("defaultMode"), errors);
    for item in source.at("items").items() {
        key(&item, errors);
    }
}

fn key(item: &Place<'_>, errors: &mut ErrorList) {
    item.at("key").must_be_set(errors);
    item.at("path").must_be_set(errors);
    file_path(&item.at("path"), errors);
    mode(&item.at("mode"), errors);
}

/// Where a file is put: inside the volume, and not where the volume keeps its own (`..data`).
fn file_path(path: &Place<'_>, errors: &mut ErrorList) {
    path.descending_path(errors);
    if path.text().starts_with("..") && !path.text().starts_with("../") {
        path.invalid("must not start with '..'", errors);
    }
}

/// Upstream reports what is wrong with a file at its volume.
fn downward_file(file: &Place<'_>, source: &Place<'_>, errors: &mut ErrorList) {
    let at_source = Place {
        value: file.value,
        path: source.path.clone(),
    };
    at_source.at("path").must_be_set(errors);
    file_path(&at_source.at("path"), errors);
    let (field, resource) = (at_source.at("fieldRef"), at_source.at("resourceFieldRef"));
    if field.is_set() {
        field_ref(&field, VOLUME_FIELDS, errors);
        if resource.is_set() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.push(Error::invalid(&source.path, "resource", detail));
        }
    } else if resource.is_set() {
        resource_ref(&resource, true, errors);
    } else {
        source.required("one of fieldRef and resourceFieldRef is required", errors);
    }
    mode(&at_source.at("mode"), errors);
}

fn projected(source: &Place<'_>, errors: &mut ErrorList) {
    mode(&source.at("defaultMode"), errors);
    let mut paths = BTreeSet::new();
    for projection in source.at("sources").items() {
        let mut given = 0;
        for kind in [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ] {
            let one = projection.at(kind);
            if !one.is_set() {
                continue;
            }
            given += 1;
            projection_of_kind(kind, &one, errors);
            for path in file_paths(kind, &one) {
                if !path.is_empty() && !paths.insert(path) {
                    let name = one.at("name").text();
                    errors.push(Error::invalid(
                        &source.path,
                        name,
                        "conflicting duplicate paths",
                    ));
                }
            }
        }
        if given > 1 {
            projection.forbidden("may not specify more than 1 volume type", errors);
        }
    }
}

fn file_paths<'v>(kind: &str, one: &Place<'v>) -> Vec<&'v str> {
    match kind {
        "serviceAccountToken" | "clusterTrustBundle" => vec![one.at("path").text()],
        _ => one
            .at("items")
            .items()
            .map(|item| item.at("path").text())
            .collect(),
    }
}

fn projection_of_kind(kind: &str, one: &Place<'_>, errors: &mut ErrorList) {
    match kind {
        "secret" | "configMap" => {
            one.at("name").must_be_set(errors);
            for item in one.at("items").items() {
                key(&item, errors);
            }
        }
        "downwardAPI" => {
            for file in one.at("items").items() {
                downward_file(&file, one, errors);
            }
        }
        "serviceAccountToken" => {
            let seconds = one.at("expirationSeconds");
            if seconds.int() < TOKEN_SECONDS_MIN {
                seconds.invalid("may not specify a duration less than 10 minutes", errors);
            }
            if seconds.int() > TOKEN_SECONDS_MAX {
                seconds.invalid(
                    "may not specify a duration larger than 2^32 seconds",
                    errors,
                );
            }
            one.at("path").must_be_set(errors);
            file_path(&one.at("path"), errors);
        }
        "clusterTrustBundle" => {
            let (name, signer) = (one.at("name"), one.at("signerName"));
            match (name.is_set(), signer.is_set()) {
                (true, true) => one.invalid("only one of name and signerName may be used", errors),
                (false, false) => {
                    one.required("either name or signerName must be specified", errors)
                }
                _ => {}
            }
            one.at("path").must_be_set(errors);
            file_path(&one.at("path"), errors);
        }
        _ => {}
    }
}

fn ephemeral(source: &Place<'_>, errors: &mut ErrorList) {
    let template = source.at("volumeClaimTemplate");
    if !template.is_set() {
        template.required("", errors);
        return;
    }
    storage::claim_spec(&template.at("spec"), errors);
}
