//! What upstream's decoders make of documents, and what they say of bad ones.

use super::*;
use mainstay_schema::{TypeId, schema};
use proptest::prelude::*;
use serde_json::{Value, json};

fn ty(group: &str, version: &str, kind: &str) -> TypeId {
    schema()
        .by_gvk(group, version, kind)
        .expect("a kind that is served")
}

fn deployment() -> Expected<'static> {
    Expected {
        ty: ty("apps", "v1", "Deployment"),
        group: "apps",
        version: "v1",
        kind: "Deployment",
    }
}

fn core(kind: &'static str) -> Expected<'static> {
    Expected {
        ty: ty("", "v1", kind),
        group: "",
        version: "v1",
        kind,
    }
}

fn error(expected: Expected<'_>, body: &str, mode: FieldValidation) -> String {
    let status = object(body.as_bytes(), Media::Json, expected, mode).unwrap_err();
    assert_eq!(status.code, 400);
    status.message
}

#[test]
fn wrong_types_are_told_in_gos_words() {
    for (body, why) in [
        (
            r#"{"spec": {"replicas": "3"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec": {"replicas": 1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec": {"replicas": 3000000000}}"#,
            "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            r#"{"spec": {"template": {"spec": {"containers": [{"image": 1}]}}}}"#,
            "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.image of type string",
        ),
        (
            r#"{"spec": {"template": {"spec": {"containers": {"a": 1}}}}}"#,
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            r#"{"metadata": {"labels": {"a": 1}}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            r#"{"metadata": {"labels": ["a"]}}"#,
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            r#"{"spec": {"template": {"spec": {"overhead": 1}}}}"#,
            "json: cannot unmarshal number into Go struct field PodSpec.spec.template.spec.overhead of type v1.ResourceList",
        ),
        (
            r#"{"spec": 1}"#,
            "json: cannot unmarshal number into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            r#"{"spec": {"paused": "yes"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            r#"{"metadata": {"creationTimestamp": 1}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            r#"{"metadata": {"creationTimestamp": "now"}}"#,
            r#"parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006""#,
        ),
        (
            r#"{"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            r#"{"spec": {"strategy": {"rollingUpdate": {"maxSurge": true}}}}"#,
            "json: cannot unmarshal bool into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
        ),
    ] {
        for mode in [FieldValidation::Ignore, FieldValidation::Warn] {
            let want =
                format!("Deployment in version \"v1\" cannot be handled as a Deployment: {why}");
            assert_eq!(error(deployment(), body, mode), want, "{body}");
        }
    }
    assert!(
        error(
            core("Secret"),
            r#"{"data": {"a": "b!"}}"#,
            FieldValidation::Warn
        )
        .ends_with("illegal base64 data at input byte 1")
    );
}

#[test]
fn unknown_and_duplicate_fields_warn_or_fail() {
    let body = r#"{"kind":"Deployment","apiVersion":"apps/v1","x":1,"spec":{"replicas":1,"replicas":2,
        "foo":{"a":1,"a":2},"template":{"spec":{"containers":[{"name":"a","nme":"b"}]}}}}"#;
    let decode = |mode| object(body.as_bytes(), Media::Json, deployment(), mode);
    let warned = decode(FieldValidation::Warn).unwrap();
    assert_eq!(
        warned.warnings,
        [
            r#"unknown field "x""#,
            r#"duplicate field "spec.replicas""#,
            r#"unknown field "spec.foo""#,
            r#"unknown field "spec.template.spec.containers[0].nme""#,
        ]
    );
    let want = json!({"kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": 2,
        "template": {"spec": {"containers": [{"name": "a"}]}}}});
    assert_eq!(warned.object, want);
    let ignored = decode(FieldValidation::Ignore).unwrap();
    assert_eq!((ignored.object, ignored.warnings), (want, Vec::new()));
    assert_eq!(
        decode(FieldValidation::Strict).unwrap_err().message,
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: \
         unknown field \"x\", duplicate field \"spec.replicas\", unknown field \"spec.foo\", \
         unknown field \"spec.template.spec.containers[0].nme\""
    );
    let many: Vec<String> = (0..200).map(|i| format!("\"x{i}\":1")).collect();
    let many = format!("{{{}}}", many.join(","));
    let decoded = object(
        many.as_bytes(),
        Media::Json,
        deployment(),
        FieldValidation::Warn,
    )
    .unwrap();
    assert_eq!(decoded.warnings.len(), crate::limits::STRICT_ERRORS_MAX);
}

