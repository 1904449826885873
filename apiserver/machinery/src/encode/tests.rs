//! Stored bytes, serving them, and YAML.

use super::*;
use bytes::Bytes;
use mainstay_schema::schema;
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn stored_bytes_begin_the_same_way_and_take_a_version() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"metadata": {"x": 1}},
        "metadata": {"name": "a", "resourceVersion": "5", "labels": {"b": "c"}}});
    let stored = Bytes::from(canonical(&pod));
    assert_eq!(
        stored,
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"labels":{"b":"c"},"name":"a"},"spec":{"metadata":{"x":1}}}"#
    );
    let spliced = splice(&stored, 7).unwrap();
    let mut served = Vec::new();
    spliced.write_to(&mut served);
    assert_eq!(served.len(), spliced.len());
    assert_eq!(
        String::from_utf8(served.clone()).unwrap(),
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","labels":{"b":"c"},"name":"a"},"spec":{"metadata":{"x":1}}}"#
    );
    let mut copied = Vec::new();
    assert!(splice_bytes(&stored, 7, &mut copied));
    assert_eq!(copied, served);
    assert_eq!(
        spliced.tail.as_ptr(),
        stored[spliced.head.len()..].as_ptr(),
        "nothing is copied"
    );
}

#[test]
fn objects_without_metadata_can_be_served_too() {
    let stored = canonical(&json!({"kind": "Pod", "apiVersion": "v1"}));
    let mut served = Vec::new();
    assert!(splice_bytes(&stored, 1, &mut served));
    let value: Value = serde_json::from_slice(&served).unwrap();
    assert_eq!(value["metadata"], json!({"resourceVersion": "1"}));
    assert!(!splice_bytes(b"k8s\0", 1, &mut served));
    assert!(splice(&Bytes::from_static(b"{}"), 1).is_none());
}

#[test]
fn metadata_is_cut_out_of_stored_bytes() {
    for metadata in [
        json!({}),
        json!({"name": "a"}),
        json!({"annotations": {"x": "}\"{\\", "y": "\\\""}, "ownerReferences": [{"name": "b"}], "name": "ä"}),
    ] {
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"metadata": {}},
            "data": 12, "items": [1, {"a": "]"}], "status": "a,\"b", "x": null});
        let stored = canonical(&pod);
        let mut partial = Vec::new();
        assert!(partial_bytes(&stored, 7, &mut partial));
        let value: Value = serde_json::from_slice(&partial).unwrap();
        let mut want = partial_metadata(&pod);
        want["metadata"]["resourceVersion"] = "7".into();
        assert_eq!(value, want);
        for name in ["spec", "status", "data", "x"] {
            let found = member(&stored, name).map(|bytes| serde_json::from_slice(bytes).unwrap());
            assert_eq!(found, pod.get(name).cloned(), "{name}");
        }
        assert!(is_canonical(&stored) && !is_canonical(b"k8s\0\"metadata\":{"));
        for end in 0..stored.len() {
            let mut out = Vec::new();
            // Cut bytes may be refused, never more.
            let _ = partial_bytes(&stored[..end], 7, &mut out);
            let _ = member(&stored[..end], "status");
        }
    }
}

#[test]
fn lists_are_concatenations() {
    let pod = |name: &str| {
        canonical(&json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}}))
    };
    let meta = ListMeta {
        resource_version: 9,
        continue_token: "abc".to_owned(),
        remaining_item_count: Some(3),
    };
    let mut list = list_head("PodList", "v1", &meta);
    assert!(list_item(&pod("a"), 5, true, &mut list));
    assert!(list_item(&pod("b"), 6, false, &mut list));
    list.extend_from_slice(LIST_TAIL);
    let value: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(
        value,
        json!({"kind": "PodList", "apiVersion": "v1",
            "metadata": {"resourceVersion": "9", "continue": "abc", "remainingItemCount": 3},
            "items": [{"metadata": {"name": "a", "resourceVersion": "5"}},
                      {"metadata": {"name": "b", "resourceVersion": "6"}}]})
    );
    let partial = partial_metadata_list(&value);
    assert_eq!(partial["items"][1]["kind"], "PartialObjectMetadata");
    assert_eq!(partial["metadata"]["remainingItemCount"], 3);
}

