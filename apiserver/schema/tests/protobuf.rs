//! Fully populated objects of every kind, as Kubernetes 1.36 writes them: protobuf and JSON are the same
//! object, and the bytes come back.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "in a test a panic is the report"
)]

mod golden;

use mainstay_schema::protobuf::{self, Error};
use mainstay_schema::{Gvk, schema};
use serde_json::{Value, json};

/// What stands in a file name: `apps.v1.Deployment`, with `core` for the group without a name.
fn gvk(stem: &str) -> Option<Gvk> {
    let (rest, kind) = stem.rsplit_once('.')?;
    let (group, version) = rest.rsplit_once('.')?;
    let group = if group == "core" { "" } else { group };
    let id = schema().by_gvk(group, version, kind)?;
    schema()
        .get(id)
        .gvks
        .iter()
        .copied()
        .find(|gvk| gvk.group == group && gvk.version == version)
}

/// Kind, protobuf and JSON of every golden object whose kind is served.
fn objects() -> Option<Vec<(Gvk, Vec<u8>, Value)>> {
    let folder = golden::folder("objects")?;
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|extension| extension == "pb")
            && let Some(gvk) = gvk(stem)
        {
            let json = golden::json(&path.with_extension("json"));
            objects.push((gvk, std::fs::read(&path).unwrap(), json));
        }
    }
    assert!(objects.len() > 70, "{}", objects.len());
    Some(objects)
}

#[test]
fn every_object_decodes_to_its_json() {
    let Some(objects) = objects() else { return };
    for (gvk, bytes, mut expected) in objects {
        let (told, object) =
            protobuf::decode_as(&bytes, gvk).unwrap_or_else(|error| panic!("{gvk:?}: {error}"));
        assert_eq!(told, gvk);
        // A watch event does not tell its kind.
        if gvk.kind == "WatchEvent" {
            expected["kind"] = "WatchEvent".into();
            expected["apiVersion"] = "v1".into();
        }
        assert_eq!(object, expected, "{gvk:?}");
    }
}

#[test]
fn every_object_encodes_to_its_bytes() {
    let Some(objects) = objects() else { return };
    for (gvk, bytes, object) in objects
        .into_iter()
        .filter(|(gvk, ..)| gvk.kind != "WatchEvent")
    {
        let encoded =
            protobuf::encode(gvk, &object).unwrap_or_else(|error| panic!("{gvk:?}: {error}"));
        assert_eq!(encoded.as_ref(), bytes, "{gvk:?}");
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let Some(objects) = objects() else { return };
    for (gvk, bytes, _) in objects {
        let mut damaged = bytes.clone();
        for at in (4..bytes.len()).step_by(bytes.len() / 64 + 1) {
            let _ = protobuf::decode_as(&bytes[..at], gvk);
            damaged[at] ^= 0x55;
            let _ = protobuf::decode_as(&damaged, gvk);
            damaged[at] = bytes[at];
        }
    }
}

const POD: Gvk = Gvk {
    group: "",
    version: "v1",
    kind: "Pod",
};
const SERVICE: Gvk = Gvk {
    group: "",
    version: "v1",
    kind: "Service",
};

fn round_trip(gvk: Gvk, object: &Value) -> Value {
    protobuf::decode(&protobuf::encode(gvk, object).unwrap())
        .unwrap()
        .1
}

#[test]
fn zero_and_absent_differ_only_where_go_says_so() {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "p", "generation": 0, "labels": { "b": "", "a": "x" } },
        "spec": { "hostNetwork": false, "automountServiceAccountToken": false, "priority": 0,
            "containers": [{ "name": "c", "image": "", "resources": { "limits": { "cpu": 2 } } }] },
        "status": {},
    });
    let expected = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "p", "labels": { "b": "", "a": "x" } },
        "spec": { "automountServiceAccountToken": false, "priority": 0,
            "containers": [{ "name": "c", "resources": { "limits": { "cpu": "2" } } }] },
        "status": {},
    });
    assert_eq!(round_trip(POD, &object), expected);
}