#[test]
fn kinds_and_versions_must_fit() {
    for (body, want) in [
        (
            r#"{"kind":"Pod","apiVersion":"v1"}"#,
            r#"Pod in version "v1" cannot be handled as a Deployment: converting (v1.Pod) to (apps.Deployment): unknown conversion"#,
        ),
        (
            r#"{"kind":"Foo","apiVersion":"bar/v1"}"#,
            r#"Foo in version "v1" cannot be handled as a Deployment: no kind "Foo" is registered for version "bar/v1" in scheme "pkg/api/legacyscheme/scheme.go:30""#,
        ),
        (
            r#"{"kind":"Deployment","apiVersion":"a/b/c"}"#,
            r#"the object provided is unrecognized (must be of type Deployment): unexpected GroupVersion string: a/b/c ({"kind":"Deployment","apiVersi ...)"#,
        ),
        (
            "{",
            "the object provided is unrecognized (must be of type Deployment): couldn't get version/kind; json parse error: unexpected end of JSON input ({)",
        ),
        (
            "x",
            "the object provided is unrecognized (must be of type Deployment): couldn't get version/kind; json parse error: invalid character 'x' looking for beginning of value (78)",
        ),
        (
            "",
            "the object provided is unrecognized (must be of type Deployment): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
        ),
    ] {
        assert_eq!(error(deployment(), body, FieldValidation::Warn), want);
    }
    let bare = object(b"{}", Media::Json, deployment(), FieldValidation::Warn).unwrap();
    assert_eq!(
        bare.object,
        json!({"kind": "Deployment", "apiVersion": "apps/v1"})
    );
}

#[test]
fn syntax_errors_are_gos() {
    for (text, want) in [
        ("{\"a\" 1}", "invalid character '1' after object key"),
        (
            "{\"a\":1 \"b\"}",
            "invalid character '\"' after object key:value pair",
        ),
        ("[1 2]", "invalid character '2' after array element"),
        ("{} x", "invalid character 'x' after top-level value"),
        (
            "{a:1}",
            "invalid character 'a' looking for beginning of object key string",
        ),
        (
            "[1,]",
            "invalid character ']' looking for beginning of value",
        ),
    ] {
        assert_eq!(
            json(text.as_bytes()).unwrap_err().to_string(),
            want,
            "{text}"
        );
    }
    let deep = "[".repeat(200);
    assert_eq!(
        json(deep.as_bytes()).unwrap_err().to_string(),
        "exceeded max depth"
    );
    assert!(json_lenient("[".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn pruning_gives_what_go_would_print_again() {
    for (kind, before, after) in [
        (
            "Pod",
            json!({"spec": {"hostNetwork": false, "hostname": ""}}),
            json!({"spec": {}}),
        ),
        (
            "Pod",
            json!({"spec": {"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0}}),
            json!({"spec": {"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0}}),
        ),
        (
            "Pod",
            json!({"spec": {"volumes": [], "nodeSelector": {}}, "status": null}),
            json!({"spec": {}}),
        ),
        (
            "Pod",
            json!({"spec": {"containers": [null]}}),
            json!({"spec": {"containers": [{}]}}),
        ),
        (
            "Pod",
            json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]}}),
            json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]}}),
        ),
        (
            "Pod",
            json!({"metadata": {"creationTimestamp": "2020-01-01T01:00:00+01:00", "labels": {"a": null}}}),
            json!({"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z", "labels": {"a": ""}}}),
        ),
        (
            "ConfigMap",
            json!({"data": {"a": "", "b": "c"}}),
            json!({"data": {"a": "", "b": "c"}}),
        ),
        (
            "Secret",
            json!({"data": {"a": "YQ\n==", "b": null}}),
            json!({"data": {"a": "YQ==", "b": ""}}),
        ),
        (
            "Service",
            json!({"spec": {"ports": [{"port": 80, "targetPort": "web"}, {"port": 81, "targetPort": 8081}]}}),
            json!({"spec": {"ports": [{"port": 80, "targetPort": "web"}, {"port": 81, "targetPort": 8081}]}}),
        ),
    ] {
        let mut value = before.clone();
        let pruned = prune(ty("", "v1", kind), &mut value).unwrap();
        assert_eq!(
            (value.clone(), pruned.unknown),
            (after, Vec::new()),
            "{before}"
        );
        let again = value.clone();
        prune(ty("", "v1", kind), &mut value).unwrap();
        assert_eq!(value, again, "pruning twice changes nothing");
    }
}

