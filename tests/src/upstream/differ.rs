//! What differs between two lists of answers.

use serde_json::Value;

use super::section::Section;

/// Lines shown of one difference.
const LINES_MAX: usize = 60;

/// One answer that is not the same.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What was asked.
    pub title: String,
    /// What differs: lines with `-` are upstream's, those with `+` ours.
    pub lines: Vec<String>,
    /// Why that is right, if it is.
    pub accepted: Option<String>,
}

/// Titles of answers that may differ, with reasons: `file: title => reason`.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    rules: Vec<(String, String, String)>,
}

impl Accepted {
    /// Reads the file `accepted.txt`.
    pub fn read() -> Self {
        let path = super::folder().join("accepted.txt");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let rules = text.lines().filter(|line| !line.starts_with('#'));
        let rules = rules.filter_map(|line| {
            let (place, reason) = line.split_once(" => ")?;
            let (file, title) = place.split_once(": ")?;
            Some((file.to_owned(), title.to_owned(), reason.to_owned()))
        });
        Self {
            rules: rules.collect(),
        }
    }

    /// Why this answer may differ.
    pub fn reason(&self, file: &str, title: &str) -> Option<&str> {
        let mut rules = self.rules.iter();
        rules
            .find(|(in_file, part, _)| (in_file == "*" || in_file == file) && title == part)
            .map(|(_, _, reason)| reason.as_str())
    }
}

/// Compares answers by title.
pub fn compare(
    file: &str,
    upstream: &[Section],
    mainstay: &[Section],
    accepted: &Accepted,
) -> Vec<Difference> {
    let mut found = Vec::new();
    for theirs in upstream {
        let ours = mainstay.iter().find(|ours| ours.title == theirs.title);
        let ours = ours.map_or("(not asked)", |ours| &ours.text);
        if ours == theirs.text {
            continue;
        }
        let mut lines = between(&theirs.text, ours);
        if lines.len() > LINES_MAX {
            let more = lines.len() - LINES_MAX;
            lines.truncate(LINES_MAX);
            lines.push(format!("… {more} more"));
        }
        found.push(Difference {
            title: theirs.title.clone(),
            lines,
            accepted: accepted.reason(file, &theirs.title).map(str::to_owned),
        });
    }
    found
}

fn between(theirs: &str, ours: &str) -> Vec<String> {
    let json = |text: &str| {
        let at = text.find('{')?;
        let (head, body) = text.split_at(at);
        Some((head.to_owned(), serde_json::from_str::<Value>(body).ok()?))
    };
    match (json(theirs), json(ours)) {
        (Some((head, theirs)), Some((our_head, ours))) => {
            let mut lines = Vec::new();
            if head != our_head {
                lines.extend([format!("- {head}"), format!("+ {our_head}")]);
            }
            trees("", &theirs, &ours, &mut lines);
            lines
        }
        _ => texts(theirs, ours),
    }
}

fn trees(path: &str, theirs: &Value, ours: &Value, lines: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let mut keys: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let path = format!("{path}.{key}");
                match (theirs.get(key), ours.get(key)) {
                    (Some(theirs), Some(ours)) => trees(&path, theirs, ours, lines),
                    (Some(theirs), None) => lines.push(format!("- {path} {theirs}")),
                    (None, Some(ours)) => lines.push(format!("+ {path} {ours}")),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (i, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                trees(&format!("{path}[{i}]"), theirs, ours, lines);
            }
        }
        _ if theirs == ours => {}
        _ => lines.extend([format!("- {path} {theirs}"), format!("+ {path} {ours}")]),
    }
}

fn texts(theirs: &str, ours: &str) -> Vec<String> {
    let theirs: Vec<&str> = theirs.lines().collect();
    let ours: Vec<&str> = ours.lines().collect();
    let same = |a: &[&str], b: &[&str]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let front = same(&theirs, &ours);
    let reversed = |lines: &[&str]| -> Vec<String> {
        lines[front..]
            .iter()
            .rev()
            .map(|line| (*line).to_owned())
            .collect()
    };
    let (a, b) = (reversed(&theirs), reversed(&ours));
    let back = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let shown = |mark: &str, lines: &[&str]| -> Vec<String> {
        let middle = &lines[front..lines.len() - back];
        middle.iter().map(|line| format!("{mark} {line}")).collect()
    };
    [shown("-", &theirs), shown("+", &ours)].concat()
}