/// What kubectl 1.33 sends for `create pdb p --selector=a=b --min-available=50%`: nearly everything unset.
#[test]
fn a_sparse_body_of_kubectl_comes_back() {
    let body = b"k8s\x00\x0a\x20\x0a\x09policy/v1\x12\x13PodDisruptionBudget\x126\x0a\x11\x0a\x01\
        p\x12\x00\x1a\x00\x22\x00*\x002\x008\x00B\x00\x12\x15\x0a\x09\x08\x01\x10\x00\
        \x1a\x0350%\x12\x08\x0a\x06\x0a\x01a\x12\x01b\x1a\x0a\x08\x00\x18\x00\x20\x00(\
        \x000\x00\x1a\x00\x22\x00";
    let (gvk, object) = protobuf::decode(body).unwrap();
    let expected = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "p" },
        "spec": { "minAvailable": "50%", "selector": { "matchLabels": { "a": "b" } } },
        "status": { "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 },
    });
    assert_eq!(object, expected);
    assert_eq!(protobuf::encode(gvk, &object).unwrap().as_ref(), body);
}

#[test]
fn ports_are_numbers_or_names() {
    let port = |target: Value| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": {}, "status": { "loadBalancer": {} },
            "spec": { "ports": [{ "port": 80, "targetPort": target }] } })
    };
    for target in [json!(8080), json!(-1), json!("http"), json!("")] {
        assert_eq!(round_trip(SERVICE, &port(target.clone())), port(target));
    }
    let error = protobuf::encode(SERVICE, &port(json!(1.5))).unwrap_err();
    assert_eq!(error.to_string(), "targetPort: is not an integer");
}

#[test]
fn what_cannot_be_read_is_told() {
    let kind = |api_version: &str, kind: &str| {
        let mut meta = vec![0x0a, api_version.len() as u8];
        meta.extend(api_version.bytes());
        meta.extend([0x12, kind.len() as u8]);
        meta.extend(kind.bytes());
        let mut body = b"k8s\0\x0a".to_vec();
        body.push(meta.len() as u8);
        body.extend(meta);
        body
    };
    assert!(matches!(protobuf::decode(b"{}"), Err(Error::NoMagic)));
    let error = protobuf::decode(&kind("v2", "Pod")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no kind \"Pod\" is registered for version \"v2\""
    );
    assert!(matches!(
        protobuf::decode(&kind("", "")),
        Err(Error::UnknownKind { .. })
    ));
    let mut gzip = kind("v1", "Pod");
    gzip.extend(b"\x1a\x04gzip");
    assert!(matches!(
        protobuf::decode(&gzip),
        Err(Error::ContentEncoding(_))
    ));
    // The message: unknown fields are skipped, wrong layouts and groups are not.
    let with = |raw: &[u8]| {
        let mut body = kind("v1", "Pod");
        body.extend([0x12, raw.len() as u8]);
        body.extend(raw);
        protobuf::decode(&body)
    };
    let pod = json!({ "apiVersion": "v1", "kind": "Pod" });
    assert_eq!(with(&[0xfa, 0x7f, 1, 9, 0xf8, 0x7f, 1]).unwrap().1, pod);
    assert!(matches!(with(&[0x08, 1]), Err(Error::Value { .. })));
    assert!(matches!(with(&[0x0b, 0x0c]), Err(Error::Wire(_))));
    assert!(matches!(
        with(&[0x0a, 4, 0x0a, 2, 0xff, 0xfe]),
        Err(Error::Value { .. })
    ));
}

/// A length-delimited field.
fn wrap(number: usize, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for mut value in [number << 3 | 2, inner.len()] {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
    out.extend(inner);
    out
}

#[test]
fn depth_is_limited() {
    let mut props = json!({ "type": "object" });
    for _ in 0..200 {
        props = json!({ "type": "object", "properties": { "a": props } });
    }
    let crd = Gvk {
        group: "apiextensions.k8s.io",
        version: "v1",
        kind: "CustomResourceDefinition",
    };
    let versions = json!([{ "name": "v1", "schema": { "openAPIV3Schema": props } }]);
    let object = json!({ "spec": { "versions": versions } });
    assert!(matches!(
        protobuf::encode(crd, &object),
        Err(Error::TooDeep)
    ));
    // A schema that is not a schema that is not a schema …
    let package = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
    let props = schema()
        .by_name(&format!("{package}.JSONSchemaProps"))
        .unwrap();
    let not = schema().get(props).field("not").unwrap().number as usize;
    let mut raw = Vec::new();
    for _ in 0..5000 {
        raw = wrap(not, &raw);
    }
    // … in spec (2), versions (7), schema (4), openAPIV3Schema (1).
    let message = wrap(2, &wrap(7, &wrap(4, &wrap(1, &raw))));
    let body = [&b"k8s\0"[..], &wrap(2, &message)].concat();
    assert!(matches!(
        protobuf::decode_as(&body, crd),
        Err(Error::TooDeep)
    ));
}
