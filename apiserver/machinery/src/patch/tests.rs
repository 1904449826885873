//! Patches as tables: object, patch, result.

use super::*;
use crate::decode::{Expected, FieldValidation};
use mainstay_schema::{TypeId, schema};
use proptest::prelude::*;
use serde_json::{Value, json};

fn pod() -> TypeId {
    schema().by_gvk("", "v1", "Pod").unwrap()
}

fn strategic(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let mut object = object.clone();
    strategic_merge_patch(pod(), &mut object, patch.clone())?;
    Ok(object)
}

#[test]
fn merge_patches() {
    // The cases of RFC 7386, appendix A.
    for (target, patch, want) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (
            json!({"a": "b"}),
            json!({"b": "c"}),
            json!({"a": "b", "b": "c"}),
        ),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (
            json!({"a": "b", "b": "c"}),
            json!({"a": null}),
            json!({"b": "c"}),
        ),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            json!({"a": {"b": "d"}}),
        ),
        (
            json!({"a": [{"b": "c"}]}),
            json!({"a": [1]}),
            json!({"a": [1]}),
        ),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (
            json!({"e": null}),
            json!({"a": 1}),
            json!({"e": null, "a": 1}),
        ),
        (
            json!([1, 2]),
            json!({"a": "b", "c": null}),
            json!({"a": "b"}),
        ),
        (
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            json!({"a": {"bb": {}}}),
        ),
    ] {
        let mut value = target.clone();
        merge_patch(&mut value, patch.clone());
        assert_eq!(value, want, "{target} + {patch}");
    }
}

