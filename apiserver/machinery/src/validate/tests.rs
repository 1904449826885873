//! Texts that clients match on, and what is valid.

use super::*;
use crate::field::{ErrorList, Path};
use serde_json::{Value, json};

#[test]
fn valid_and_invalid_names() {
    type Rule = fn(&str) -> Messages;
    let long = "a".repeat(64);
    for (rule, valid, invalid) in [
        (
            dns1123_label as Rule,
            vec!["a", "a-b", "1", "0a"],
            vec!["", "A", "-a", "a-", "a.b", "a_b", &long],
        ),
        (
            dns1123_subdomain,
            vec!["a.b", "a", "1.2"],
            vec!["", "a..b", ".a", "a.", "a.B", "a.-b"],
        ),
        (
            dns1035_label,
            vec!["a", "a-1"],
            vec!["", "1a", "a.b", "A", "a-"],
        ),
        (
            qualified_name,
            vec!["a", "A_b.c", "x.y/z"],
            vec!["", "/a", "a/", "a/b/c", "X.y/z", "-a"],
        ),
        (
            label_value,
            vec!["", "a", "A.b_c-d"],
            vec!["-a", "a b", "a/b", &long],
        ),
        (
            env_var_name,
            vec!["A", "my.env", "1", "a b"],
            vec!["", "a=b", "ü"],
        ),
        (
            config_map_key,
            vec!["a", "A.b_c-d", "...a".trim_start_matches("..")],
            vec!["", ".", "..", "..a", "a/b"],
        ),
        (
            port_name,
            vec!["http", "a-1"],
            vec!["", "1", "-a", "a--b", "HTTP", "abcdefghijklmnop"],
        ),
        (percent, vec!["0%", "100%"], vec!["", "%", "1", "a%"]),
        (
            path_segment_name,
            vec!["a:b", ""],
            vec![".", "..", "a/b", "a%b"],
        ),
        (
            decimal_integer,
            vec!["0", "-1", "10"],
            vec!["", "-0", "01", "+1", "-", "1a"],
        ),
        (
            wildcard_dns1123_subdomain,
            vec!["*.a.b"],
            vec!["a", "*", "*a", "*.*.a"],
        ),
        (c_identifier, vec!["_a1"], vec!["", "1a", "a-b"]),
        (http_header_name, vec!["X-A"], vec!["", "a b"]),
    ] {
        for text in valid {
            assert_eq!(rule(text), Messages::new(), "{text:?}");
        }
        for text in invalid {
            assert_ne!(rule(text), Messages::new(), "{text:?}");
        }
    }
}

