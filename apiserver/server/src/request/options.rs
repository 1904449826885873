//! Options in a request's query.

use mainstay_machinery::decode::FieldValidation;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::gofmt::quote;
use mainstay_machinery::status::{GroupKind, StatusError};
use mainstay_machinery::validate::field_manager;
use std::borrow::Cow;
use std::num::{IntErrorKind, ParseIntError};

/// The decoded pairs of a query, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(crate) fn parse(raw: Option<&'a str>) -> Self {
        let raw = raw.unwrap_or_default().as_bytes();
        Self(form_urlencoded::parse(raw).collect())
    }

    /// The first value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        values.next()
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_ref())
    }

    /// As upstream converts parameters to booleans: present without a value, and anything but "0" and "false",
    /// is true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.optional_flag(name).unwrap_or(false)
    }

    pub(crate) fn optional_flag(&self, name: &str) -> Option<bool> {
        self.get(name)
            .map(|value| !matches!(value.to_ascii_lowercase().as_str(), "0" | "false"))
    }

    /// An empty value counts as none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, StatusError> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|e: ParseIntError| {
            let why = match e.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            StatusError::bad_request(format!("strconv.ParseInt: parsing {}: {why}", quote(text)))
        })
    }
}

/// How a resource version is to be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Match {
    /// Not said: any not older for 0 and for other versions, the most recent for none.
    #[default]
    Unset,
    Exact,
    NotOlderThan,
}

/// Options of lists and watches.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) resource_version: String,
    pub(crate) version_match: Match,
    pub(crate) limit: Option<u64>,
    pub(crate) continue_token: String,
    pub(crate) watch: bool,
    pub(crate) bookmarks: bool,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Refuses what upstream's validation of list options refuses.
    pub(crate) fn parse(query: &Query<'_>, watch: bool) -> Result<Self, StatusError> {
        let text = |name| query.get(name).unwrap_or_default().to_owned();
        let positive = |name| -> Result<Option<u64>, StatusError> {
            let number = query.number(name)?;
            Ok(number
                .and_then(|number| u64::try_from(number).ok())
                .filter(|number| *number > 0))
        };
        let version_match = match query.get("resourceVersionMatch").unwrap_or_default() {
            "" => Match::Unset,
            "Exact" => Match::Exact,
            "NotOlderThan" => Match::NotOlderThan,
            other => {
                let supported = ["Exact", "NotOlderThan", ""];
                let path = Path::new("resourceVersionMatch");
                return Err(refused(
                    "ListOptions",
                    Error::not_supported(&path, other, &supported),
                ));
            }
        };
        let options = Self {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            resource_version: text("resourceVersion"),
            version_match,
            limit: positive("limit")?,
            continue_token: text("continue"),
            watch,
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout_seconds: positive("timeoutSeconds")?,
            send_initial_events: query.optional_flag("sendInitialEvents"),
        };
        options.validate()?;
        Ok(options)
    }

    fn validate(&self) -> Result<(), StatusError> {
        if self.watch {
            return self.validate_watch();
        }
        if self.send_initial_events.is_some() {
            return Err(forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            ));
        }
        let matched = self.version_match != Match::Unset;
        if matched && self.resource_version.is_empty() {
            return Err(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if matched && !self.continue_token.is_empty() {
            return Err(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if self.version_match == Match::Exact && self.resource_version == "0" {
            return Err(forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
        Ok(())
    }

    fn validate_watch(&self) -> Result<(), StatusError> {
        let mut errors = ErrorList::default();
        let path = Path::new("resourceVersionMatch");
        let initial = self.send_initial_events.is_some();
        if initial && self.version_match != Match::NotOlderThan {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(Error::forbidden(&path, detail));
        }
        if !initial && self.version_match != Match::Unset {
            let detail =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(Error::forbidden(&path, detail));
        }
        if self.version_match == Match::Exact {
            errors.push(Error::not_supported(&path, "Exact", &["NotOlderThan"]));
        }
        if !self.continue_token.is_empty() {
            let detail = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(Error::forbidden(&path, detail));
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(invalid_options("ListOptions", &errors)),
        }
    }
}

/// What upstream answers for options that contradict each other.
fn forbidden(field: &'static str, detail: &str) -> StatusError {
    refused("ListOptions", Error::forbidden(&Path::new(field), detail))
}

fn refused(kind: &str, error: Error) -> StatusError {
    let mut errors = ErrorList::default();
    errors.push(error);
    invalid_options(kind, &errors)
}

/// Options of writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) field_validation: FieldValidation,
}

impl WriteOptions {
    /// Reads and validates them as upstream does for this verb, all errors at once.
    pub(crate) fn parse(query: &Query<'_>, verb: &str) -> Result<Self, StatusError> {
        let mut errors = ErrorList::default();
        // No patch that is served is an apply patch, the only one that may be forced.
        if verb == "patch" && query.optional_flag("force").is_some() {
            let detail = "may not be specified for non-apply patch";
            errors.push(Error::forbidden(&Path::new("force"), detail));
        }
        let manager = query.get("fieldManager").unwrap_or_default();
        field_manager(manager, &Path::new("fieldManager"), &mut errors);
        let dry_run: Vec<&str> = query
            .all("dryRun")
            .filter(|text| !text.is_empty())
            .collect();
        validate_dry_run(&dry_run, &mut errors);
        let text = query.get("fieldValidation").unwrap_or_default();
        let field_validation = FieldValidation::parse(text);
        if field_validation.is_none() {
            // The order upstream prints them in.
            let supported = ["", "Ignore", "Strict", "Warn"];
            let path = Path::new("fieldValidation");
            errors.push(Error::not_supported(&path, text, &supported));
        }
        match errors.is_empty() {
            true => Ok(Self {
                dry_run: !dry_run.is_empty(),
                field_validation: field_validation.unwrap_or_default(),
            }),
            false => Err(invalid_options(options_kind(verb), &errors)),
        }
    }
}

/// Refuses what is not `All`.
pub(crate) fn validate_dry_run(dry_run: &[&str], errors: &mut ErrorList) {
    if dry_run.iter().any(|text| *text != "All") {
        let path = Path::new("dryRun");
        errors.push(Error::not_supported(&path, dry_run.to_vec(), &["All"]));
    }
}

/// The answer to options that are wrong.
pub(crate) fn invalid_options(kind: &str, errors: &ErrorList) -> StatusError {
    StatusError::invalid(GroupKind::new("meta.k8s.io", kind), "", errors)
}

fn options_kind(verb: &str) -> &'static str {
    match verb {
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        _ => "DeleteOptions",
    }
}