#[test]
fn json_patches() {
    for (document, patch, want) in [
        (
            json!({"a": 1}),
            json!([{"op": "add", "path": "/b", "value": 2}]),
            Ok(json!({"a": 1, "b": 2})),
        ),
        (
            json!({"a": [1, 2]}),
            json!([{"op": "add", "path": "/a/1", "value": 9}]),
            Ok(json!({"a": [1, 9, 2]})),
        ),
        (
            json!({"a": [1]}),
            json!([{"op": "add", "path": "/a/-", "value": 2}]),
            Ok(json!({"a": [1, 2]})),
        ),
        (
            json!({"a": [1, 2]}),
            json!([{"op": "remove", "path": "/a/0"}]),
            Ok(json!({"a": [2]})),
        ),
        (
            json!({"a": [1, 2]}),
            json!([{"op": "remove", "path": "/a/-1"}]),
            Ok(json!({"a": [1]})),
        ),
        (
            json!({"a": 1}),
            json!([{"op": "replace", "path": "/a", "value": null}]),
            Ok(json!({"a": null})),
        ),
        (
            json!({"a": {"b": 1}}),
            json!([{"op": "move", "from": "/a/b", "path": "/c"}]),
            Ok(json!({"a": {}, "c": 1})),
        ),
        (
            json!({"a": {"b": 1}}),
            json!([{"op": "copy", "from": "/a", "path": "/c"}]),
            Ok(json!({"a": {"b": 1}, "c": {"b": 1}})),
        ),
        (
            json!({"a/b": {"m~n": 1}}),
            json!([{"op": "replace", "path": "/a~1b/m~0n", "value": 2}]),
            Ok(json!({"a/b": {"m~n": 2}})),
        ),
        (
            json!({"a": 1}),
            json!([{"op": "test", "path": "/a", "value": 1.0}]),
            Ok(json!({"a": 1})),
        ),
        (
            json!({"a": 1}),
            json!([{"op": "test", "path": "/b", "value": null}]),
            Ok(json!({"a": 1})),
        ),
        (
            json!({"a": 1}),
            json!([{"op": "test", "path": "/a", "value": 2}]),
            Err("testing value /a failed: test failed"),
        ),
        (
            json!({"a": 1}),
            json!([{"op": "remove", "path": "/b"}]),
            Err(
                "error in remove for path: '/b': Unable to remove nonexistent key: b: missing value",
            ),
        ),
        (
            json!({"a": 1}),
            json!([{"op": "replace", "path": "/b", "value": 1}]),
            Err("replace operation does not apply: doc is missing key: /b: missing value"),
        ),
        (
            json!({"a": 1}),
            json!([{"op": "add", "path": "/b/c", "value": 1}]),
            Err("add operation does not apply: doc is missing path: /b/c: missing value"),
        ),
        (
            json!({"a": [1]}),
            json!([{"op": "add", "path": "/a/5", "value": 1}]),
            Err(
                "add operation does not apply: /a/5: Unable to access invalid index: invalid index referenced",
            ),
        ),
        (
            json!({"a": {}}),
            json!([{"op": "move", "from": "/a", "path": "/a/b"}]),
            Err("move operation does not apply: /a/b: a value cannot be moved into itself"),
        ),
        (
            json!({}),
            json!([{"op": "fly", "path": "/a"}]),
            Err("Unexpected kind: fly"),
        ),
        (
            json!({}),
            json!({"op": "add"}),
            Err("json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
        ),
    ] {
        let mut value = document.clone();
        let result = parse_json_patch(patch.clone())
            .and_then(|operations| apply_json_patch(&mut value, operations))
            .map(|()| value)
            .map_err(|e| e.to_string());
        assert_eq!(result, want.map_err(str::to_owned), "{document} + {patch}");
    }
}

#[test]
fn json_patches_are_limited() {
    let operation = json!({"op": "test", "path": "/a"});
    let many = Value::Array(vec![operation; 10_001]);
    assert_eq!(
        parse_json_patch(many).unwrap_err().into_status().message,
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
    let mut document = json!({"a": "x".repeat(1000)});
    let double = |i: usize| json!({"op": "copy", "from": "", "path": format!("/c{i}")});
    let doublings = Value::Array((0..40).map(double).collect());
    let result = parse_json_patch(doublings)
        .and_then(|operations| apply_json_patch(&mut document, operations));
    assert!(matches!(result, Err(PatchError::TooLarge(_))));
}

#[test]
fn strategic_patches_merge_maps_and_lists() {
    let env = json!({"spec": {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}});
    for (object, patch, want) in [
        (
            json!({}),
            json!({"metadata": {"labels": {"a": "b"}}}),
            json!({"metadata": {"labels": {"a": "b"}}}),
        ),
        (
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null, "c": "3"}}}),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}}}),
        ),
        // Lists with a merge key merge element by element; new elements come after those the server has.
        (
            env.clone(),
            json!({"spec": {"containers": [{"name": "a", "image": "2"}]}}),
            json!({"spec": {"containers": [{"name": "a", "image": "2", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}}),
        ),
        (
            env.clone(),
            json!({"spec": {"containers": [{"name": "c"}]}}),
            json!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}}),
        ),
        (
            env.clone(),
            json!({"spec": {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": null}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "image": "1", "env": [{"name": "Y", "value": "2"}, {"name": "X"}]}, {"name": "b"}]}}),
        ),
        // $patch: delete in a list removes the element, in a map the map's content.
        (
            env.clone(),
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
            json!({"spec": {"containers": [{"name": "b"}]}}),
        ),
        (
            env.clone(),
            json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "z"}]}}),
            json!({"spec": {"containers": [{"name": "z"}]}}),
        ),
        (
            json!({"spec": {"nodeSelector": {"a": "b"}}}),
            json!({"spec": {"nodeSelector": {"$patch": "delete"}}}),
            json!({"spec": {"nodeSelector": {}}}),
        ),
        (
            json!({"spec": {"nodeSelector": {"a": "b"}}}),
            json!({"spec": {"nodeSelector": {"$patch": "replace", "c": "d"}}}),
            json!({"spec": {"nodeSelector": {"c": "d"}}}),
        ),
        (
            json!({"spec": {}}),
            json!({"spec": {"nodeSelector": {"$patch": "delete"}}}),
            json!({"spec": {}}),
        ),
        // Lists without a strategy are replaced.
        (
            json!({"spec": {"containers": [{"name": "a", "args": ["1", "2"]}]}}),
            json!({"spec": {"containers": [{"name": "a", "args": ["3"]}]}}),
            json!({"spec": {"containers": [{"name": "a", "args": ["3"]}]}}),
        ),
        // Lists of scalars that merge are sets.
        (
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
        ),
        (
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b", "x"]}}),
            json!({"metadata": {"finalizers": ["a", "c"]}}),
        ),
        (
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["c", "b"], "finalizers": ["c"]}}),
            json!({"metadata": {"finalizers": ["c", "b"]}}),
        ),
        // A value of another type replaces; nulls are not kept.
        (
            json!({"spec": {"nodeName": "a"}}),
            json!({"spec": null}),
            json!({}),
        ),
        (
            json!({}),
            json!({"spec": {"nodeName": null, "hostname": "x"}}),
            json!({"spec": {"hostname": "x"}}),
        ),
        // Merge keys may be numbers.
        (
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "x"}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "y"}, {"containerPort": 81}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "y"}, {"containerPort": 81}]}]}}),
        ),
    ] {
        assert_eq!(
            strategic(&object, &patch).as_ref(),
            Ok(&want),
            "{object} + {patch}"
        );
    }
}

