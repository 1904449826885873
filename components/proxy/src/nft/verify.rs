//! What is found in the kernel, from nft's JSON, and how it differs from what should be there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::names::is_affinity;

/// The table as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Chains, with the number of their rules.
    pub chains: BTreeMap<String, usize>,
    /// Sets and maps, with the seconds for which their elements stay; 0 for those that stay for ever.
    pub sets: BTreeMap<String, u32>,
    /// By set or map and key; what a key stands for in maps, as the text of rules has it.
    pub elements: BTreeMap<(String, String), String>,
}

/// Our table's name, which nft tells apart from its family.
const NAME: &str = "kube-proxy";

impl Found {
    /// Reads what `nft --json list` printed; others' tables are left out.
    ///
    /// # Errors
    /// Says that it is no such text.
    pub fn read(json: &str) -> Result<Self, String> {
        let told: Value =
            serde_json::from_str(json).map_err(|error| format!("nft's answer: {error}"))?;
        let all = told["nftables"].as_array();
        let all = all.ok_or("nft's answer has no list")?;
        let mut found = Self::default();
        for object in all {
            let object = object.as_object().into_iter().flatten();
            for (kind, object) in object.filter(|(_, object)| object["table"] == NAME) {
                found.take(kind, object);
            }
        }
        Ok(found)
    }

    fn take(&mut self, kind: &str, object: &Value) {
        let name = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        match kind {
            "chain" => {
                self.chains.entry(name("name")).or_default();
            }
            "rule" => *self.chains.entry(name("chain")).or_default() += 1,
            "set" | "map" => {
                let seconds = object["timeout"]
                    .as_u64()
                    .and_then(|s| u32::try_from(s).ok());
                self.sets.insert(name("name"), seconds.unwrap_or_default());
                for element in object["elem"].as_array().into_iter().flatten() {
                    let (key, value) = match (kind, element.as_array().map(Vec::as_slice)) {
                        ("map", Some([key, value])) => (key_text(key), value_text(value)),
                        _ => (key_text(element), String::new()),
                    };
                    self.elements.insert((name("name"), key), value);
                }
            }
            _ => {}
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn key_text(value: &Value) -> String {
    let value = match &value["elem"]["val"] {
        // With a time or a comment.
        Value::Null => value,
        inner => inner,
    };
    match value["concat"].as_array() {
        Some(parts) => parts.iter().map(plain).collect::<Vec<_>>().join(" . "),
        None => plain(value),
    }
}

fn value_text(value: &Value) -> String {
    if let Some(chain) = value["goto"]["target"].as_str() {
        return format!("goto {chain}");
    }
    match value.as_object().and_then(|verdict| verdict.keys().next()) {
        Some(verdict) if verdict == "drop" => "drop".to_owned(),
        _ => key_text(value),
    }
}

/// Differences that are told; the rest are many.
const TOLD_MAX: usize = 5;

/// What is not as it should be, in words; nothing if all is. Which clients are remembered does not matter.
#[must_use]
pub fn differences(expected: &Found, found: &Found) -> Vec<String> {
    let mut told = Vec::new();
    for (chain, rules) in &expected.chains {
        match found.chains.get(chain) {
            Some(other) if other == rules => {}
            Some(other) => told.push(format!("chain {chain} has {other} rules, not {rules}")),
            None => told.push(format!("chain {chain} is not there")),
        }
    }
    let others = found.chains.keys();
    for chain in others.filter(|chain| !expected.chains.contains_key(*chain)) {
        told.push(format!("chain {chain} is nobody's"));
    }
    for (set, seconds) in &expected.sets {
        if found.sets.get(set) != Some(seconds) {
            told.push(format!("set {set} is not there"));
        }
    }
    for set in found
        .sets
        .keys()
        .filter(|set| is_affinity(set) && !expected.sets.contains_key(*set))
    {
        told.push(format!("set {set} is nobody's"));
    }
    for (at, value) in &expected.elements {
        if found.elements.get(at) != Some(value) {
            told.push(format!("{} has no {} : {value}", at.0, at.1));
        }
    }
    for (set, key) in found.elements.keys() {
        let is_ours =
            !is_affinity(set) && !expected.elements.contains_key(&(set.clone(), key.clone()));
        if is_ours {
            told.push(format!("{set} has {key}, which is nobody's"));
        }
    }
    let more = told.len().saturating_sub(TOLD_MAX);
    told.truncate(TOLD_MAX);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nfts_answer_is_read() {
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "kube-proxy"}},
            {"set": {"name": "affinity-X", "table": "kube-proxy", "timeout": 10800, "elem": [{"elem": {"val": "10.0.0.9", "expires": 5}}]}},
            {"map": {"name": "endpoints-0", "table": "kube-proxy", "elem": [[0, {"concat": ["10.0.0.1", 80]}]]}},
            {"map": {"name": "service-ips", "table": "kube-proxy", "elem": [
                [{"concat": ["10.0.0.2", "udp", 53]}, {"drop": null}],
                [{"concat": ["10.0.0.1", "tcp", 80]}, {"goto": {"target": "a/b"}}]]}},
            {"chain": {"table": "kube-proxy", "name": "a/b"}}, {"chain": {"table": "other", "name": "c"}},
            {"rule": {"table": "kube-proxy", "chain": "a/b", "expr": []}}]}"#;
        let found = Found::read(json).expect("it can be read");
        assert_eq!(found.chains, BTreeMap::from([("a/b".to_owned(), 1)]));
        assert_eq!(found.sets["affinity-X"], 10_800);
        let at = |set: &str, key: &str| found.elements[&(set.to_owned(), key.to_owned())].clone();
        assert_eq!(at("endpoints-0", "0"), "10.0.0.1 . 80");
        assert_eq!(at("service-ips", "10.0.0.2 . udp . 53"), "drop");
        assert_eq!(at("service-ips", "10.0.0.1 . tcp . 80"), "goto a/b");
        assert_eq!(at("affinity-X", "10.0.0.9"), "");
        assert!(Found::read("{}").is_err());
        assert!(Found::read("").is_err());
    }

    #[test]
    fn differences_are_told() {
        let mut expected = Found::default();
        expected.chains.insert("a".to_owned(), 2);
        let at = |key: &str| ("service-ips".to_owned(), key.to_owned());
        expected.elements.insert(at("k"), "drop".to_owned());
        assert!(differences(&expected, &expected).is_empty());
        let mut found = Found::default();
        found.chains.insert("a".to_owned(), 1);
        found.chains.insert("b".to_owned(), 0);
        found.elements.insert(at("l"), String::new());
        let remembered = ("affinity-a".to_owned(), "10.0.0.1".to_owned());
        found.elements.insert(remembered, String::new());
        let told = [
            "chain a has 1 rules, not 2",
            "chain b is nobody's",
            "service-ips has no k : drop",
            "service-ips has l, which is nobody's",
        ];
        assert_eq!(differences(&expected, &found), told);
    }
}
