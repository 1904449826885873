//! Acting as somebody else by `Impersonate-*` headers.
//!
//! Since Kubernetes 1.36 there are two ways to be allowed. The constrained way needs two permissions: to be that
//! user (verb `impersonate:MODE`) and to do this very request as such a user (verb `impersonate-on:MODE:VERB`).
//! The older way, verb `impersonate`, allows everything the other user may do. Each mode that fits the wanted
//! user is tried in turn; the first refusal is what the caller reads.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::attributes::{Attributes, forbidden_message};
use crate::authorizer::Authorizer;
use crate::limits::IMPERSONATION_REQUESTS_MAX;
use crate::text::quoted;
use crate::user::{
    ANONYMOUS_USER, AUTHENTICATED_GROUP, MASTERS_GROUP, NODE_USER_PREFIX, NODES_GROUP,
    UNAUTHENTICATED_GROUP, UserInfo, is_dns_subdomain, service_account_groups,
    split_service_account,
};

const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";
const EXTRA_HEADER_PREFIX: &str = "impersonate-extra-";
const NODE_NAME_KEY: &str = "authentication.kubernetes.io/node-name";
/// From this many groups or extra values on, one check for all of them is tried first.
const MANY: usize = 4;

/// Why a request may not impersonate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImpersonationError {
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 403.
    #[error("{0}")]
    Forbidden(Refusal),
}

/// What the requestor may not do, for a 403.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The whole message.
    pub message: String,
    /// The group of what was asked for.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// Its name, if it has one.
    pub name: String,
}

impl Refusal {
    fn new(attributes: &Attributes<'_>, reason: &str) -> Self {
        Self {
            message: forbidden_message(attributes, reason),
            group: attributes.group.to_owned(),
            resource: attributes.resource.to_owned(),
            name: attributes.name.to_owned(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// The user that a request wants to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation(pub UserInfo);

/// Reads the headers; `None` if the request does not impersonate.
///
/// # Errors
/// If anything but a user is named without a user, if a value is not text, or if there is too much.
pub fn impersonation_from_headers(
    headers: &HeaderMap,
) -> Result<Option<Impersonation>, ImpersonationError> {
    let bad = |text: &str| ImpersonationError::BadRequest(text.to_owned());
    let text = |value: &http::HeaderValue| {
        String::from_utf8(value.as_bytes().to_vec())
            .map_err(|_| bad("impersonation headers must be UTF-8"))
    };
    let first = |name: &str| {
        headers
            .get(name)
            .map(&text)
            .transpose()
            .map(Option::unwrap_or_default)
    };
    let mut wanted = UserInfo {
        username: first("impersonate-user")?,
        uid: first("impersonate-uid")?,
        groups: headers
            .get_all("impersonate-group")
            .iter()
            .map(&text)
            .collect::<Result<_, _>>()?,
        extra: BTreeMap::new(),
    };
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA_HEADER_PREFIX) {
            wanted
                .extra
                .entry(unescape(key))
                .or_default()
                .push(text(value)?);
        }
    }
    let values = wanted.extra.values().map(Vec::len).sum::<usize>();
    if wanted.groups.len() + values > IMPERSONATION_REQUESTS_MAX {
        return Err(bad("too many impersonation headers"));
    }
    let more = !wanted.uid.is_empty() || !wanted.groups.is_empty() || !wanted.extra.is_empty();
    match (wanted.username.is_empty(), more) {
        (true, true) => Err(bad(
            "requested impersonation without impersonating a user name",
        )),
        (true, false) => Ok(None),
        (false, _) => Ok(Some(Impersonation(wanted))),
    }
}

/// Percent-decoded; as it is if that is not possible.
fn unescape(key: &str) -> String {
    let bytes = key.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        if bytes[position] != b'%' {
            out.push(bytes[position]);
            position += 1;
            continue;
        }
        let hex = key
            .get(position + 1..position + 3)
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
            return key.to_owned();
        };
        out.push(byte);
        position += 3;
    }
    String::from_utf8(out).unwrap_or_else(|_| key.to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Legacy,
}

impl Mode {
    const ALL: [Mode; 5] = [
        Mode::AssociatedNode,
        Mode::ArbitraryNode,
        Mode::ServiceAccount,
        Mode::UserInfo,
        Mode::Legacy,
    ];