#[test]
fn fields_that_go_always_prints_are_added() {
    let ty = schema().by_gvk("", "v1", "Pod").unwrap();
    let mut pod = json!({"spec": {"containers": [{"name": "a"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    complete(ty, &mut pod);
    assert_eq!(
        pod["spec"]["containers"][0],
        json!({"name": "a", "resources": {}})
    );
    assert_eq!(
        pod["status"]["conditions"][0],
        json!({"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": null})
    );
    assert_eq!(pod["metadata"], json!({}));
    let before = pod.clone();
    complete(ty, &mut pod);
    assert_eq!(pod, before);
}

#[test]
fn yaml_is_printed_as_the_go_library_does() {
    let long = "a long message of many words that goes on until it is longer than eighty columns wide and must fold";
    for (value, want) in [
        (json!({}), "{}\n"),
        (json!({"b": 1, "a": [1, "x"]}), "a:\n- 1\n- x\nb: 1\n"),
        (
            json!({"a": {"b": {}, "c": [], "d": null}}),
            "a:\n  b: {}\n  c: []\n  d: null\n",
        ),
        (json!([{"a": 1, "b": {"c": 2}}]), "- a: 1\n  b:\n    c: 2\n"),
        (
            json!({"a": [[1, 2], {"b": 3}]}),
            "a:\n- - 1\n  - 2\n- b: 3\n",
        ),
        (
            json!({"a": "true", "b": "1", "c": "", "d": "null", "e": "1.5", "f": "2008-01-01T01:01:01Z", "g": "12:30", "h": "0x1", "i": "<<"}),
            "a: \"true\"\nb: \"1\"\nc: \"\"\nd: \"null\"\ne: \"1.5\"\nf: \"2008-01-01T01:01:01Z\"\ng: \"12:30\"\nh: \"0x1\"\ni: <<\n",
        ),
        (
            json!({"a": "x: y", "b": "*", "c": "it's", "d": "- x", "e": " x", "f": "'q'", "g": "a #b", "h": "a:b", "i": "x:"}),
            "a: 'x: y'\nb: '*'\nc: it's\nd: '- x'\ne: ' x'\nf: '''q'''\ng: 'a #b'\nh: a:b\ni: 'x:'\n",
        ),
        (
            json!({"a": "x\ny\n", "b": "x\ny", "c": "x\n\n"}),
            "a: |\n  x\n  y\nb: |-\n  x\n  y\nc: |+\n  x\n\n",
        ),
        (
            json!({"a": "x \ny", "b": "tab\there"}),
            "a: \"x \\ny\"\nb: \"tab\\there\"\n",
        ),
        (json!({"a": " x\ny"}), "a: |2-\n   x\n  y\n"),
        (
            json!({"m": long}),
            "m: a long message of many words that goes on until it is longer than eighty columns\n  wide and must fold\n",
        ),
        (
            json!({"a10": 1, "a9": 2, "a-b": 3, "aB": 4, "a": 5, "B": 6}),
            "B: 6\na: 5\na-b: 3\na9: 2\na10: 1\naB: 4\n",
        ),
        (
            json!({"a": "2001-01-01T00:00:00Z ok", "b": "2001-01-01", "c": "\u{1f600}\u{a0}", "d": "é"}),
            "a: 2001-01-01T00:00:00Z ok\nb: \"2001-01-01\"\nc: \"\\U0001F600\u{a0}\"\nd: é\n",
        ),
        (json!({"<<": "<<"}), "\"<<\": <<\n"),
        (json!({"true": 1, "1": 2}), "\"1\": 2\n\"true\": 1\n"),
    ] {
        assert_eq!(yaml(&value), want);
        assert_eq!(crate::decode::yaml(want.as_bytes()).unwrap().value, value);
    }
}

proptest! {
    #[test]
    fn yaml_reads_back(text in "\\PC{0,60}|[-a: #'\"\n&*!?{}\\[\\],|>%@~0-9.]{0,100}", key in "[ -~]{0,20}") {
        let value = json!({"list": [text.clone(), {key.clone(): text.clone()}], key: text});
        let printed = yaml(&value);
        let back = crate::decode::yaml(printed.as_bytes());
        prop_assert!(back.is_ok(), "{printed}\n{back:?}");
        prop_assert_eq!(back.unwrap().value, value, "{}", printed);
    }
}