#[test]
fn yaml_is_read_as_kubernetes_reads_it() {
    for (text, want) in [
        ("a: 1\nb: [x, 'y']", json!({"a": 1, "b": ["x", "y"]})),
        ("mode: 0644", json!({"mode": 420})),
        ("mode: 0x1F", json!({"mode": 31})),
        (
            "a: yes\nb: off\nc: \"yes\"",
            json!({"a": true, "b": false, "c": "yes"}),
        ),
        (
            "a: ~\nb:\nc: null",
            json!({"a": null, "b": null, "c": null}),
        ),
        (
            "a: 1.5\nb: 3.0\nc: 1e3",
            json!({"a": 1.5, "b": 3, "c": 1000}),
        ),
        (
            "a: 2008-01-01T01:01:01Z",
            json!({"a": "2008-01-01T01:01:01Z"}),
        ),
        ("a: !!str 1\nb: !!int \"2\"", json!({"a": "1", "b": 2})),
        (
            "a: |\n  x\n  y\nb: >-\n  x\n  y",
            json!({"a": "x\ny\n", "b": "x y"}),
        ),
        ("1: a\ntrue: b", json!({"1": "a", "true": "b"})),
        ("x: &a {k: 1}\nz: *a", json!({"x": {"k": 1}, "z": {"k": 1}})),
        (
            "x: &a {k: 1, l: 2}\nz:\n  <<: *a\n  k: 3",
            json!({"x": {"k": 1, "l": 2}, "z": {"k": 3, "l": 2}}),
        ),
        ("---\na: 1\n---\n", json!({"a": 1})),
        ("# only a comment\n---\na: 1\n", json!({"a": 1})),
        ("{\"a\": [1, 2]}", json!({"a": [1, 2]})),
        ("", json!(null)),
        (
            "port: 80_80\nm: -1\np: +5",
            json!({"port": 8080, "m": -1, "p": 5}),
        ),
        (
            "a: 1.2.3\nb: 1:30\nc: 0b11",
            json!({"a": "1.2.3", "b": "1:30", "c": 3}),
        ),
    ] {
        assert_eq!(yaml(text.as_bytes()).unwrap().value, want, "{text}");
    }
}

/// In builds in which another crate asked the parser for comments; in all others they never came.
#[test]
fn comments_were_taken_for_content_of_a_manifest() {
    let text = "# one\n# two\nkind: Pod # three\n# four\nspec:\n  # five\n  a: [1, # six\n    2]\n# seven\n";
    let value = super::yaml(text.as_bytes()).expect("a document").value;
    assert_eq!(
        value,
        serde_json::json!({"kind": "Pod", "spec": {"a": [1, 2]}})
    );
    let many = "# again\n".repeat(1000) + "kind: Pod\n";
    assert!(super::yaml(many.as_bytes()).is_ok());
}

#[test]
fn yaml_duplicates_and_limits() {
    let parsed = yaml(b"a: 1\nb:\n  c: 1\n  c: 2\na: 3").unwrap();
    assert_eq!(parsed.value, json!({"a": 3, "b": {"c": 2}}));
    assert_eq!(
        parsed.duplicates,
        [
            "yaml: unmarshal errors:\n  line 4: key \"c\" already set in map\n  line 5: key \"a\" already set in map"
        ]
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let previous = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{previous}]\n"));
    }
    assert_eq!(
        yaml(bomb.as_bytes()).unwrap_err().to_string(),
        "yaml: document contains excessive aliasing"
    );
    assert!(
        yaml(b"a: 1\n---\nb: 2\n")
            .unwrap_err()
            .to_string()
            .contains("one document")
    );
    assert!(yaml("[".repeat(5000).as_bytes()).is_err());
    assert!(yaml(b"a: &x [*x]").is_err());
    assert!(yaml(b"\xff").is_err());
    let yaml_strict = object(
        b"spec:\n  x: 1\n",
        Media::Yaml,
        deployment(),
        FieldValidation::Strict,
    );
    assert!(
        yaml_strict
            .unwrap_err()
            .message
            .ends_with(r#"strict decoding error: unknown field "spec.x""#)
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = json(&bytes);
        let _ = yaml(&bytes);
        let _ = object(&bytes, Media::Yaml, core("Pod"), FieldValidation::Strict);
    }

    #[test]
    fn text_garbage_never_panics(text in "[-a-c0-9:{}\\[\\],&*!|>'\"#%@ \n?~<.]{0,80}") {
        let _ = json(text.as_bytes());
        let _ = yaml(text.as_bytes());
    }

    #[test]
    fn any_json_prunes_or_fails_and_then_stays(value in any_json()) {
        let pod = ty("", "v1", "Pod");
        let mut first: Value = json!({"metadata": value.clone(), "spec": value});
        if prune(pod, &mut first).is_ok() {
            let mut again = first.clone();
            prop_assert_eq!(prune(pod, &mut again).unwrap().unknown, Vec::<String>::new());
            prop_assert_eq!(again, first);
        }
    }
}

/// Values whose keys are often those of real fields.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z0-9]{0,4}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("name".to_owned()),
        Just("labels".to_owned()),
        Just("containers".to_owned()),
        Just("env".to_owned()),
        Just("resources".to_owned()),
        Just("limits".to_owned()),
        Just("volumes".to_owned()),
        Just("ports".to_owned()),
        Just("$patch".to_owned()),
        "[a-z]{1,3}",
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}
