//! Grammar, texts and matching as upstream's.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn labels(pairs: &Value) -> &Map<String, Value> {
    pairs.as_object().unwrap()
}

#[test]
fn label_selectors_print_sorted() {
    for (text, want) in [
        ("", ""),
        (" ", ""),
        ("x=a,y=b,z=c", "x=a,y=b,z=c"),
        ("z=c , x==a", "x==a,z=c"),
        ("x!=a", "x!=a"),
        ("x", "x"),
        ("!x", "!x"),
        ("! x", "!x"),
        ("x in (b,a,a)", "x in (a,b)"),
        ("x in ()", "x in ()"),
        ("x in (a,,b)", "x in (,a,b)"),
        ("x in (a,)", "x in (,a)"),
        ("x notin (in,notin)", "x notin (in,notin)"),
        ("x>1", "x>1"),
        ("x<10", "x<10"),
        ("x=", "x="),
        ("x=,z", "x=,z"),
        ("in,!notin", "in,!notin"),
        ("a.b/c=d", "a.b/c=d"),
        ("x=in", "x=in"),
    ] {
        let parsed = LabelSelector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(parsed.to_string(), want, "{text}");
    }
}

#[test]
fn label_selector_errors_are_upstreams() {
    for (text, want) in [
        (
            "x=a||y=b",
            "unable to parse requirement: values[0][x]: Invalid value: \"a||y\": a valid label must be",
        ),
        (
            ",",
            "found ',', expected: !, identifier, or 'end of string'",
        ),
        ("x,", "found '', expected: identifier after ','"),
        ("x,,y", "found ',', expected: identifier after ','"),
        (
            "=a",
            "found '=', expected: !, identifier, or 'end of string'",
        ),
        (
            "x a",
            "unable to parse requirement: found 'a', expected: in, notin, =, ==, !=, gt, lt",
        ),
        (
            "x in a",
            "unable to parse requirement: found 'a' expected: '('",
        ),
        (
            "x in (a b)",
            "unable to parse requirement: found 'b', expected: ',' or ')'",
        ),
        (
            "x in (a",
            "unable to parse requirement: found '', expected: ',' or ')'",
        ),
        (
            "x in (=",
            "unable to parse requirement: found '=', expected: ',', ')' or identifier",
        ),
        (
            "x>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        ("x==a==b", "found '==', expected: ',' or 'end of string'"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        (
            "!",
            "unable to parse requirement: found '', expected: identifier",
        ),
        (
            "-x=a",
            "unable to parse requirement: <nil>: Invalid value: \"-x\": name part must consist of",
        ),
        (
            "a/b/c=d",
            "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must consist of",
        ),
    ] {
        let error = LabelSelector::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(want), "{text}: {error}");
    }
}

#[test]
fn label_selectors_match() {
    let set = json!({"app": "web", "n": "5", "e": ""});
    for (text, want) in [
        ("", true),
        ("app=web", true),
        ("app=db", false),
        ("none=web", false),
        ("none!=web", true),
        ("app!=web", false),
        ("app in (db,web)", true),
        ("app notin (db)", true),
        ("none notin (db)", true),
        ("app", true),
        ("!app", false),
        ("!none", true),
        ("n>4", true),
        ("n>5", false),
        ("n<6", true),
        ("app>4", false),
        ("e=", true),
        ("none=", false),
        ("app=web,n=6", false),
    ] {
        let selector = LabelSelector::parse(text).unwrap();
        assert_eq!(selector.matches(Some(labels(&set))), want, "{text}");
    }
    assert!(!LabelSelector::nothing().matches(None));
    assert!(LabelSelector::everything().matches(None));
    let exact = LabelSelector::parse("app in (web),n>1").unwrap();
    assert_eq!(exact.requires_exactly("app"), Some("web"));
    assert_eq!(exact.requires_exactly("n"), None);
}

#[test]
fn selector_objects() {
    let web = json!({"app": "web"});
    for (object, matches) in [
        (json!(null), false),
        (json!({}), true),
        (json!({"matchLabels": {"app": "web"}}), true),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "web"]}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
            false,
        ),
        (
            json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}),
            false,
        ),
    ] {
        let selector = from_label_selector(&object).unwrap();
        assert_eq!(selector.matches(Some(labels(&web))), matches, "{object}");
    }
    let bad = json!({"matchExpressions": [{"key": "a", "operator": "Like"}]});
    assert_eq!(
        from_label_selector(&bad).unwrap_err().to_string(),
        "\"Like\" is not a valid label selector operator"
    );
    let empty = json!({"matchExpressions": [{"key": "a", "operator": "In"}]});
    assert!(
        from_label_selector(&empty)
            .unwrap_err()
            .to_string()
            .contains("values set can't be empty")
    );
}

#[test]
fn field_selectors() {
    let selector =
        FieldSelector::parse(r"spec.nodeName=n1,status.phase!=Failed,x==a\,b\=c").unwrap();
    assert_eq!(
        selector.to_string(),
        r"spec.nodeName=n1,status.phase!=Failed,x=a\,b\=c"
    );
    let lookup = |field: &str| match field {
        "spec.nodeName" => Some("n1"),
        "x" => Some("a,b=c"),
        _ => None,
    };
    assert!(selector.matches_with(lookup));
    assert_eq!(selector.requires_exactly("spec.nodeName"), Some("n1"));
    assert_eq!(selector.requires_exactly("status.phase"), None);
    assert!(FieldSelector::parse(",=,!=").unwrap().is_everything());
    for (text, want) in [
        ("abc", "invalid selector: 'abc'; can't understand 'abc'"),
        (
            r"a=\x",
            r"invalid field selector: invalid escape sequence: \x",
        ),
        (
            "a=b=c",
            "invalid field selector: unescaped character in value: 61",
        ),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), want);
    }
}

proptest! {
    #[test]
    fn label_selectors_round_trip(
        keys in proptest::collection::vec("[a-z]([-a-z0-9]{0,5}[a-z0-9])?", 1..4),
        value in "([a-z0-9]{1,6})?",
        shape in 0usize..6,
    ) {
        let text: Vec<String> = keys.iter().map(|key| match shape {
            0 => format!("{key}={value}"),
            1 => format!("{key}!={value}"),
            2 => format!("{key} in ({value},z)"),
            3 => format!("{key} notin ({value})"),
            4 => format!("!{key}"),
            _ => key.clone(),
        }).collect();
        let first = LabelSelector::parse(&text.join(",")).unwrap();
        let again = LabelSelector::parse(&first.to_string()).unwrap();
        prop_assert_eq!(first, again);
    }

    #[test]
    fn field_values_round_trip(value in "\\PC{0,20}") {
        let text = FieldSelector::one("a.b", &value).to_string();
        let parsed = FieldSelector::parse(&text).unwrap();
        prop_assert_eq!(parsed.terms()[0].value.as_str(), value.as_str());
    }

    #[test]
    fn garbage_never_panics(text in "[a-z!=<>(), \\\\in]{0,30}|\\PC{0,30}") {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text);
    }
}