#[test]
fn strategic_patches_order_lists() {
    let names =
        |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
    for (server, order, patch, want) in [
        // The order rules over the elements it names; others stay behind their old neighbours.
        (
            vec!["a", "b", "c"],
            vec!["c", "a", "b"],
            None,
            vec!["c", "a", "b"],
        ),
        (
            vec!["a", "b", "c"],
            vec!["c", "a"],
            None,
            vec!["b", "c", "a"],
        ),
        (
            vec!["a", "x", "b"],
            vec!["a", "b"],
            None,
            vec!["a", "x", "b"],
        ),
        (
            vec!["a", "b"],
            vec!["n", "a", "b"],
            Some(vec!["n"]),
            vec!["n", "a", "b"],
        ),
        (
            vec!["a", "b"],
            vec!["a", "n", "b"],
            Some(vec!["n"]),
            vec!["a", "n", "b"],
        ),
        (vec![], vec!["b", "a"], Some(vec!["b", "a"]), vec!["b", "a"]),
        (
            vec!["x", "a"],
            vec!["n", "a"],
            Some(vec!["n"]),
            vec!["n", "x", "a"],
        ),
    ] {
        let object = json!({"spec": {"containers": names(&server)}});
        let mut change = json!({"spec": {"$setElementOrder/containers": names(&order)}});
        if let Some(patch) = &patch {
            change["spec"]["containers"] = names(patch);
        }
        let result = strategic(&object, &change).unwrap();
        assert_eq!(
            result["spec"]["containers"],
            names(&want),
            "{server:?} {order:?} {patch:?}"
        );
    }
}

