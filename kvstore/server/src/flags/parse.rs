//! The command line and the environment.

use super::spec::{self, FLAGS, Flag, Kind};
use super::{Values, file, help, value};
use std::path::Path;

/// Prefix of environment variables.
const ENV_PREFIX: &str = "ETCD_";

/// What the command line asks for.
#[derive(Debug)]
pub enum Outcome {
    /// Print this and exit with 0.
    Print(String),
    /// Start a member.
    Run(Values),
}

/// Why the process must not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The command line itself is wrong: exit with 2, as Go programs do.
    #[error("{0}")]
    Usage(String),
    /// Something it refers to is wrong: exit with 1.
    #[error("{0}")]
    Invalid(String),
}

impl ParseError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Invalid(_) => 1,
        }
    }
}

/// Reads arguments (without the program's name) and environment.
pub fn parse(
    arguments: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Outcome, ParseError> {
    let environment: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(key, _)| key.starts_with(ENV_PREFIX))
        .collect();
    let mut values = Values::default();
    let mut arguments = arguments.into_iter();
    if let Some(done) = command_line(&mut values, &mut arguments)? {
        return Ok(Outcome::Print(done));
    }
    if let Some(extra) = arguments.next() {
        return Err(ParseError::Invalid(format!(
            "{extra:?} is not a valid flag"
        )));
    }
    if values.flag("version") {
        return Ok(Outcome::Print(help::version()));
    }
    let config_file = if values.is_set("config-file") {
        values.get("config-file").to_owned()
    } else {
        let variable = environment
            .iter()
            .find(|(key, _)| key == "ETCD_CONFIG_FILE");
        variable.map(|(_, path)| path.clone()).unwrap_or_default()
    };
    if config_file.is_empty() {
        from_environment(&mut values, &environment)?;
        return Ok(Outcome::Run(values));
    }
    let mut values = file::read(Path::new(&config_file)).map_err(ParseError::Invalid)?;
    values.notes.push(format!(
        "loaded server configuration from {config_file}; other command line flags and environment variables are ignored"
    ));
    Ok(Outcome::Run(values))
}

/// Consumes flags up to the first argument that is none; `Some` is a text to print instead of running.
fn command_line(
    values: &mut Values,
    arguments: &mut impl Iterator<Item = String>,
) -> Result<Option<String>, ParseError> {
    while let Some(argument) = arguments.next() {
        let Some(body) = argument.strip_prefix('-') else {
            return Err(ParseError::Invalid(format!(
                "{argument:?} is not a valid flag"
            )));
        };
        let body = body.strip_prefix('-').unwrap_or(body);
        if argument == "-" {
            return Err(ParseError::Invalid(format!(
                "{argument:?} is not a valid flag"
            )));
        }
        if body.is_empty() {
            return Ok(None);
        }
        if body.starts_with(['-', '=']) {
            return Err(usage(format!("bad flag syntax: {argument}")));
        }
        let (name, given) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let Some(flag) = spec::find(name) else {
            if matches!(name, "h" | "help") {
                return Ok(Some(help::flags()));
            }
            return Err(usage(format!("flag provided but not defined: -{name}")));
        };
        let value = match given {
            Some(value) => value,
            None if flag.kind == Kind::Bool => "true".to_owned(),
            None => arguments
                .next()
                .ok_or_else(|| usage(format!("flag needs an argument: -{name}")))?,
        };
        set(values, flag, value)?;
    }
    Ok(None)
}

fn set(values: &mut Values, flag: &'static Flag, value: String) -> Result<(), ParseError> {
    let kind = if flag.kind == Kind::Bool {
        "boolean value"
    } else {
        "value"
    };
    let shown = value.clone();
    values.set(flag, value).map_err(|why| {
        usage(format!(
            "invalid {kind} {shown:?} for flag -{}: {why}",
            flag.name
        ))
    })
}

fn usage(problem: String) -> ParseError {
    ParseError::Usage(format!("{problem}\n{}", help::USAGE))
}

fn from_environment(
    values: &mut Values,
    environment: &[(String, String)],
) -> Result<(), ParseError> {
    for (key, text) in environment {
        let Some(flag) = FLAGS.iter().find(|flag| variable(flag) == *key) else {
            values
                .notes
                .push(format!("unrecognized environment variable {key}={text}"));
            continue;
        };
        if values.is_set(flag.name) {
            return Err(ParseError::Invalid(format!(
                "conflicting environment variable {key:?} is shadowed by corresponding command-line flag \
                 (either unset environment variable or disable flag)"
            )));
        }
        if text.is_empty() {
            continue;
        }
        value::check(flag.kind, text)
            .and_then(|()| values.set(flag, text.clone()))
            .map_err(|why| {
                ParseError::Invalid(format!("invalid value {text:?} for {key}: {why}"))
            })?;
    }
    Ok(())
}

