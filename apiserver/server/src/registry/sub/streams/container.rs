//! Which container of a pod is meant.

use serde_json::Value;

/// The container of this name; if none is named, the only one. `Err` is upstream's text.
pub(super) fn chosen<'a>(pod: &'a Value, container: &'a str) -> Result<&'a str, String> {
    let names = |list: &str| -> Vec<&'a str> {
        let items = pod["spec"][list].as_array().into_iter().flatten();
        items.filter_map(|item| item["name"].as_str()).collect()
    };
    let main = names("containers");
    let all = [
        names("initContainers"),
        main.clone(),
        names("ephemeralContainers"),
    ]
    .concat();
    let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
    match (container, main.as_slice()) {
        ("", [only]) => Ok(only),
        ("", []) => Err(format!("a container name must be specified for pod {pod}")),
        ("", _) => Err(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            all.join(" ")
        )),
        (name, _) if all.contains(&name) => Ok(name),
        (name, _) => Err(format!("container {name} is not valid for pod {pod}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_that_is_none_was_not_told() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {
            "initContainers": [{"name": "i"}],
            "containers": [{"name": "a"}, {"name": "b"}],
        }});
        let cases = [
            ("a", Ok("a")),
            ("i", Ok("i")),
            ("x", Err("container x is not valid for pod p")),
            (
                "",
                Err("a container name must be specified for pod p, choose one of: [i a b]"),
            ),
        ];
        for (container, expected) in cases {
            let got = chosen(&pod, container);
            assert_eq!(got, expected.map_err(str::to_owned), "{container}");
        }
        let one = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}});
        assert_eq!(chosen(&one, ""), Ok("a"));
    }
}
