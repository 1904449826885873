//! What must differ between two servers becomes a word: uids, times, ages, revisions, tokens, addresses, ports.

use serde_json::Value;

/// Keys whose values are revisions.
const REVISIONS: [&str; 2] = ["resourceVersion", "involvedObjectResourceVersion"];
/// What names with random ends begin with.
const SUFFIXED: [&str; 2] = ["kube-api-access-", "debugger-"];
/// Addresses of the servers.
const ADDRESSES: [&str; 2] = ["127.0.0.1:", "192.0.2.10:"];
const WEEKDAYS: [&str; 7] = ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"];

/// A body that is JSON, on one line with sorted keys; any other body as text.
pub fn normal_json(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            let table = value.get("kind").is_some_and(|kind| kind == "Table");
            // Descriptions are our own.
            let columns = value.get_mut("columnDefinitions");
            for column in columns.and_then(Value::as_array_mut).into_iter().flatten() {
                column["description"] = Value::Null;
            }
            clean(&mut value, table);
            value.to_string()
        }
        Err(_) => normal_text(&String::from_utf8_lossy(body)),
    }
}

fn clean(value: &mut Value, ages: bool) {
    match value {
        Value::Object(map) => {
            // Server-side apply comes later.
            map.remove("managedFields");
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(text)
                        if REVISIONS.contains(&key.as_str()) && !text.is_empty() =>
                    {
                        "RV".clone_into(text);
                    }
                    Value::Number(port) if key.ends_with("odePort") && port.as_u64() > Some(0) => {
                        *value = Value::from("NODEPORT");
                    }
                    value => clean(value, ages),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, ages)),
        Value::String(text) => *text = words(text, ages),
        _ => {}
    }
}

/// What a command printed: words replaced, runs of spaces as two, since columns are as wide as their widest cell.
pub fn normal_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let (margin, rest) = line.split_at(indent);
        let named = rest.trim_start_matches('"');
        if REVISIONS.iter().any(|key| named.starts_with(key)) {
            out.push_str(margin);
            out.push_str("resourceVersion: RV\n");
            continue;
        }
        out.push_str(margin);
        out.push_str(spaces(&dates(&words(rest, true))).trim_end());
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

fn spaces(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut run = 0;
    for c in line.chars() {
        run = if c == ' ' { run + 1 } else { 0 };
        if run <= 2 {
            out.push(c);
        }
    }
    out
}

/// `Sat, 21 Nov 2026 19:00:00 +0000`.
fn dates(line: &str) -> String {
    let Some(day) = WEEKDAYS.iter().find_map(|day| line.find(day)) else {
        return line.to_owned();
    };
    let (before, rest) = line.split_at(day);
    let rest: Vec<&str> = rest.splitn(7, ' ').skip(6).collect();
    format!("{before}DATE {}", rest.join(" "))
}

fn words(text: &str, ages: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "_.:+-".contains(c) {
            word.push(c);
        } else {
            out.push_str(&replaced(&word, ages));
            word.clear();
            out.push(c);
        }
    }
    out.push_str(&replaced(&word, ages));
    out
}

fn replaced(word: &str, ages: bool) -> String {
    let body = word.trim_end_matches(['.', ':']);
    let tail = &word[body.len()..];
    let new = if body.starts_with("eyJ") && body.len() > 40 {
        "JWT".to_owned()
    } else if let Some(uid) = uid_in(body) {
        body.replace(uid, "UID")
    } else if shaped(body, "dddd-dd-ddTdd:dd:dd") {
        "TIME".to_owned()
    } else if let Some(kind) = SUFFIXED.iter().find(|kind| body.starts_with(**kind)) {
        format!("{kind}SUFFIX")
    } else if let Some(port) = ADDRESSES.iter().find_map(|own| body.strip_prefix(own)) {
        match port.parse::<u16>() {
            Ok(_) => "SERVER".to_owned(),
            Err(_) => body.to_owned(),
        }
    } else if body.starts_with("10.96.") && body != "10.96.0.1" && !body.contains(":") {
        "SERVICE-IP".to_owned()
    } else if ages && is_age(body) {
        "AGE".to_owned()
    } else if let Some((front, port)) = body.rsplit_once(':').filter(|(_, port)| is_node_port(port))
    {
        let _number = port;
        format!("{front}:NODEPORT")
    } else if ages && is_node_port(body) {
        "NODEPORT".to_owned()
    } else {
        body.to_owned()
    };
    new + tail
}

fn is_node_port(word: &str) -> bool {
    word.len() == 5
        && word
            .parse::<u16>()
            .is_ok_and(|port| (30_000..=32_767).contains(&port))
}

/// `12s`, `3m4s`, `5d`, `25ms`.
fn is_age(word: &str) -> bool {
    let mut digits = 0;
    let mut units = 0;
    for c in word.chars() {
        match c {
            '0'..='9' => digits += 1,
            's' | 'm' | 'h' | 'd' | 'y' if digits > 0 || (c == 's' && units > 0) => {
                units += 1;
                digits = 0;
            }
            _ => return false,
        }
    }
    units > 0 && digits == 0
}

fn uid_in(word: &str) -> Option<&str> {
    let shape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    let last = word.len().checked_sub(shape.len())?;
    (0..=last)
        .filter_map(|at| word.get(at..at + shape.len()))
        .find(|part| shaped(part, shape))
}

/// Whether a word begins with a shape: `d` is a digit, `x` a hexadecimal one.
fn shaped(word: &str, shape: &str) -> bool {
    word.len() >= shape.len()
        && word.chars().zip(shape.chars()).all(|(c, s)| match s {
            'd' => c.is_ascii_digit(),
            'x' => c.is_ascii_hexdigit(),
            s => c == s,
        })
}

#[cfg(test)]
mod tests {
    use super::{normal_json, normal_text};

    #[test]
    fn what_must_differ_becomes_a_word() {
        for (text, expected) in [
            ("NAME   AGE\na      12s", "NAME  AGE\na  AGE"),
            ("  resourceVersion: \"12\"", "  resourceVersion: RV"),
            ("at 2026-11-21T19:00:00Z.", "at TIME."),
            ("Start: Sat, 21 Nov 2026 19:00:00 +0000", "Start: DATE "),
            ("80:30123/TCP", "80:NODEPORT/TCP"),
            ("10.96.4.5", "SERVICE-IP"),
            ("a1b2c3d4-0000-4000-8000-0123456789ab", "UID"),
            ("pods is 3 of 5", "pods is 3 of 5"),
        ] {
            assert_eq!(normal_text(text), expected.trim_end(), "{text}");
        }
        let json = br#"{"metadata":{"resourceVersion":"5","managedFields":[],"name":"30s"}}"#;
        assert_eq!(
            normal_json(json),
            r#"{"metadata":{"name":"30s","resourceVersion":"RV"}}"#
        );
    }
}
