//! The defaults table: `tables/defaults.txt`, whose head describes the language.

use super::hooks::{self, Hook};
use super::path::{self, Step};
use crate::kind::KindRef;
use crate::value;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

static TEXT: &str = include_str!("../../tables/defaults.txt");

/// How deep fragments may nest; a table that exceeds it names itself in a circle.
const MAX_FRAGMENT_DEPTH: usize = 8;

#[derive(Debug)]
struct Rule {
    steps: Vec<Step>,
    action: Action,
    when: Option<Condition>,
}

#[derive(Debug)]
enum Action {
    /// Set the field of every place; `zero`: also where it holds Go's zero value.
    Set {
        field: String,
        value: Value,
        zero: bool,
    },
    Fragment(String),
    Hook(Hook),
}

#[derive(Debug)]
struct Condition {
    path: String,
    test: Test,
}

#[derive(Debug)]
enum Test {
    OneOf(Vec<Value>),
    IsSet(bool),
}

/// All rules, by fragment name or by `group/version/kind`.
#[derive(Debug, Default)]
pub(super) struct Table {
    rules: BTreeMap<String, Vec<Rule>>,
}

/// The table of this build. Its text is part of the program, and a test reads all of it.
pub(super) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| parse(TEXT).expect("a test reads the whole table"))
}

impl Table {
    pub(super) fn apply(&self, kind: KindRef<'_>, object: &mut Value) {
        if let Some(rules) = self.rules.get(&kind_key(kind)) {
            self.run(rules, object, 0);
        }
    }

    fn run(&self, rules: &[Rule], place: &mut Value, depth: usize) {
        assert!(
            depth < MAX_FRAGMENT_DEPTH,
            "fragments of the defaults table form a circle"
        );
        for rule in rules {
            if rule
                .when
                .as_ref()
                .is_some_and(|condition| !condition.holds(place))
            {
                continue;
            }
            path::each(place, &rule.steps, &mut |found| match &rule.action {
                Action::Set { field, value, zero } => set_default(found, field, value, *zero),
                Action::Hook(hook) => hook(found),
                Action::Fragment(name) => {
                    let rules = self
                        .rules
                        .get(name)
                        .expect("parse() checks names of fragments");
                    self.run(rules, found, depth + 1);
                }
            });
        }
    }
}

impl Condition {
    fn holds(&self, place: &Value) -> bool {
        let found = value::at(place, &self.path);
        match &self.test {
            Test::OneOf(values) => found.is_some_and(|found| values.contains(found)),
            Test::IsSet(wanted) => value::is_empty(found) != *wanted,
        }
    }
}

fn set_default(place: &mut Value, field: &str, default: &Value, zero: bool) {
    let Some(fields) = place.as_object_mut() else {
        return;
    };
    let unset = match fields.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => zero && text.is_empty(),
        Some(Value::Number(number)) => zero && number.as_i64() == Some(0),
        Some(_) => false,
    };
    if unset {
        fields.insert(field.to_owned(), default.clone());
    }
}

fn kind_key(kind: KindRef<'_>) -> String {
    format!("{}/{}/{}", kind.group, kind.version, kind.kind)
}

fn parse(text: &str) -> Result<Table, String> {
    let mut table = Table::default();
    let mut section = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        let opened = match line
            .strip_prefix('[')
            .and_then(|head| head.strip_suffix(']'))
        {
            Some(head) => Some(section_name(head).ok_or(line)?),
            None => None,
        };
        if let Some(name) = opened {
            if table.rules.insert(name.clone(), Vec::new()).is_some() {
                return Err(format!("{name} is there twice"));
            }
            section = Some(name);
            continue;
        }
        let rule = parse_rule(line)?;
        let section = section.as_ref().ok_or("a rule before any section")?;
        table.rules.entry(section.clone()).or_default().push(rule);
    }
    check_fragments(&table)?;
    Ok(table)
}

/// `fragment probe` is `probe`, `apps/v1 Deployment` is `apps/v1/Deployment`.
fn section_name(head: &str) -> Option<String> {
    match head.split_once(' ')? {
        ("fragment", name) => Some(name.to_owned()),
        (api_version, kind) => Some(kind_key(KindRef::parse(api_version, kind))),
    }
}

fn check_fragments(table: &Table) -> Result<(), String> {
    for rule in table.rules.values().flatten() {
        if let Action::Fragment(name) = &rule.action
            && !table.rules.contains_key(name)
        {
            return Err(format!("no fragment {name}"));
        }
    }
    Ok(())
}

fn parse_rule(line: &str) -> Result<Rule, String> {
    let (body, when) = match line.split_once(" when ") {
        Some((body, condition)) => (body, Some(parse_condition(condition)?)),
        None => (line, None),
    };
    let mut words = body.splitn(3, ' ');
    let pattern = words.next().unwrap_or("");
    let operator = words.next().ok_or_else(|| format!("no action: {line}"))?;
    let operand = words.next().unwrap_or("").trim();
    let (steps, action) = match operator {
        "=" | "~" => {
            let (above, field) = pattern.rsplit_once('.').unwrap_or(("", pattern));
            let value = parse_json(operand)?;
            let action = Action::Set {
                field: field.to_owned(),
                value,
                zero: operator == "~",
            };
            (path::parse(above), action)
        }
        ":" => (path::parse(pattern), Action::Fragment(operand.to_owned())),
        _ => {
            let name = operator
                .strip_prefix('@')
                .ok_or_else(|| format!("what is it: {line}"))?;
            let hook = hooks::by_name(name).ok_or_else(|| format!("no hook {name}"))?;
            (path::parse(pattern), Action::Hook(hook))
        }
    };
    Ok(Rule {
        steps,
        action,
        when,
    })
}

fn parse_condition(text: &str) -> Result<Condition, String> {
    let (path, rest) = text
        .split_once(' ')
        .ok_or_else(|| format!("no test: {text}"))?;
    let test = match rest.split_once(' ').unwrap_or((rest, "")) {
        ("set", "") => Test::IsSet(true),
        ("unset", "") => Test::IsSet(false),
        ("is", value) => Test::OneOf(vec![parse_json(value)?]),
        ("in", values) => match parse_json(values)? {
            Value::Array(values) => Test::OneOf(values),
            _ => return Err(format!("not a list: {text}")),
        },
        _ => return Err(format!("unknown test: {text}")),
    };
    Ok(Condition {
        path: path.to_owned(),
        test,
    })
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_reads() {
        let table = parse(TEXT).unwrap();
        assert!(table.rules.len() > 50, "{}", table.rules.len());
        assert!(table.rules.values().all(|rules| !rules.is_empty()));
    }

    #[test]
    fn mistakes_in_a_table_are_named() {
        for (text, said) in [
            ("a = 1", "before any section"),
            ("[fragment f]\na", "no action"),
            ("[fragment f]\na : g", "no fragment g"),
            ("[fragment f]\na @nothing", "no hook nothing"),
            ("[fragment f]\na = {", "EOF"),
            ("[fragment f]\na = 1\n[fragment f]", "twice"),
            ("[fragment f]\na = 1 when b", "no test"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
