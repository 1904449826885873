//! Replaces what differs between any two clusters: addresses, ids, raft numbers, hashes, sizes, versions and times.

use std::collections::HashMap;
use std::fmt::Write as _;

/// Digits from which a number is taken for an id: revisions and counts in the scripts are far smaller.
const ID_DIGITS_MIN: usize = 14;
/// Hexadecimal ids are printed without leading zeros: one in 65,536 has fewer digits than this.
const ID_HEX_MIN: usize = 12;

/// Ids in the order in which they appeared, so that one id keeps one name through a script.
#[derive(Debug, Default)]
pub(crate) struct Names {
    addresses: Vec<(String, String)>,
    ids: HashMap<u64, usize>,
    anonymous: bool,
}

impl Names {
    pub(crate) fn new(addresses: Vec<(String, String)>, anonymous: bool) -> Self {
        Self {
            addresses,
            ids: HashMap::new(),
            anonymous,
        }
    }

    /// Normalises the output of one command.
    pub(crate) fn normalise(&mut self, command: &str, output: &[u8]) -> String {
        if command.contains("-w protobuf")
            && let Some(text) = self.protobuf(output)
        {
            return text;
        }
        let mut text = String::from_utf8_lossy(output).into_owned();
        for (address, name) in &self.addresses {
            text = text.replace(address, name);
        }
        let lines: Vec<String> = text.lines().map(|line| self.line(command, line)).collect();
        table(&lines).join("\n")
    }

    fn line(&mut self, command: &str, line: &str) -> String {
        if let Some(log) = log_line(line) {
            return log;
        }
        let mut line = match line.split_once("took = ") {
            Some((head, _)) => format!("{head}took = <time>"),
            None => line.to_owned(),
        };
        if line.starts_with("Member ") {
            // Ids are padded to 16 places with blanks.
            line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        if let Some(list) = line.strip_prefix("ETCD_INITIAL_CLUSTER=") {
            // In the order of ids, which depend on ports.
            let mut entries: Vec<&str> = list.trim_matches('"').split(',').collect();
            entries.sort_unstable();
            line = format!("ETCD_INITIAL_CLUSTER={}", entries.join(","));
        }
        for label in labels(command) {
            line = mask_after(&line, label);
        }
        line = mask_columns(command, &line);
        self.name_ids(&line)
    }

    /// Replaces ids, 16 hexadecimal digits or a long decimal number, by `<idN>`.
    fn name_ids(&mut self, line: &str) -> String {
        let mut named = String::new();
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            let (before, tail) = rest.split_at(start);
            let end = tail
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(tail.len());
            let (word, tail) = tail.split_at(end);
            named.push_str(before);
            match id_of(word) {
                Some(id) => named.push_str(&self.name(id)),
                None => named.push_str(word),
            }
            rest = tail;
        }
        named + rest
    }

    fn name(&mut self, id: u64) -> String {
        if self.anonymous {
            return "<id>".to_owned();
        }
        let next = self.ids.len() + 1;
        format!("<id{}>", self.ids.entry(id).or_insert(next))
    }

    /// The fields of a protobuf response, its header (field 1) taken apart; `None` if it is not one.
    fn protobuf(&mut self, bytes: &[u8]) -> Option<String> {
        let mut text = String::new();
        for (field, value) in fields(bytes)? {
            match value {
                Wire::Bytes(header) if field == 1 && fields(header).is_some() => {
                    text.push_str("header:");
                    for (field, value) in fields(header)? {
                        match (field, value) {
                            (1 | 2, Wire::Varint(id)) => write!(text, " {}", self.name(id)).ok()?,
                            (4, Wire::Varint(_)) => text.push_str(" <term>"),
                            (_, value) => write!(text, " {field}={value:?}").ok()?,
                        }
                    }
                    text.push('\n');
                }
                Wire::Varint(number) if number.to_string().len() >= ID_DIGITS_MIN => {
                    writeln!(text, "{field}: {}", self.name(number)).ok()?;
                }
                value => writeln!(text, "{field}: {value:?}").ok()?,
            }
        }
        Some(text)
    }
}

fn id_of(word: &str) -> Option<u64> {
    if (ID_HEX_MIN..=16).contains(&word.len())
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    {
        return u64::from_str_radix(word, 16).ok();
    }
    word.parse().ok().filter(|_| word.len() >= ID_DIGITS_MIN)
}

/// Numbers behind these labels are masked, unless they are zero.
fn labels(command: &str) -> Vec<&'static str> {
    let mut labels = vec!["\"raft_term\":", "\"RaftTerm\" : "];
    if command.starts_with("endpoint status") {
        labels.extend([
            "\"version\":",
            "\"dbSize\":",
            "\"raftIndex\":",
            "\"raftTerm\":",
        ]);
        labels.extend([
            "\"raftAppliedIndex\":",
            "\"dbSizeInUse\":",
            "\"Version\" : ",
        ]);
        labels.extend([
            "\"DBSize\" : ",
            "\"RaftIndex\" : ",
            "\"RaftAppliedIndex\" : ",
        ]);
    }
    if command.starts_with("endpoint hashkv") {
        labels.extend(["\"hash\":", "\"Hash\" : "]);
    }
    if command.starts_with("lease timetolive") {
        labels.extend(["\"ttl\":", "\"TTL\" : ", "remaining("]);
    }
    labels
}

fn mask_after(line: &str, label: &str) -> String {
    let mut parts = line.split(label);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '"' || c == '.');
        let removed = &part[..part.len() - value.len()];
        masked.push_str(label);
        masked.push_str(if removed == "0" { removed } else { "<n>" });
        masked.push_str(value);
    }
    masked
}

/// Columns of the comma-separated form, and of tables, that are masked.
fn mask_columns(command: &str, line: &str) -> String {
    let masked: &[usize] = if command.starts_with("endpoint status") {
        &[2, 3, 6, 7, 8]
    } else if command.starts_with("endpoint hashkv") {
        &[1]
    } else {
        return line.to_owned();
    };
    let separator = if line.starts_with('|') { '|' } else { ',' };
    let first = usize::from(separator == '|');
    if line.starts_with(['{', '[', '"']) || line.contains("ENDPOINT") {
        return line.to_owned();
    }
    let cells = line.split(separator).enumerate().map(|(index, cell)| {
        let hit = index >= first && masked.contains(&(index - first));
        if hit { " <n>" } else { cell }
    });
    cells.collect::<Vec<_>>().join(&separator.to_string())
}

/// Table borders and padding depend on the widths of ids and addresses.
fn table(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            if line.starts_with("+--") {
                "+--".to_owned()
            } else if line.starts_with('|') {
                line.split('|').map(str::trim).collect::<Vec<_>>().join("|")
            } else {
                line.clone()
            }
        })
        .collect()
}

/// The client's own log lines hold times and random names; kept are level, message and error.
fn log_line(line: &str) -> Option<String> {
    let value: serde_json::Value = line
        .starts_with("{\"level\":")
        .then(|| serde_json::from_str(line).ok())??;
    Some(format!(
        "log {} {} {}",
        value["level"], value["msg"], value["error"]
    ))
}

/// A protobuf field value of the two kinds the API uses.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

impl std::fmt::Debug for Wire<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Varint(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
        }
    }
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Wire::Varint(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Wire::Bytes(value)
            }
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
