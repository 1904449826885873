//! Formats of short strings. Each function returns what is wrong in upstream's words; an empty list is valid.

use crate::limits::{
    DNS_LABEL_BYTES_MAX, DNS_SUBDOMAIN_BYTES_MAX, LABEL_BYTES_MAX, PORT_NAME_BYTES_MAX,
};

/// What is wrong with a value.
pub type Messages = Vec<String>;

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_KEY_NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// `MESSAGE (e.g. 'a',  or 'b', regex used for validation is 'RE')`, the comma as upstream has it.
pub fn regex_error(message: &str, regex: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{regex}')");
    }
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!(
        "{message} (e.g. {}regex used for validation is '{regex}')",
        examples.join(" or ")
    )
}

fn chars_max(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn bytes_max(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// `must be between LOW and HIGH, inclusive`.
pub fn range_error(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// What an empty value is told.
pub const EMPTY: &str = "must be non-empty";

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Whether all bytes are `inner` and the first and last are `edge`.
fn framed(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => edge(first) && edge(last) && bytes.iter().all(|&b| inner(b)),
        _ => false,
    }
}

fn is_label_shape(text: &str) -> bool {
    framed(text, lower_alnum, |b| lower_alnum(b) || b == b'-')
}

fn is_subdomain_shape(text: &str) -> bool {
    text.split('.').all(is_label_shape)
}

/// A DNS label: at most 63 lower-case letters, digits and dashes.
pub fn dns1123_label(value: &str) -> Messages {
    let mut errors = Messages::new();
    if value.len() > DNS_LABEL_BYTES_MAX {
        errors.push(chars_max(DNS_LABEL_BYTES_MAX));
    }
    if is_label_shape(value) {
        return errors;
    }
    errors.push(if is_subdomain_shape(value) {
        "must not contain dots".to_owned()
    } else {
        regex_error(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
             and must start and end with an alphanumeric character",
            DNS1123_LABEL,
            &["my-name", "123-abc"],
        )
    });
    errors
}

/// DNS labels joined by dots, at most 253 bytes.
pub fn dns1123_subdomain(value: &str) -> Messages {
    let mut errors = Messages::new();
    if value.len() > DNS_SUBDOMAIN_BYTES_MAX {
        errors.push(chars_max(DNS_SUBDOMAIN_BYTES_MAX));
    }
    if !is_subdomain_shape(value) {
        errors.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character",
            DNS1123_SUBDOMAIN,
            &["example.com"],
        ));
    }
    errors
}

