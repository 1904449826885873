//! Upstream's own fixtures: one object of every kind with every field set, as JSON and YAML.
//!
//! They are read from a folder beside the project (or `MAINSTAY_GOLDEN`); without it the tests say so and pass.

use mainstay_machinery::{decode, encode};
use mainstay_schema::schema;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn golden() -> Option<PathBuf> {
    let found = std::env::var_os("MAINSTAY_GOLDEN")
        .map(PathBuf::from)
        .or_else(|| {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .ancestors()
                .map(|dir| dir.join("../shared/golden"))
                .find(|dir| dir.is_dir())
        });
    let objects = found?.join("kubernetes-1.36/objects");
    objects.is_dir().then_some(objects)
}

fn parse(path: &Path) -> Value {
    let bytes = std::fs::read(path).expect("a fixture");
    serde_json::from_slice(&bytes).expect("fixtures are JSON")
}

/// The fixtures of kinds that are served: name and JSON.
fn fixtures(dir: &Path) -> Vec<(PathBuf, Value)> {
    let mut fixtures = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "json") {
            let value = parse(&path);
            fixtures.push((path, value));
        }
    }
    fixtures.sort_by(|a, b| a.0.cmp(&b.0));
    fixtures
}

#[test]
fn every_fixture_decodes_and_encodes_to_itself() {
    let Some(dir) = golden() else {
        println!("skipped: no golden folder; set MAINSTAY_GOLDEN");
        return;
    };
    let mut checked = 0;
    let mut wrong = Vec::new();
    for (path, want) in fixtures(&dir) {
        let api_version = want["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let Some(ty) = schema().by_gvk(group, version, want["kind"].as_str().unwrap_or_default())
        else {
            continue;
        };
        checked += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path.with_extension("yaml")).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for (form, parsed) in [
            ("json", decode::json(&bytes).unwrap()),
            ("yaml", decode::yaml(text.as_bytes()).unwrap()),
        ] {
            assert_eq!(parsed.duplicates, Vec::<String>::new(), "{name}");
            let mut value = parsed.value;
            match decode::prune(ty, &mut value) {
                Ok(pruned) if pruned.unknown.is_empty() => {}
                other => wrong.push(format!("{name} {form}: {other:?}")),
            }
            encode::complete(ty, &mut value);
            if value != want {
                wrong.push(format!("{name} {form}: {}", difference("", &want, &value)));
            }
        }
        if encode::yaml(&want) != text {
            wrong.push(format!("{name}: YAML is printed differently"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 70, "{checked} kinds of fixtures");
    println!("{checked} fixtures decode from JSON and YAML to the same object and print the same");
}

/// The first place where two values differ.
fn difference(path: &str, want: &Value, got: &Value) -> String {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for key in want.keys().chain(got.keys()) {
                if want.get(key) != got.get(key) {
                    let path = format!("{path}.{key}");
                    return difference(
                        &path,
                        want.get(key).unwrap_or(&Value::Null),
                        got.get(key).unwrap_or(&Value::Null),
                    );
                }
            }
            path.to_owned()
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            let at = want
                .iter()
                .zip(got)
                .position(|(a, b)| a != b)
                .unwrap_or_default();
            difference(&format!("{path}[{at}]"), &want[at], &got[at])
        }
        _ => format!("{path}: want {want}, got {got}"),
    }
}