#[test]
fn strategic_patches_retain_keys() {
    let volume = |source: Value| json!({"spec": {"volumes": [source]}});
    let before = volume(json!({"name": "v", "emptyDir": {}}));
    let patch = volume(
        json!({"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}),
    );
    assert_eq!(
        strategic(&before, &patch),
        Ok(volume(json!({"name": "v", "hostPath": {"path": "/x"}})))
    );
    let missing = volume(json!({"name": "v", "$retainKeys": ["name"], "hostPath": {"path": "/x"}}));
    assert_eq!(
        strategic(&before, &missing).unwrap_err().to_string(),
        "invalid patch format of retainKeys"
    );
}

#[test]
fn strategic_patch_errors_are_upstreams() {
    let object =
        json!({"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "a"}]}});
    for (patch, want) in [
        (
            json!({"spec": {"containers": [{"image": "x"}]}}),
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            json!({"spec": {"containers": [{"$patch": "delete"}]}}),
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (
            json!({"spec": {"$patch": "fly"}}),
            "unknown patch type: fly in map: map[$patch:fly]",
        ),
        (
            json!({"spec": {"containers": [{"name": "a", "$patch": "merge"}]}}),
            "merging lists cannot yet be specified in the patch",
        ),
        (
            json!({"spec": {"$setElementOrder/containers": "x"}}),
            "expected a []interface {}, but received a string",
        ),
        (
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}}),
            "The order in patch list:\n[map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n",
        ),
        (
            json!({"spec": {"containers": ["x"]}}),
            "list element types are not identical: map[string]interface {}, string",
        ),
        (
            json!({"metadata": {"finalizers": [["x"]]}}),
            "list element types are not identical: string, []interface {}",
        ),
        (json!([]), "invalid JSON document"),
    ] {
        assert_eq!(
            strategic(&object, &patch).unwrap_err().to_string(),
            want,
            "{patch}"
        );
    }
}

fn expected() -> Expected<'static> {
    Expected {
        ty: pod(),
        group: "",
        version: "v1",
        kind: "Pod",
    }
}

#[test]
fn a_patch_request_ends_in_the_schemas_form() {
    let current = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {"nodeName": "n"}});
    let run = |kind, patch: &str, mode| apply(kind, expected(), &current, patch.as_bytes(), mode);
    let merged = run(
        PatchKind::Merge,
        r#"{"spec":{"hostname":"h","foo":1,"hostNetwork":false}}"#,
        FieldValidation::Warn,
    )
    .unwrap();
    assert_eq!(
        merged.object["spec"],
        json!({"nodeName": "n", "hostname": "h"})
    );
    assert_eq!(merged.warnings, [r#"unknown field "spec.foo""#]);
    for (kind, patch, code, want) in [
        (
            PatchKind::Strategic,
            r#"{"spec":{"foo":1,"hostname":"a","hostname":"b"}}"#,
            422,
            r#" "" is invalid: patch: Invalid value: "map[spec:map[foo:1 hostname:b]]": strict decoding error: duplicate field "spec.hostname", unknown field "spec.foo""#,
        ),
        (
            PatchKind::Merge,
            r#"{"spec":{"nodeName":1}}"#,
            422,
            r#" "" is invalid: patch: Invalid value: "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":1}}": json: cannot unmarshal number into Go struct field PodSpec.spec.nodeName of type string"#,
        ),
        (
            PatchKind::Json,
            r#"[{"op":"test","path":"/spec/nodeName","value":"n","extra":1}]"#,
            422,
            r#" "" is invalid: patch: Invalid value: "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"n\"}}": strict decoding error: json patch unknown field "[0].extra""#,
        ),
        (
            PatchKind::Json,
            r#"[{"op":"test","path":"/spec/nodeName","value":"x"}]"#,
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            PatchKind::Json,
            "{",
            400,
            "error decoding patch: unexpected end of JSON input",
        ),
        (
            PatchKind::Merge,
            "1",
            400,
            "error decoding patch: json: cannot unmarshal int64 into Go value of type map[string]interface {}",
        ),
        (
            PatchKind::Merge,
            r#"{"kind":"Service"}"#,
            422,
            r#" "" is invalid: patch: Invalid value: "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"n\"}}": converting (v1.Service) to (core.Pod): unknown conversion"#,
        ),
    ] {
        let status = run(kind, patch, FieldValidation::Strict).unwrap_err();
        assert_eq!(
            (status.code, status.message.as_str()),
            (code, want),
            "{patch}"
        );
    }
    let nest = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    let deep = format!(
        r#"[{{"op":"add","path":"/spec/x","value":{nest}}},{{"op":"copy","from":"/spec","path":"/spec/x{}/b"}}]"#,
        "/a".repeat(99)
    );
    assert!(
        run(PatchKind::Json, &deep, FieldValidation::Ignore)
            .unwrap_err()
            .message
            .ends_with("exceeded max depth")
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i8>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
        Just(Value::from("delete")),
        Just(Value::from("replace")),
    ];
    let key = prop_oneof![
        Just("spec"),
        Just("metadata"),
        Just("containers"),
        Just("name"),
        Just("env"),
        Just("finalizers"),
        Just("labels"),
        Just("$patch"),
        Just("$retainKeys"),
        Just("$setElementOrder/containers"),
        Just("$deleteFromPrimitiveList/finalizers"),
        Just("volumes"),
        Just("tolerations"),
    ];
    leaf.prop_recursive(5, 32, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(k, v)| (k.clone(), without_nulls(v)))
            .collect(),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn strategic_patches_never_panic(object in any_json(), patch in any_json()) {
        let _ = strategic(&object, &patch);
    }

    #[test]
    fn merge_patches_applied_twice_change_nothing_more(target in any_json(), patch in any_json()) {
        let mut once = target;
        merge_patch(&mut once, patch.clone());
        let mut twice = once.clone();
        merge_patch(&mut twice, patch);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn an_object_without_nulls_as_a_merge_patch_gives_itself(target in any_json()) {
        let target = without_nulls(&target);
        let mut merged = Value::Null;
        merge_patch(&mut merged, target.clone());
        prop_assert_eq!(merged, target);
    }

    #[test]
    fn json_patches_never_panic(document in any_json(), path in "(/(a|spec|metadata|-|-1|0|1|~1|~)){0,4}", op in "add|remove|replace|move|copy|test") {
        let mut document = document;
        let patch = json!([{"op": op, "path": path, "from": "/spec", "value": 1}]);
        if let Ok(operations) = parse_json_patch(patch) {
            let _ = apply_json_patch(&mut document, operations);
        }
    }
}
