//! The access reviews: may somebody do something, and what may I do?

use serde_json::{Map, Value, json};

use crate::attributes::{Attributes, Decision, FieldRequirement};
use crate::authorizer::Authorizer;
use crate::rbac::strings;
use crate::user::UserInfo;

/// The user that a `SubjectAccessReview` or `LocalSubjectAccessReview` asks about.
pub fn reviewed_user(request: &Value) -> UserInfo {
    let spec = request.get("spec").unwrap_or(&Value::Null);
    let extra = spec.get("extra").and_then(Value::as_object);
    let values = |(key, values): (&String, &Value)| (key.clone(), strings(Some(values)));
    UserInfo {
        username: text(spec, "user").to_owned(),
        uid: text(spec, "uid").to_owned(),
        groups: strings(spec.get("groups")),
        extra: extra.into_iter().flatten().map(values).collect(),
    }
}

/// Answers a `SubjectAccessReview`, `LocalSubjectAccessReview` (with [`reviewed_user`]) or
/// `SelfSubjectAccessReview` (with the caller): the request with its status. Validation comes first: exactly
/// one of the two kinds of attributes is there.
pub fn access_review(request: &Value, user: &UserInfo, authorizer: &dyn Authorizer) -> Value {
    let spec = request.get("spec").unwrap_or(&Value::Null);
    let mut problems = Vec::new();
    let verdict = match spec
        .get("resourceAttributes")
        .filter(|attributes| attributes.is_object())
    {
        Some(resource) => {
            let (fields, problem) = field_requirements(resource.get("fieldSelector"));
            problems.extend(problem);
            problems.extend(label_problem(resource.get("labelSelector")));
            let version = match text(resource, "version") {
                "" => "*",
                version => version,
            };
            authorizer.authorize(&Attributes {
                version,
                field_selector: &fields,
                ..Attributes::resource(
                    user,
                    text(resource, "verb"),
                    text(resource, "group"),
                    text(resource, "resource"),
                )
                .part(text(resource, "subresource"))
                .object(text(resource, "namespace"), text(resource, "name"))
            })
        }
        None => {
            let path = spec.get("nonResourceAttributes").unwrap_or(&Value::Null);
            authorizer.authorize(&Attributes::path(
                user,
                text(path, "verb"),
                text(path, "path"),
            ))
        }
    };
    let mut status = Map::new();
    status.insert(
        "allowed".to_owned(),
        json!(verdict.decision == Decision::Allow),
    );
    if verdict.decision == Decision::Deny {
        status.insert("denied".to_owned(), json!(true));
    }
    if !verdict.reason.is_empty() {
        status.insert("reason".to_owned(), json!(verdict.reason));
    }
    if !problems.is_empty() {
        status.insert("evaluationError".to_owned(), json!(problems.join("; ")));
    }
    let mut review = request.clone();
    review["status"] = Value::Object(status);
    review
}

/// Answers a `SelfSubjectRulesReview`: what the caller may do in a namespace, as far as it can be listed.
///
/// # Errors
/// The message of a 400 Status if the request names no namespace.
pub fn rules_review(
    request: &Value,
    user: &UserInfo,
    authorizer: &dyn Authorizer,
) -> Result<Value, String> {
    let namespace = request
        .pointer("/spec/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if namespace.is_empty() {
        return Err("no namespace on request".to_owned());
    }
    let list = authorizer.rules_for(user, namespace);
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for rule in &list.rules {
        let put = |out: &mut Map<String, Value>, key: &str, items: &[String]| {
            if !items.is_empty() {
                out.insert(key.to_owned(), json!(items));
            }
        };
        if !rule.resources.is_empty() {
            let mut out = Map::from_iter([("verbs".to_owned(), json!(rule.verbs))]);
            put(&mut out, "apiGroups", &rule.api_groups);
            put(&mut out, "resources", &rule.resources);
            put(&mut out, "resourceNames", &rule.resource_names);
            resources.push(Value::Object(out));
        }
        if !rule.non_resource_urls.is_empty() {
            let mut out = Map::from_iter([("verbs".to_owned(), json!(rule.verbs))]);
            put(&mut out, "nonResourceURLs", &rule.non_resource_urls);
            paths.push(Value::Object(out));
        }
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": list.incomplete});
    if !list.errors.is_empty() {
        status["evaluationError"] = json!(list.error_text());
    }
    let api_version = request
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or("authorization.k8s.io/v1");
    Ok(json!({
        "apiVersion": api_version,
        "kind": "SelfSubjectRulesReview",
        "metadata": {},
        "spec": {},
        "status": status,
    }))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The terms of a field selector that can be used, and a note if some could not. Leaving a term out asks for
/// more than was meant, so it can only lead to a refusal.
fn field_requirements(selector: Option<&Value>) -> (Vec<FieldRequirement>, Option<String>) {
    let Some(selector) = selector.filter(|selector| selector.is_object()) else {
        return (Vec::new(), None);
    };
    let listed = selector
        .get("requirements")
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty());
    let parsed: Vec<Option<FieldRequirement>> = match listed {
        Some(list) => list.iter().map(listed_requirement).collect(),
        None => raw_requirements(text(selector, "rawSelector")),
    };
    let broken = parsed.iter().any(Option::is_none);
    let fields: Vec<FieldRequirement> = parsed.into_iter().flatten().collect();
    let how = if fields.is_empty() {
        "ignored"
    } else {
        "partially ignored"
    };
    let problem = format!("spec.resourceAttributes.fieldSelector {how} due to parse error");
    (fields, broken.then_some(problem))
}

fn listed_requirement(requirement: &Value) -> Option<FieldRequirement> {
    let values = strings(requirement.get("values"));
    let [value] = values.as_slice() else {
        return None;
    };
    let equal = match text(requirement, "operator") {
        "In" => true,
        "NotIn" => false,
        _ => return None,
    };
    Some(FieldRequirement {
        field: text(requirement, "key").to_owned(),
        equal,
        value: value.clone(),
    })
}

/// `a=b,c!=d`; as a whole it can be read or not.
fn raw_requirements(raw: &str) -> Vec<Option<FieldRequirement>> {
    let parsed: Vec<_> = raw
        .split(',')
        .filter(|term| !term.is_empty())
        .map(raw_requirement)
        .collect();
    if parsed.iter().any(Option::is_none) {
        vec![None]
    } else {
        parsed
    }
}

fn raw_requirement(term: &str) -> Option<FieldRequirement> {
    let (field, value, equal) = match term.split_once("!=") {
        Some((field, value)) => (field, value, false),
        None => {
            let (field, value) = term.split_once("==").or_else(|| term.split_once('='))?;
            (field, value, true)
        }
    };
    let plain = |text: &str| !text.contains(['=', '\\']);
    (plain(field) && plain(value)).then(|| FieldRequirement {
        field: field.to_owned(),
        equal,
        value: value.to_owned(),
    })
}

/// Labels do not decide anything here; an operator that does not exist is still worth a note.
fn label_problem(selector: Option<&Value>) -> Option<String> {
    let listed = selector?.get("requirements").and_then(Value::as_array)?;
    let known = |requirement: &&Value| {
        matches!(
            text(requirement, "operator"),
            "In" | "NotIn" | "Exists" | "DoesNotExist"
        )
    };
    let good = listed.iter().filter(known).count();
    let how = if good == 0 {
        "ignored"
    } else {
        "partially ignored"
    };
    (good < listed.len())
        .then(|| format!("spec.resourceAttributes.labelSelector {how} due to parse error"))
}
