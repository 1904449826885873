//! In which form the client wants its answer.

/// The encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

/// What of the objects is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// The objects themselves.
    Objects,
    /// Rows for people.
    Table,
    /// Only their metadata.
    Metadata,
}

/// One way to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Accepted {
    pub(crate) encoding: Encoding,
    pub(crate) form: Form,
    /// Whether metadata is wanted in the form of a list: not every request has one to give.
    pub(crate) of_list: bool,
    /// Indented, for people.
    pub(crate) pretty: bool,
    /// Rows and metadata in their older version, `v1beta1`.
    pub(crate) beta: bool,
}

impl Accepted {
    pub(crate) const JSON: Self = Self {
        encoding: Encoding::Json,
        form: Form::Objects,
        of_list: false,
        pretty: false,
        beta: false,
    };
}

/// One clause of an `Accept` header.
struct Clause<'a> {
    media: &'a str,
    quality: f32,
    params: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let mut quality = 1.0;
        let mut params = Vec::new();
        for part in parts {
            match part.split_once('=') {
                Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                Some((name, value)) => params.push((name.trim(), value.trim())),
                None => {}
            }
        }
        Self {
            media,
            quality,
            params,
        }
    }

    fn param(&self, name: &str) -> Option<&'a str> {
        let found = self.params.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| *value)
    }
}

/// What is on offer for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// Whether the kind has a protobuf form.
    pub(crate) protobuf: bool,
    /// Whether it can be had as YAML: streams cannot.
    pub(crate) yaml: bool,
    /// Whether rows and metadata can be had.
    pub(crate) forms: bool,
}

/// The best of what is accepted and offered; `None` is "not acceptable". No header, and `*/*`, mean JSON.
pub(crate) fn negotiate(header: Option<&str>, offer: Offer) -> Option<Accepted> {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return Some(Accepted::JSON);
    };
    let mut clauses: Vec<Clause<'_>> = header.split(',').map(Clause::parse).collect();
    // Stable: equal ones stay in the client's order.
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
        .iter()
        .filter(|clause| clause.quality > 0.0)
        .find_map(|clause| accepted(clause, offer))
}

/// Whether a header names one of these types at all, as the router upstream compares them: by name, whatever the
/// parameters and qualities.
pub(crate) fn names_any(header: Option<&str>, produced: &[&str]) -> bool {
    let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
        return true;
    };
    header.split(',').any(|clause| {
        let media = clause.split(';').next().unwrap_or_default().trim();
        matches!(media, "*/*" | "application/*") || produced.contains(&media)
    })
}

/// Whether an answer is to be indented: a client says so in the query, or it is one that people look at.
pub(crate) fn is_for_people(pretty: Option<&str>, user_agent: &str) -> bool {
    match pretty.filter(|text| !text.is_empty()) {
        Some(text) => matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        None => ["curl", "Wget", "Mozilla/5.0"]
            .iter()
            .any(|tool| user_agent.starts_with(tool)),
    }
}

fn accepted(clause: &Clause<'_>, offer: Offer) -> Option<Accepted> {
    let encoding = match clause.media {
        "application/json" | "application/*" | "*/*" => Encoding::Json,
        "application/yaml" if offer.yaml => Encoding::Yaml,
        "application/vnd.kubernetes.protobuf" if offer.protobuf => Encoding::Protobuf,
        _ => return None,
    };
    let of_meta = || {
        let group = clause.param("g") == Some("meta.k8s.io");
        group && matches!(clause.param("v"), Some("v1" | "v1beta1"))
    };
    let form = match clause.param("as") {
        None => Form::Objects,
        Some("Table") if offer.forms && of_meta() => Form::Table,
        Some("PartialObjectMetadata" | "PartialObjectMetadataList") if offer.forms && of_meta() => {
            Form::Metadata
        }
        Some(_) => return None,
    };
    Some(Accepted {
        encoding,
        form,
        of_list: clause.param("as") == Some("PartialObjectMetadataList"),
        pretty: clause.param("pretty") == Some("1"),
        beta: form != Form::Objects && clause.param("v") == Some("v1beta1"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Offer = Offer {
        protobuf: true,
        yaml: true,
        forms: true,
    };

    #[test]
    fn clauses_are_tried_by_quality_and_order() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let cases = [
            (None, Some((Encoding::Json, Form::Objects))),
            (Some(""), Some((Encoding::Json, Form::Objects))),
            (Some("*/*"), Some((Encoding::Json, Form::Objects))),
            (Some(table), Some((Encoding::Json, Form::Table))),
            (
                Some("application/vnd.kubernetes.protobuf,application/json"),
                Some((Encoding::Protobuf, Form::Objects)),
            ),
            (
                Some("application/json;q=0.5, application/yaml"),
                Some((Encoding::Yaml, Form::Objects)),
            ),
            (
                Some("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
                Some((Encoding::Json, Form::Metadata)),
            ),
            (Some("application/json;as=Table;g=meta.k8s.io;v=v7"), None),
            (Some("text/plain"), None),
        ];
        for (header, expected) in cases {
            let got = negotiate(header, ALL).map(|a| (a.encoding, a.form));
            assert_eq!(got, expected, "{header:?}");
        }
    }

    #[test]
    fn people_with_curl_got_everything_on_one_line() {
        let cases = [
            (None, "curl/8.5.0", true),
            (None, "Mozilla/5.0 (X11)", true),
            (None, "kubectl/v1.36.3", false),
            (None, "", false),
            (Some("false"), "curl/8.5.0", false),
            (Some("maybe"), "curl/8.5.0", false),
            (Some("1"), "kubectl/v1.36.3", true),
            (Some(""), "curl/8.5.0", true),
        ];
        for (pretty, agent, expected) in cases {
            assert_eq!(is_for_people(pretty, agent), expected, "{pretty:?} {agent}");
        }
    }

    #[test]
    fn types_are_found_by_name() {
        let produced = ["application/json", "application/yaml"];
        let cases = [
            (None, true),
            (Some("text/html, */*;q=0.1"), true),
            (Some("application/json;as=Table;v=v9;g=meta.k8s.io"), true),
            (Some("text/html"), false),
        ];
        for (header, expected) in cases {
            assert_eq!(names_any(header, &produced), expected, "{header:?}");
        }
    }

    #[test]
    fn what_is_not_on_offer_is_not_taken() {
        let none = Offer {
            protobuf: false,
            yaml: true,
            forms: false,
        };
        let header = "application/vnd.kubernetes.protobuf, application/json;as=Table;g=meta.k8s.io;v=v1, application/yaml";
        let got = negotiate(Some(header), none).map(|a| a.encoding);
        assert_eq!(got, Some(Encoding::Yaml));
    }

    /// client-go asks for both whenever it is to use protobuf: its watches were refused.
    #[test]
    fn a_watch_in_protobuf_or_json_was_not_acceptable() {
        let stream = Offer {
            protobuf: false,
            yaml: false,
            forms: true,
        };
        for header in [
            "application/vnd.kubernetes.protobuf,application/json",
            "application/vnd.kubernetes.protobuf;stream=watch,application/json;stream=watch",
            "application/yaml,application/json",
        ] {
            let got = negotiate(Some(header), stream).map(|a| a.encoding);
            assert_eq!(got, Some(Encoding::Json), "{header}");
        }
        let only = "application/vnd.kubernetes.protobuf;stream=watch";
        assert_eq!(negotiate(Some(only), stream), None);
    }
}