#[test]
fn texts_are_upstreams() {
    for (messages, want) in [
        (
            dns1123_subdomain("A"),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
        (
            dns1123_label("A"),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
        (
            dns1035_label("1"),
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ),
        (
            label_value("a b"),
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
        (
            qualified_name("a b"),
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (dns1123_label("a.b"), "must not contain dots"),
        (port_number(0), "must be between 1 and 65535, inclusive"),
    ] {
        assert_eq!(messages, [want]);
    }
    assert_eq!(
        dns1123_label(&"a".repeat(64)),
        ["must be no more than 63 characters"]
    );
}

fn object(metadata: Value) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata})
}

fn create(metadata: Value) -> ErrorList {
    object_meta(
        &object(metadata),
        true,
        name_is_dns_subdomain,
        &Path::new("metadata"),
    )
}

#[test]
fn metadata_on_create() {
    assert_eq!(
        create(json!({"name": "a", "namespace": "b"})),
        ErrorList::new()
    );
    for (metadata, want) in [
        (
            json!({"namespace": "b"}),
            "metadata.name: Required value: name or generateName is required",
        ),
        (json!({"name": "a"}), "metadata.namespace: Required value"),
        (
            json!({"name": "a", "namespace": "b", "finalizers": ["orphan", "foregroundDeletion"]}),
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set",
        ),
        (
            json!({"name": "a", "namespace": "b", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}),
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ),
        (
            json!({"name": "a", "namespace": "b", "generation": -1}),
            "metadata.generation: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            json!({"name": "a", "namespace": "b", "annotations": {"x": "y".repeat(262_144)}}),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
    ] {
        assert_eq!(create(metadata).to_string(), want);
    }
    let generated = create(json!({"generateName": "web-", "name": "web-x", "namespace": "b"}));
    assert_eq!(generated, ErrorList::new());
    let cluster = object_meta(
        &object(json!({"name": "a", "namespace": "b"})),
        false,
        name_is_dns_subdomain,
        &Path::new("metadata"),
    );
    assert_eq!(
        cluster.to_string(),
        "metadata.namespace: Forbidden: not allowed on this type"
    );
}

#[test]
fn metadata_on_update() {
    let old = json!({"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1",
        "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 2});
    let update = |change: Value| {
        let mut new = old.clone();
        for (key, value) in change.as_object().unwrap() {
            new[key] = value.clone();
        }
        object_meta_update(&object(new), &object(old.clone()), &Path::new("metadata")).to_string()
    };
    for (change, want) in [
        (
            json!({"name": "c"}),
            "metadata.name: Invalid value: \"c\": field is immutable",
        ),
        (
            json!({"uid": "v"}),
            "metadata.uid: Invalid value: \"v\": field is immutable",
        ),
        (
            json!({"resourceVersion": ""}),
            "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
        ),
        (
            json!({"generation": 1}),
            "metadata.generation: Invalid value: 1: must not be decremented",
        ),
    ] {
        assert_eq!(update(change), want);
    }
    let deleting = json!({"name": "a", "resourceVersion": "1", "finalizers": ["x/y"],
        "deletionTimestamp": "2020-01-01T00:00:00Z"});
    let mut added = deleting.clone();
    added["finalizers"] = json!(["x/y", "x/z"]);
    assert_eq!(
        object_meta_update(&object(added), &object(deleting), &Path::new("metadata")).to_string(),
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x/z\"}"
    );
}

#[test]
fn addresses_and_networks() {
    let path = Path::new("f");
    type Rule = fn(&Path, &str) -> ErrorList;
    for (rule, text, want) in [
        (ip as Rule, "10.9.8.7", ""),
        (ip, "2001:db8::ffff", ""),
        (
            ip,
            "x",
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (ip, "010.9.8.7", "must not have leading 0s"),
        (
            ip,
            "::ffff:1.2.3.4",
            "must not be an IPv4-mapped IPv6 address",
        ),
        (
            ip,
            "2001:DB8::1",
            "must be in canonical form (\"2001:db8::1\")",
        ),
        (ip_legacy, "2001:DB8::1", ""),
        (cidr, "10.9.8.0/24", ""),
        (
            cidr,
            "10.9.8.1/24",
            "must not have bits set beyond the prefix length",
        ),
        (
            cidr,
            "10.9.8.0/33",
            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
        (cidr, "0.0.0.0/0", ""),
        (
            cidr,
            "10.9.8.0/024",
            "must not have leading 0s in IP or prefix length",
        ),
        (interface_address, "10.9.8.7/24", ""),
    ] {
        let errors = rule(&path, text).to_string();
        let detail = if want.is_empty() {
            "[]".to_owned()
        } else {
            format!("f: Invalid value: \"{text}\": {want}")
        };
        assert_eq!(errors, detail, "{text}");
    }
}

#[test]
fn request_options() {
    assert_eq!(
        write_options("m", &["Some"], "Maybe").to_string(),
        "[dryRun: Unsupported value: [\"Some\"]: supported values: \"All\", fieldValidation: Unsupported value: \"Maybe\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"]"
    );
    assert_eq!(
        write_options("kubectl", &["All"], "Strict"),
        ErrorList::new()
    );
    assert_eq!(
        patch_options(false, Some(true), "", &[], "").to_string(),
        "force: Forbidden: may not be specified for non-apply patch"
    );
    assert_eq!(
        delete_options(&json!({"propagationPolicy": "Later"})).to_string(),
        "propagationPolicy: Unsupported value: \"Later\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
    );
    assert_eq!(
        write_options("a\u{7}", &[], "").to_string(),
        "fieldManager: Invalid value: \"a\\a\": invalid character U+0007 (at position 1)"
    );
}
