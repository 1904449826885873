//! Issuing service account tokens: the `token` subresource of service accounts.

use serde_json::{Value, json};

use super::claims::{Claims, Ref};
use super::key::SigningKey;
use super::service_account::BoundKind;
use super::time::rfc3339;
use crate::rbac::strings;
use crate::text::quoted;
use crate::user::service_account_username;

const EXPIRATION_SECONDS_DEFAULT: i64 = 3_600;
const EXPIRATION_SECONDS_MIN: i64 = 600;
const EXPIRATION_SECONDS_MAX: i64 = 1 << 32;
/// What old clients ask for that never reload their token: they get a year, and a note when they should have
/// reloaded.
const EXPIRATION_SECONDS_EXTENDED: i64 = 3_607;
const EXTENSION_SECONDS: i64 = 365 * 24 * 3_600;

/// Why no token is issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 404: the object to bind to.
    #[error("{resource} {name:?} not found")]
    NotFound {
        /// The plural resource in the core group.
        resource: &'static str,
        /// The name.
        name: String,
    },
    /// 409.
    #[error("Operation cannot be fulfilled on {resource} {name:?}: {detail}")]
    Conflict {
        /// What the conflict is about, as upstream names it.
        resource: String,
        /// The name.
        name: String,
        /// The text.
        detail: String,
    },
    /// 422 about one field of the TokenRequest.
    #[error("{field}: Invalid value: {value}: {detail}")]
    Invalid {
        /// The path of the field.
        field: &'static str,
        /// What it holds.
        value: Value,
        /// The text.
        detail: &'static str,
    },
    /// 500: the system gives no randomness.
    #[error("failed to generate token: no randomness")]
    NoRandomness,
}

/// A token that was issued.
#[derive(Clone, Debug, PartialEq)]
pub struct Issued {
    /// The `TokenRequest` to answer with.
    pub response: Value,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
    /// For the audit log: the token's id as users show it in their extra.
    pub credential_id: String,
}

/// The `spec` of a `TokenRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSpec {
    /// For whom the token is; empty means this apiserver.
    pub audiences: Vec<String>,
    /// How long it is asked to be valid.
    pub expiration_seconds: i64,
    /// What it dies with.
    pub bound: Option<BoundObject>,
}

/// The object a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundObject {
    /// `v1`.
    pub api_version: String,
    /// `Pod`, `Node` or `Secret`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The uid, checked if given.
    pub uid: String,
}

impl TokenSpec {
    fn from_value(spec: &Value) -> TokenSpec {
        let bound = spec.get("boundObjectRef").filter(|bound| bound.is_object());
        TokenSpec {
            audiences: strings(spec.get("audiences")),
            expiration_seconds: spec
                .get("expirationSeconds")
                .and_then(Value::as_i64)
                .unwrap_or(EXPIRATION_SECONDS_DEFAULT),
            bound: bound.map(|bound| BoundObject {
                api_version: text(bound, "/apiVersion"),
                kind: text(bound, "/kind"),
                name: text(bound, "/name"),
                uid: text(bound, "/uid"),
            }),
        }
    }
}

/// Issues tokens.
#[derive(Debug)]
pub struct TokenIssuer {
    /// The issuer that tokens name.
    pub issuer: String,
    /// What signs them.
    pub key: SigningKey,
    /// The audiences of this apiserver.
    pub api_audiences: Vec<String>,
    /// The longest a token may be valid, in seconds; `None` for no limit but that of validation.
    pub expiration_seconds_max: Option<i64>,
    /// True to give a year to clients that never reload their token.
    pub extend_expiration: bool,
}

/// The objects found for a bound token.
#[derive(Default)]
struct Bound {
    pod: Option<Ref>,
    secret: Option<Ref>,
    node: Option<Ref>,
}

impl TokenIssuer {
    /// Answers a `TokenRequest` for a stored service account. `now` is in seconds since 1970; `lookup` finds the
    /// objects a token can be bound to.
    ///
    /// # Errors
    /// As [`IssueError`] says.
    pub fn issue(
        &self,
        request: &Value,
        account: &Value,
        now: i64,
        lookup: &dyn Fn(BoundKind, &str, &str) -> Option<Value>,
    ) -> Result<Issued, IssueError> {
        let [namespace, name, uid] =
            ["namespace", "name", "uid"].map(|key| text(account, &format!("/metadata/{key}")));
        check_metadata(request, &namespace, &name, &uid)?;
        let mut spec = TokenSpec::from_value(request.get("spec").unwrap_or(&Value::Null));
        if spec.audiences.is_empty() {
            spec.audiences.clone_from(&self.api_audiences);
        }
        check_expiration(spec.expiration_seconds)?;
        let bound = match &spec.bound {
            Some(reference) => find_bound(reference, &namespace, &name, lookup)?,
            None => Bound::default(),
        };
        let mut warnings = Vec::new();
        if let Some(max) = self
            .expiration_seconds_max
            .filter(|max| spec.expiration_seconds > *max)
        {
            let asked = spec.expiration_seconds;
            warnings.push(format!(
                "requested expiration of {asked} seconds shortened to {max} seconds"
            ));
            spec.expiration_seconds = max;
        }
        let (lifetime, warn_after) = self.lifetime(&spec, bound.pod.is_some());
        let id = uuid(self.key.random().ok_or(IssueError::NoRandomness)?);
        let claims = Claims {
            issuer: self.issuer.clone(),
            subject: service_account_username(&namespace, &name),
            audiences: spec.audiences.clone(),
            expiry: Some(now.saturating_add(lifetime)),
            not_before: Some(now),
            issued_at: Some(now),
            id: id.clone(),
            namespace: namespace.clone(),
            service_account: Ref {
                name: name.clone(),
                uid: uid.clone(),
            },
            pod: bound.pod,
            secret: bound.secret,
            node: bound.node,
            warn_after: warn_after.map(|after| now.saturating_add(after)),
        };
        let token = self
            .key
            .sign_payload(&claims.to_payload())
            .ok_or(IssueError::NoRandomness)?;
        let mut response = request.clone();
        response["metadata"]["name"] = json!(name);
        response["metadata"]["namespace"] = json!(namespace);
        response["metadata"]["uid"] = json!(uid);
        response["metadata"]["creationTimestamp"] = json!(rfc3339(now));
        response["spec"]["audiences"] = json!(spec.audiences);
        response["spec"]["expirationSeconds"] = json!(spec.expiration_seconds);
        let expires = rfc3339(now.saturating_add(spec.expiration_seconds));
        response["status"] = json!({"token": token, "expirationTimestamp": expires});
        Ok(Issued {
            response,
            warnings,
            credential_id: format!("JTI={id}"),
        })
    }