/// A subdomain whose labels may hold underscores and begin with one (SRV records).
pub fn dns1123_subdomain_with_underscore(value: &str) -> Messages {
    let label = |text: &str| {
        framed(text.strip_prefix('_').unwrap_or(text), lower_alnum, |b| {
            lower_alnum(b) || b == b'-' || b == b'_'
        })
    };
    let mut errors = Messages::new();
    if value.len() > DNS_SUBDOMAIN_BYTES_MAX {
        errors.push(chars_max(DNS_SUBDOMAIN_BYTES_MAX));
    }
    if !value.split('.').all(label) {
        errors.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', \
             and must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    errors
}

/// A DNS label that begins with a letter (service names).
pub fn dns1035_label(value: &str) -> Messages {
    let mut errors = Messages::new();
    if value.len() > DNS_LABEL_BYTES_MAX {
        errors.push(chars_max(DNS_LABEL_BYTES_MAX));
    }
    if !(is_label_shape(value) && value.as_bytes()[0].is_ascii_lowercase()) {
        errors.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// A subdomain after `*.` (ingress hosts).
pub fn wildcard_dns1123_subdomain(value: &str) -> Messages {
    let mut errors = Messages::new();
    if value.len() > DNS_SUBDOMAIN_BYTES_MAX {
        errors.push(chars_max(DNS_SUBDOMAIN_BYTES_MAX));
    }
    if !value.strip_prefix("*.").is_some_and(is_subdomain_shape) {
        errors.push(regex_error(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
             consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{DNS1123_SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    errors
}

fn label_edge(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn label_inner(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

/// A label key: a name of at most 63 bytes, before it perhaps a DNS subdomain and a slash. Also the format of
/// annotation keys, finalizers, condition types and resource names.
pub fn qualified_name(value: &str) -> Messages {
    const RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', \
         and must start and end with an alphanumeric character";
    let rule = || regex_error(RULE, LABEL_KEY_NAME, &["MyName", "my.name", "123-abc"]);
    let mut errors = Messages::new();
    let mut parts = value.split('/');
    let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if third.is_some() {
        return vec![format!(
            "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            rule()
        )];
    }
    let name = match second {
        None => first,
        Some(name) => {
            if first.is_empty() {
                errors.push(format!("prefix part {EMPTY}"));
            } else {
                let prefixed = prefix_messages(first);
                errors.extend(prefixed.into_iter().map(|m| format!("prefix part {m}")));
            }
            name
        }
    };
    if name.is_empty() {
        errors.push(format!("name part {EMPTY}"));
    } else if name.len() > LABEL_BYTES_MAX {
        errors.push(format!("name part {}", bytes_max(LABEL_BYTES_MAX)));
    }
    if !framed(name, label_edge, label_inner) {
        errors.push(format!("name part {}", rule()));
    }
    errors
}

fn prefix_messages(prefix: &str) -> Messages {
    let mut errors = dns1123_subdomain(prefix);
    if prefix.len() > DNS_SUBDOMAIN_BYTES_MAX {
        errors[0] = bytes_max(DNS_SUBDOMAIN_BYTES_MAX);
    }
    errors
}

/// A label's value: empty, or at most 63 bytes.
pub fn label_value(value: &str) -> Messages {
    let mut errors = Messages::new();
    if value.len() > LABEL_BYTES_MAX {
        errors.push(bytes_max(LABEL_BYTES_MAX));
    }
    if !value.is_empty() && !framed(value, label_edge, label_inner) {
        errors.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
             and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

/// A C identifier.
pub fn c_identifier(value: &str) -> Messages {
    let lead = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let bytes = value.as_bytes();
    if bytes.first().is_some_and(|&b| lead(b))
        && bytes.iter().all(|&b| lead(b) || b.is_ascii_digit())
    {
        return Messages::new();
    }
    vec![regex_error(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric \
         characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// The name of an environment variable: printable ASCII without `=` (the relaxed rule, GA since 1.34).
pub fn env_var_name(value: &str) -> Messages {
    let mut errors = Messages::new();
    if value.is_empty() {
        errors.push(format!("environment variable name {EMPTY}"));
    }
    if !value
        .bytes()
        .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
    {
        errors.push(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        );
    }
    errors
}

/// A key of a ConfigMap or Secret.
pub fn config_map_key(value: &str) -> Messages {
    let mut errors = Messages::new();
    if value.len() > DNS_SUBDOMAIN_BYTES_MAX {
        errors.push(chars_max(DNS_SUBDOMAIN_BYTES_MAX));
    }
    if value.is_empty() || !value.bytes().all(label_inner) {
        errors.push(regex_error(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    errors.extend(match value {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ if value.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    });
    errors
}

/// A port's number.
pub fn port_number(port: i64) -> Messages {
    in_range(port, 1, 65535)
}

/// A number between two others, both allowed.
pub fn in_range(value: i64, low: i64, high: i64) -> Messages {
    if (low..=high).contains(&value) {
        return Messages::new();
    }
    vec![range_error(low, high)]
}

/// A Unix user or group id.
pub fn user_or_group_id(id: i64) -> Messages {
    in_range(id, 0, i64::from(i32::MAX))
}

/// A port's name in the form of an IANA service name.
pub fn port_name(value: &str) -> Messages {
    let mut errors = Messages::new();
    if value.len() > PORT_NAME_BYTES_MAX {
        errors.push(chars_max(PORT_NAME_BYTES_MAX));
    }
    if value.is_empty() || !value.bytes().all(|b| lower_alnum(b) || b == b'-') {
        errors.push(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        );
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// A percentage such as `25%`.
pub fn percent(value: &str) -> Messages {
    let valid = value
        .strip_suffix('%')
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if valid {
        return Messages::new();
    }
    vec![regex_error(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// The name of an HTTP header.
pub fn http_header_name(value: &str) -> Messages {
    if !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Messages::new();
    }
    vec![regex_error(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// A name that can stand as one segment of a URL path.
pub fn path_segment_name(value: &str) -> Messages {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    path_segment_prefix(value)
}

/// The beginning of a name that can stand as one segment of a URL path.
pub fn path_segment_prefix(value: &str) -> Messages {
    ['/', '%']
        .into_iter()
        .filter(|c| value.contains(*c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

/// A whole number in decimal digits without needless signs or zeros.
pub fn decimal_integer(value: &str) -> Messages {
    const RULE: &str = "must be a valid decimal integer in canonical form";
    if value.is_empty() {
        return vec![EMPTY.to_owned()];
    }
    let digits = value.strip_prefix('-').unwrap_or(value);
    let canonical = value == "0"
        || (digits.bytes().all(|b| b.is_ascii_digit())
            && digits.bytes().next().is_some_and(|b| b != b'0'));
    if canonical {
        Messages::new()
    } else {
        vec![RULE.to_owned()]
    }
}