    fn name(self) -> &'static str {
        match self {
            Mode::AssociatedNode => "associated-node",
            Mode::ArbitraryNode => "arbitrary-node",
            Mode::ServiceAccount => "serviceaccount",
            Mode::UserInfo => "user-info",
            Mode::Legacy => "",
        }
    }

    fn fits(self, wanted: &UserInfo, requestor: &UserInfo) -> bool {
        let bare = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
        let node = node_of(&wanted.username);
        let account = split_service_account(&wanted.username);
        match self {
            Mode::AssociatedNode => {
                let own = requestor.extra.get(NODE_NAME_KEY).map(Vec::as_slice);
                let is_account = split_service_account(&requestor.username).is_some();
                bare && is_account
                    && matches!((node, own), (Some(node), Some([own])) if node == own)
            }
            Mode::ArbitraryNode => bare && node.is_some(),
            Mode::ServiceAccount => bare && account.is_some(),
            Mode::UserInfo => node.is_none() && account.is_none(),
            Mode::Legacy => true,
        }
    }
}

fn node_of(username: &str) -> Option<&str> {
    username
        .strip_prefix(NODE_USER_PREFIX)
        .filter(|name| is_dns_subdomain(name))
}

/// The user to go on with, if the requestor (the user in `request`) may act as `wanted` for this request.
///
/// # Errors
/// The first refusal.
pub fn impersonate(
    authorizer: &dyn Authorizer,
    request: &Attributes<'_>,
    wanted: &Impersonation,
) -> Result<UserInfo, ImpersonationError> {
    let wanted = &wanted.0;
    let mut refused = None;
    for mode in Mode::ALL
        .into_iter()
        .filter(|mode| mode.fits(wanted, request.user))
    {
        match (Check {
            authorizer,
            request,
            mode,
        })
        .run(wanted)
        {
            Ok(user) => return Ok(user),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    let refusal = refused.unwrap_or_else(|| Refusal {
        message: "all impersonation modes failed".to_owned(),
        ..Refusal::default()
    });
    Err(ImpersonationError::Forbidden(refusal))
}

struct Check<'a> {
    authorizer: &'a dyn Authorizer,
    request: &'a Attributes<'a>,
    mode: Mode,
}

impl Check<'_> {
    fn run(&self, wanted: &UserInfo) -> Result<UserInfo, Refusal> {
        let verb = match self.mode {
            Mode::Legacy => "impersonate".to_owned(),
            mode => {
                let verb = format!("impersonate-on:{}:{}", mode.name(), self.request.verb);
                self.ask(&Attributes {
                    verb: &verb,
                    ..*self.request
                })?;
                format!("impersonate:{}", mode.name())
            }
        };
        let mut user = wanted.clone();
        self.username(&verb, wanted, &mut user)?;
        if !wanted.uid.is_empty() {
            let uid = Attributes::resource(self.request.user, &verb, AUTHENTICATION_GROUP, "uids");
            self.ask(&uid.object("", &wanted.uid))?;
        }
        self.groups(&verb, &wanted.groups)?;
        self.extra(&verb, &wanted.extra)?;
        let implied = if user.username == ANONYMOUS_USER {
            UNAUTHENTICATED_GROUP
        } else {
            AUTHENTICATED_GROUP
        };
        if !user.in_group(implied) && !user.in_group(UNAUTHENTICATED_GROUP) {
            user.groups.push(implied.to_owned());
        }
        Ok(user)
    }

    fn constrained(&self) -> bool {
        self.mode != Mode::Legacy
    }

    fn ask(&self, attributes: &Attributes<'_>) -> Result<(), Refusal> {
        let verdict = self.authorizer.authorize(attributes);
        if verdict.allowed() {
            Ok(())
        } else {
            Err(Refusal::new(attributes, &verdict.reason))
        }
    }

    /// The group under which users and groups are checked.
    fn api_group(&self) -> &'static str {
        if self.constrained() {
            AUTHENTICATION_GROUP
        } else {
            ""
        }
    }

    fn username(&self, verb: &str, wanted: &UserInfo, user: &mut UserInfo) -> Result<(), Refusal> {
        let about =
            |resource| Attributes::resource(self.request.user, verb, self.api_group(), resource);
        if let Some(node) = node_of(&wanted.username).filter(|_| self.constrained()) {
            user.groups = vec![NODES_GROUP.to_owned()];
            // Being the node one runs on is allowed for all nodes or for none.
            let name = if self.mode == Mode::AssociatedNode {
                "*"
            } else {
                node
            };
            return self.ask(&about("nodes").object("", name));
        }
        if let Some((namespace, name)) = split_service_account(&wanted.username) {
            if wanted.groups.is_empty() {
                user.groups = service_account_groups(namespace);
            }
            return self.ask(&about("serviceaccounts").object(namespace, name));
        }
        self.ask(&about("users").object("", &wanted.username))
    }

    fn groups(&self, verb: &str, groups: &[String]) -> Result<(), Refusal> {
        let about = Attributes::resource(self.request.user, verb, self.api_group(), "groups");
        if self.constrained() {
            if groups.iter().any(String::is_empty) {
                return Err(Refusal::new(
                    &about,
                    "impersonating the empty string group is not allowed",
                ));
            }
            if groups.iter().any(|group| group == MASTERS_GROUP) {
                let about = about.object("", MASTERS_GROUP);
                return Err(Refusal::new(
                    &about,
                    "impersonating the system:masters group is not allowed",
                ));
            }
            if groups.len() >= MANY && self.ask(&about.object("", "*")).is_ok() {
                return Ok(());
            }
        }
        groups
            .iter()
            .try_for_each(|group| self.ask(&about.object("", group)))
    }

    fn extra(&self, verb: &str, extra: &BTreeMap<String, Vec<String>>) -> Result<(), Refusal> {
        let about =
            Attributes::resource(self.request.user, verb, AUTHENTICATION_GROUP, "userextras");
        if self.constrained() {
            if let Some(problem) = extra
                .iter()
                .find_map(|(key, values)| extra_problem(key, values))
            {
                return Err(Refusal::new(&about, &problem));
            }
            let many = extra.values().map(Vec::len).sum::<usize>() >= MANY;
            if many && self.ask(&about.part("*").object("", "*")).is_ok() {
                return Ok(());
            }
        }
        extra.iter().try_for_each(|(key, values)| {
            values
                .iter()
                .try_for_each(|value| self.ask(&about.part(key).object("", value)))
        })
    }
}

/// What is wrong with an extra key or its values: the key must be `domain/path` in lower case.
fn extra_problem(key: &str, values: &[String]) -> Option<String> {
    let domain_and_path = key
        .split_once('/')
        .is_some_and(|(domain, path)| is_dns_subdomain(domain) && !path.is_empty());
    if key.is_empty() {
        Some("impersonating the empty string key in extra is not allowed".to_owned())
    } else if !domain_and_path {
        Some(format!(
            "impersonating an invalid key in extra is not allowed: {}",
            quoted(key)
        ))
    } else if key.chars().any(char::is_uppercase) {
        Some(format!(
            "impersonating a non-lowercase key in extra is not allowed: {}",
            quoted(key)
        ))
    } else if values.iter().any(String::is_empty) {
        Some("impersonating the empty string value in extra is not allowed".to_owned())
    } else {
        None
    }
}