    /// How long the token is valid, and after how long its use is noted as late.
    fn lifetime(&self, spec: &TokenSpec, pod: bool) -> (i64, Option<i64>) {
        let asked = spec.expiration_seconds;
        let own = spec
            .audiences
            .iter()
            .all(|audience| self.api_audiences.contains(audience));
        if self.extend_expiration && pod && own && asked == EXPIRATION_SECONDS_EXTENDED {
            let extended = self
                .expiration_seconds_max
                .unwrap_or(EXTENSION_SECONDS)
                .min(EXTENSION_SECONDS);
            (extended, Some(asked))
        } else {
            (asked, None)
        }
    }
}

fn check_metadata(
    request: &Value,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Result<(), IssueError> {
    let differs = |key: &str, own: &str| {
        let asked = text(request, &format!("/metadata/{key}"));
        (!asked.is_empty() && asked != own).then_some(asked)
    };
    let invalid = |field, value: String, detail| {
        Err(IssueError::Invalid {
            field,
            value: json!(value),
            detail,
        })
    };
    if let Some(asked) = differs("name", name) {
        return invalid(
            "metadata.name",
            asked,
            "must match the service account name if specified",
        );
    }
    if let Some(asked) = differs("namespace", namespace) {
        return invalid(
            "metadata.namespace",
            asked,
            "must match the service account namespace if specified",
        );
    }
    match differs("uid", uid) {
        Some(asked) => Err(IssueError::Conflict {
            resource: "TokenRequest.authentication.k8s.io".to_owned(),
            name: name.to_owned(),
            detail: format!(
                "the UID in the token request ({asked}) does not match the UID of the service account ({uid})"
            ),
        }),
        None => Ok(()),
    }
}

fn check_expiration(seconds: i64) -> Result<(), IssueError> {
    let detail = if seconds < EXPIRATION_SECONDS_MIN {
        "may not specify a duration less than 10 minutes"
    } else if seconds > EXPIRATION_SECONDS_MAX {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    Err(IssueError::Invalid {
        field: "spec.expirationSeconds",
        value: json!(seconds),
        detail,
    })
}

fn find_bound(
    reference: &BoundObject,
    namespace: &str,
    account: &str,
    lookup: &dyn Fn(BoundKind, &str, &str) -> Option<Value>,
) -> Result<Bound, IssueError> {
    let (kind, resource, scope) = match (reference.api_version.as_str(), reference.kind.as_str()) {
        ("v1", "Pod") => (BoundKind::Pod, "pods", namespace),
        ("v1", "Node") => (BoundKind::Node, "nodes", ""),
        ("v1", "Secret") => (BoundKind::Secret, "secrets", namespace),
        (api_version, kind) => {
            let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
            let text =
                format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(IssueError::BadRequest(text));
        }
    };
    let name = &reference.name;
    let object = lookup(kind, scope, name).ok_or(IssueError::NotFound {
        resource,
        name: name.clone(),
    })?;
    let uid = text(&object, "/metadata/uid");
    let found = Some(Ref {
        name: name.clone(),
        uid: uid.clone(),
    });
    let mut bound = Bound::default();
    match kind {
        BoundKind::Pod => {
            if text(&object, "/spec/serviceAccountName") != account {
                return Err(IssueError::BadRequest(format!(
                    "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
                    quoted(account)
                )));
            }
            bound.pod = found;
            bound.node = node_of(&object, lookup);
        }
        BoundKind::Node => bound.node = found,
        BoundKind::Secret | BoundKind::ServiceAccount => bound.secret = found,
    }
    if !reference.uid.is_empty() && reference.uid != uid {
        return Err(IssueError::Conflict {
            resource: reference.kind.clone(),
            name: name.clone(),
            detail: format!(
                "the UID in the bound object reference ({}) does not match the UID in record. The object might \
                 have been deleted and then recreated",
                reference.uid
            ),
        });
    }
    Ok(bound)
}

/// The node a pod is on, by name only if the node does not exist.
fn node_of(pod: &Value, lookup: &dyn Fn(BoundKind, &str, &str) -> Option<Value>) -> Option<Ref> {
    let name = text(pod, "/spec/nodeName");
    if name.is_empty() {
        return None;
    }
    let uid = lookup(BoundKind::Node, "", &name).map(|node| text(&node, "/metadata/uid"));
    Some(Ref {
        name,
        uid: uid.unwrap_or_default(),
    })
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A random (version 4) UUID.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