fn variable(flag: &Flag) -> String {
    format!("{ENV_PREFIX}{}", flag.name.replace('-', "_").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome, ParseError> {
        parse(
            arguments.iter().map(|a| (*a).to_owned()),
            environment
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        )
    }

    fn values(arguments: &[&str], environment: &[(&str, &str)]) -> Values {
        match run(arguments, environment) {
            Ok(Outcome::Run(values)) => values,
            other => panic!("expected values, got {other:?}"),
        }
    }

    #[test]
    fn all_spellings_of_a_flag() {
        for arguments in [
            &["-name", "a"][..],
            &["--name", "a"],
            &["-name=a"],
            &["--name=a"],
            &["--name=x", "--name=a"],
        ] {
            assert_eq!(values(arguments, &[]).get("name"), "a", "{arguments:?}");
        }
        assert!(values(&["--pre-vote"], &[]).flag("pre-vote"));
        assert!(!values(&["--pre-vote=false"], &[]).flag("pre-vote"));
        assert_eq!(values(&[], &[]).get("heartbeat-interval"), "100");
        assert_eq!(values(&["--name="], &[]).get("name"), "");
    }

    #[test]
    fn mistakes_are_usage_errors() {
        let problem = |arguments: &[&str]| {
            let error = run(arguments, &[]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(problem(&["--nope"]), "flag provided but not defined: -nope");
        assert_eq!(problem(&["---name"]), "bad flag syntax: ---name");
        assert_eq!(problem(&["--name"]), "flag needs an argument: -name");
        assert_eq!(
            problem(&["--snapshot-count", "x"]),
            "invalid value \"x\" for flag -snapshot-count: parse error"
        );
        assert_eq!(
            problem(&["--pre-vote=maybe"]),
            "invalid boolean value \"maybe\" for flag -pre-vote: parse error"
        );
        let extra = run(&["serve"], &[]).unwrap_err();
        assert_eq!(
            (extra.exit_code(), extra.to_string()),
            (1, "\"serve\" is not a valid flag".into())
        );
    }

    #[test]
    fn version_and_help() {
        let Ok(Outcome::Print(text)) = run(&["--version"], &[]) else {
            panic!("text expected")
        };
        assert!(text.starts_with("etcd Version: 3.7.1\nGit SHA: "), "{text}");
        for flag in ["-h", "--help"] {
            let Ok(Outcome::Print(text)) = run(&[flag], &[]) else {
                panic!("text expected")
            };
            assert!(
                text.contains("--listen-client-urls 'http://localhost:2379'"),
                "{text}"
            );
        }
    }

    #[test]
    fn environment_fills_in_but_never_shadows() {
        let values = values(
            &[],
            &[
                ("ETCD_NAME", "env"),
                ("ETCD_UNKNOWN", "1"),
                ("PATH", "/bin"),
            ],
        );
        assert_eq!(values.get("name"), "env");
        assert_eq!(values.notes.len(), 1);
        let error = run(&["--name", "a"], &[("ETCD_NAME", "b")]).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("ETCD_NAME"), "{error}");
        let error = run(&[], &[("ETCD_PRE_VOTE", "x")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid value \"x\" for ETCD_PRE_VOTE: parse error"
        );
    }

    #[test]
    fn legacy_flags_are_ignored() {
        assert!(!values(&["--cluster-active-size", "3", "--vv=1"], &[]).is_set("name"));
    }

    #[test]
    fn a_config_file_replaces_everything_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.yml");
        std::fs::write(&path, "name: from-file\n").unwrap();
        let path = path.to_str().unwrap();
        let by_flag = values(
            &["--config-file", path, "--name", "x"],
            &[("ETCD_NAME", "y")],
        );
        assert_eq!(by_flag.get("name"), "from-file");
        assert_eq!(
            values(&[], &[("ETCD_CONFIG_FILE", path)]).get("name"),
            "from-file"
        );
        assert!(run(&["--config-file", "/nonexistent"], &[]).is_err());
    }
}
