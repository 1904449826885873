//! Certificates, bootstrap tokens, the token file, anonymous requests, impersonation and reviews.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use mainstay_auth::authn::{
    Anonymous, Authenticated, AuthnError, CertificateError, Credentials, Impersonation,
    ImpersonationError, TokenAuthenticators, TokenFile, TokenFileError, TokenLookups,
    authenticate_bootstrap_token, bearer_token, bootstrap_secret_name, impersonate,
    impersonation_from_headers, self_subject_review, token_review, user_from_certificate,
    websocket_bearer,
};
use mainstay_auth::rbac::{
    Binding, Event, PolicyRule, RbacAuthorizer, Role, RoleRef, Subject, SubjectKind,
};
use mainstay_auth::{Attributes, UserInfo};
use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const UID: &[u64] = &[1, 3, 6, 1, 4, 1, 57683, 2];

fn certificate(parts: &[(DnType, &str)]) -> Vec<u8> {
    let mut name = DistinguishedName::new();
    parts
        .iter()
        .for_each(|(kind, text)| name.push(kind.clone(), *text));
    let mut parameters = CertificateParams::new(vec![]).expect("parameters");
    parameters.distinguished_name = name;
    // An extension that nobody knows must not matter.
    parameters
        .custom_extensions
        .push(CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]));
    let pair = KeyPair::generate().expect("a key");
    parameters
        .self_signed(&pair)
        .expect("signed")
        .der()
        .to_vec()
}

#[test]
fn a_certificate_names_user_groups_and_uid() {
    let uid = || DnType::CustomDnType(UID.to_vec());
    let der = certificate(&[
        (DnType::OrganizationName, "system:nodes"),
        (DnType::CommonName, "system:node:n1"),
        (uid(), "u-1"),
    ]);
    let user = user_from_certificate(&der).expect("parsed").expect("named");
    assert_eq!(
        (user.username.as_str(), user.uid.as_str()),
        ("system:node:n1", "u-1")
    );
    assert_eq!(user.groups, ["system:nodes"]);
    let credential = &user.extra["authentication.kubernetes.io/credential-id"][0];
    assert!(credential.starts_with("X509SHA256=") && credential.len() == 11 + 64);
    assert_eq!(
        user_from_certificate(&certificate(&[(
            DnType::OrganizationName,
            "system:masters"
        )])),
        Ok(None)
    );
    assert_eq!(
        user_from_certificate(&certificate(&[(DnType::CommonName, "a"), (uid(), "")])),
        Err(CertificateError::EmptyUid)
    );
    assert_eq!(
        user_from_certificate(b"no certificate"),
        Err(CertificateError::Malformed)
    );
}

const TOKEN: &str = "abcdef.0123456789abcdef";

fn bootstrap_secret(changes: &[(&str, Option<&str>)]) -> Value {
    let mut secret = json!({
        "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {
            "token-id": STANDARD.encode("abcdef"),
            "token-secret": STANDARD.encode("0123456789abcdef"),
            "usage-bootstrap-authentication": STANDARD.encode("true"),
        },
    });
    for (key, value) in changes {
        secret["data"][*key] = value.map_or(Value::Null, |value| json!(STANDARD.encode(value)));
    }
    secret
}

#[test]
fn bootstrap_tokens_follow_their_secret() {
    assert_eq!(
        bootstrap_secret_name(TOKEN).as_deref(),
        Some("bootstrap-token-abcdef")
    );
    for bad in [
        "",
        ".",
        "abcdef",
        "abcdef.0123456789abcde",
        "ABCDEF.0123456789abcdef",
        "abcdef.0123456789abcdef.x",
    ] {
        assert_eq!(bootstrap_secret_name(bad), None, "{bad}");
    }
    let groups = |changes: &[(&str, Option<&str>)]| {
        let user = authenticate_bootstrap_token(TOKEN, &bootstrap_secret(changes), NOW)?;
        assert_eq!(user.username, "system:bootstrap:abcdef");
        Some(user.groups.join(" "))
    };
    for (changes, expected) in [
        (vec![], Some("system:bootstrappers")),
        (
            vec![(
                "auth-extra-groups",
                Some("system:bootstrappers:z,system:bootstrappers:kubeadm:a"),
            )],
            Some("system:bootstrappers system:bootstrappers:kubeadm:a system:bootstrappers:z"),
        ),
        (vec![("auth-extra-groups", Some("system:masters"))], None),
        (
            vec![("auth-extra-groups", Some("system:bootstrappers:"))],
            None,
        ),
        (vec![("token-secret", Some("0123456789abcdeX"))], None),
        (vec![("token-secret", None)], None),
        (vec![("token-id", Some("fedcba"))], None),
        (
            vec![("usage-bootstrap-authentication", Some("false"))],
            None,
        ),
        (vec![("usage-bootstrap-authentication", None)], None),
        (
            vec![("expiration", Some("2027-01-15T08:00:01Z"))],
            Some("system:bootstrappers"),
        ),
        (
            vec![("expiration", Some("2027-01-15T09:00:01+01:00"))],
            Some("system:bootstrappers"),
        ),
        (vec![("expiration", Some("2027-01-15T08:00:00Z"))], None),
        (vec![("expiration", Some("tomorrow"))], None),
    ] {
        assert_eq!(groups(&changes).as_deref(), expected, "{changes:?}");
    }
    let mut other_type = bootstrap_secret(&[]);
    other_type["type"] = json!("Opaque");
    assert_eq!(authenticate_bootstrap_token(TOKEN, &other_type, NOW), None);
    let mut deleted = bootstrap_secret(&[]);
    deleted["metadata"]["deletionTimestamp"] = json!("2027-01-01T00:00:00Z");
    assert_eq!(authenticate_bootstrap_token(TOKEN, &deleted, NOW), None);
}

#[test]
fn the_token_file_is_csv() {
    let file = "t1,alice,1\n\nt2,bob,2,\"dev,ops\"\r\n,nobody,3\n\"t,3\",\"c\"\"d\",4,one\nt4,,\n";
    let file = TokenFile::parse(file.as_bytes()).expect("valid");
    let user = |token: &str| {
        file.authenticate(token)
            .map(|user| (user.username.clone(), user.groups.join(" ")))
    };
    assert_eq!(user("t1"), Some(("alice".into(), String::new())));
    assert_eq!(user("t2"), Some(("bob".into(), "dev ops".into())));
    assert_eq!(user("t,3"), Some(("c\"d".into(), "one".into())));
    assert_eq!(user("t4"), Some((String::new(), String::new())));
    assert_eq!(user(""), None);
    assert_eq!(
        TokenFile::parse(b"t,u").err(),
        Some(TokenFileError::Columns(2))
    );
    assert_eq!(
        TokenFile::parse(b"t,u,1\nt,\"u,1").err(),
        Some(TokenFileError::Quotes(2))
    );
    assert_eq!(
        TokenFile::parse(b"t,u\"x,1").err(),
        Some(TokenFileError::Quotes(1))
    );
    assert_eq!(
        TokenFile::parse(&[0xff]).err(),
        Some(TokenFileError::Encoding)
    );
}

#[test]
fn bearer_tokens_come_from_two_headers() {
    for (header, expected) in [
        ("Bearer abc", Some("abc")),
        ("  bearer abc def ", Some("abc")),
        ("Bearer  abc", None),
        ("Bearer", None),
        ("Basic abc", None),
        ("", None),
    ] {
        assert_eq!(bearer_token(header), expected, "{header:?}");
    }
    let hidden = format!(
        "base64url.bearer.authorization.k8s.io.{}",
        URL_SAFE_NO_PAD.encode("abc")
    );
    let both = format!("{hidden}, v4.channel.k8s.io");
    assert_eq!(
        websocket_bearer(&both),
        Ok(Some(("abc".into(), vec!["v4.channel.k8s.io"])))
    );
    assert_eq!(websocket_bearer("v4.channel.k8s.io"), Ok(None));
    assert!(
        websocket_bearer(&hidden).is_err(),
        "another subprotocol must be left to answer with"
    );
    assert!(websocket_bearer(&format!("{hidden},{hidden},x")).is_err());
    assert!(websocket_bearer("base64url.bearer.authorization.k8s.io.!,x").is_err());
}

fn authenticators() -> TokenAuthenticators {
    TokenAuthenticators {
        file: Some(TokenFile::parse(b"static,alice,1,dev").expect("valid")),
        service_accounts: None,
        bootstrap: true,
        api_audiences: vec!["api".into()],
    }
}

fn authenticate(
    credentials: Credentials<'_>,
    path: &str,
    anonymous: &Anonymous,
) -> Result<Authenticated, AuthnError> {
    let lookups = TokenLookups {
        objects: &|_, _, _| None,
        bootstrap_secret: &|name| (name == "bootstrap-token-abcdef").then(|| bootstrap_secret(&[])),
    };
    authenticators().authenticate_request(credentials, path, anonymous, NOW, lookups)
}

#[test]
fn credentials_are_tried_in_order() {
    let token = |token| Credentials {
        token: Some(token),
        ..Credentials::default()
    };
    let user = |credentials| {
        authenticate(credentials, "/api", &Anonymous::Everywhere).map(|found| found.user)
    };
    let name = |credentials| user(credentials).map(|user| user.username);
    let der = certificate(&[(DnType::CommonName, "carol")]);
    let certificate = Some(der.as_slice());
    assert_eq!(
        user(token("static")).expect("valid").groups,
        ["dev", "system:authenticated"]
    );
    assert_eq!(name(token(TOKEN)).as_deref(), Ok("system:bootstrap:abcdef"));
    assert_eq!(
        name(Credentials {
            certificate,
            token: Some("static")
        })
        .as_deref(),
        Ok("carol")
    );
    assert_eq!(
        name(Credentials {
            certificate,
            token: Some("wrong")
        })
        .as_deref(),
        Ok("carol")
    );
    assert_eq!(
        name(Credentials::default()).as_deref(),
        Ok("system:anonymous")
    );
    assert_eq!(
        name(token("wrong")),
        Err(AuthnError("invalid bearer token".into())),
        "not anonymous"
    );
    let paths = Anonymous::Paths(vec!["/livez".into(), "/readyz".into()]);
    for (path, anonymous, allowed) in [
        ("/livez", &paths, true),
        ("/livez/etcd", &paths, false),
        ("/api", &paths, false),
        ("/livez", &Anonymous::Off, false),
    ] {
        assert_eq!(
            authenticate(Credentials::default(), path, anonymous).is_ok(),
            allowed,
            "{path}"
        );
    }
}

#[test]
fn token_reviews_tell_user_and_audiences() {
    let lookups = TokenLookups {
        objects: &|_, _, _| None,
        bootstrap_secret: &|_| None,
    };
    let own = authenticators();
    let review = |spec: Value| {
        let request =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        token_review(&request, &own.api_audiences, |token, audiences| {
            own.authenticate(token, audiences, NOW, lookups)
        })
        .map(|review| review["status"].clone())
    };
    assert_eq!(
        review(json!({"token": "static"})),
        Ok(json!({
            "authenticated": true,
            "audiences": ["api"],
            "user": {"username": "alice", "uid": "1", "groups": ["dev", "system:authenticated"]},
        }))
    );
    let refused = json!({"user": {}, "error": "invalid bearer token"});
    assert_eq!(review(json!({"token": "wrong"})), Ok(refused.clone()));
    assert_eq!(
        review(json!({"token": "static", "audiences": ["other"]})),
        Ok(refused)
    );
    assert!(review(json!({})).is_err());
    let user = UserInfo::new("u", &["g"]);
    assert_eq!(
        self_subject_review(&json!({}), &user, NOW),
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "SelfSubjectReview",
            "metadata": {"creationTimestamp": "2027-01-15T08:00:00Z"},
            "status": {"userInfo": {"username": "u", "groups": ["g"]}},
        })
    );
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().expect("a header value"));
    }
    headers
}

#[test]
fn impersonation_headers_name_a_user() {
    let wanted = impersonation_from_headers(&headers(&[
        ("impersonate-user", "bob"),
        ("impersonate-group", "dev"),
        ("impersonate-group", "ops"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-example.com%2fscopes", "view"),
        ("impersonate-extra-example.com%2fscopes", "edit"),
    ]));
    let Impersonation(wanted) = wanted.expect("valid").expect("impersonates");
    assert_eq!(
        (wanted.username.as_str(), wanted.uid.as_str()),
        ("bob", "7")
    );
    assert_eq!(wanted.groups, ["dev", "ops"]);
    assert_eq!(wanted.extra["example.com/scopes"], ["view", "edit"]);
    assert_eq!(
        impersonation_from_headers(&headers(&[("accept", "x")])),
        Ok(None)
    );
    for only in [
        "impersonate-group",
        "impersonate-uid",
        "impersonate-extra-x",
    ] {
        assert!(
            impersonation_from_headers(&headers(&[(only, "x")])).is_err(),
            "{only} alone"
        );
    }
    let malformed = headers(&[("impersonate-user", "u"), ("impersonate-extra-a%zz", "x")]);
    let wanted = impersonation_from_headers(&malformed)
        .expect("valid")
        .expect("impersonates");
    assert_eq!(wanted.0.extra["a%zz"], ["x"], "kept as it is");
}

/// An authorizer where `admin` holds the rules `(verbs, group, resources, names)`.
fn holding(rules: &[(&str, &str, &str, &str)]) -> RbacAuthorizer {
    let list = |text: &str| {
        text.split(' ')
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let rules = rules
        .iter()
        .map(|(verbs, group, resources, names)| PolicyRule {
            verbs: list(verbs),
            api_groups: vec![(*group).to_owned()],
            resources: list(resources),
            resource_names: list(names),
            ..PolicyRule::default()
        });
    let rbac = RbacAuthorizer::default();
    rbac.apply(Event::Role(Role {
        namespace: String::new(),
        name: "r".into(),
        rules: Arc::new(rules.collect()),
    }));
    rbac.apply(Event::Binding(Binding {
        namespace: String::new(),
        name: "b".into(),
        role_ref: RoleRef {
            kind: "ClusterRole".into(),
            name: "r".into(),
        },
        subjects: vec![Subject {
            kind: SubjectKind::User,
            name: "admin".into(),
            namespace: String::new(),
        }],
    }));
    rbac
}

const AUTHN: &str = "authentication.k8s.io";

#[test]
fn each_thing_impersonated_needs_its_permission() {
    let admin = UserInfo::new("admin", &[]);
    let request = Attributes::resource(&admin, "list", "", "pods").object("ns", "");
    let run = |rules: &[(&str, &str, &str, &str)], wanted: UserInfo| {
        impersonate(&holding(rules), &request, &Impersonation(wanted))
    };
    let bob = || UserInfo::new("bob", &[]);
    let legacy = [("impersonate", "", "users groups serviceaccounts", "")];
    assert_eq!(
        run(&legacy, bob()).expect("allowed").groups,
        ["system:authenticated"]
    );
    let account = UserInfo::new("system:serviceaccount:ns:sa", &[]);
    assert_eq!(
        run(&legacy, account).expect("allowed").groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:ns",
            "system:authenticated"
        ]
    );
    let anonymous = UserInfo::new("system:anonymous", &[]);
    assert_eq!(
        run(&legacy, anonymous).expect("allowed").groups,
        ["system:unauthenticated"]
    );
    assert_eq!(
        run(&legacy, UserInfo::new("bob", &["system:masters"]))
            .expect("allowed")
            .groups[0],
        "system:masters"
    );
    let named = [("impersonate", "", "users", "carol")];
    assert!(run(&named, bob()).is_err());
    let with_uid = UserInfo {
        uid: "7".into(),
        ..bob()
    };
    assert!(
        run(&legacy, with_uid.clone()).is_err(),
        "uids are checked too"
    );
    let uids = [legacy[0], ("impersonate", AUTHN, "uids", "7")];
    assert_eq!(run(&uids, with_uid).expect("allowed").uid, "7");
    let with_extra = UserInfo {
        extra: [("example.com/s".into(), vec!["v".into()])].into(),
        ..bob()
    };
    assert!(
        run(&legacy, with_extra.clone()).is_err(),
        "extra values are checked too"
    );
    assert!(
        run(
            &[
                legacy[0],
                ("impersonate", AUTHN, "userextras/example.com/s", "v")
            ],
            with_extra
        )
        .is_ok()
    );
    let Err(ImpersonationError::Forbidden(refusal)) = run(&[], bob()) else {
        panic!("nobody may without rules")
    };
    assert_eq!(
        refusal.message,
        r#"pods is forbidden: User "admin" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "ns""#
    );
    // A refusal did not say what it was about.
    assert_eq!(
        (refusal.group.as_str(), refusal.resource.as_str()),
        ("", "pods")
    );
}

#[test]
fn constrained_impersonation_needs_the_user_and_the_request() {
    let admin = UserInfo::new("admin", &[]);
    let request = Attributes::resource(&admin, "list", "", "pods").object("ns", "");
    let run = |rules: &[(&str, &str, &str, &str)], wanted: UserInfo| {
        impersonate(&holding(rules), &request, &Impersonation(wanted))
    };
    let on = |mode: &'static str| (mode, "", "pods", "");
    let be_user = ("impersonate:user-info", AUTHN, "users groups", "");
    let on_user = on("impersonate-on:user-info:list");
    assert!(
        run(&[be_user], UserInfo::new("bob", &["dev"])).is_err(),
        "not for this request"
    );
    assert!(
        run(&[on_user], UserInfo::new("bob", &["dev"])).is_err(),
        "not this user"
    );
    assert!(run(&[be_user, on_user], UserInfo::new("bob", &["dev"])).is_ok());
    let masters = run(
        &[be_user, on_user],
        UserInfo::new("bob", &["system:masters"]),
    );
    let Err(ImpersonationError::Forbidden(refusal)) = masters else {
        panic!("never system:masters")
    };
    assert!(
        refusal
            .message
            .ends_with("impersonating the system:masters group is not allowed"),
        "{refusal}"
    );
    let node = UserInfo::new("system:node:n1", &[]);
    let arbitrary = [
        ("impersonate:arbitrary-node", AUTHN, "nodes", "n1"),
        on("impersonate-on:arbitrary-node:list"),
    ];
    assert_eq!(
        run(&arbitrary, node.clone()).expect("allowed").groups,
        ["system:nodes", "system:authenticated"]
    );
    assert!(run(&arbitrary, UserInfo::new("system:node:n2", &[])).is_err());
    assert!(
        run(&[be_user, on_user], node).is_err(),
        "a node is no plain user"
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[a,\"\n\r]{0,60}") {
        let _ = user_from_certificate(&bytes);
        let mut der = certificate_once().to_vec();
        for (position, byte) in bytes.iter().take(3).enumerate() {
            let position = (usize::from(*byte) * 7 + position * 31) % der.len();
            der[position] ^= byte | 1;
        }
        let _ = user_from_certificate(&der);
        let _ = TokenFile::parse(&bytes);
        let _ = TokenFile::parse(text.as_bytes());
        let _ = websocket_bearer(&String::from_utf8_lossy(&bytes));
    }
}

fn certificate_once() -> &'static [u8] {
    static DER: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    DER.get_or_init(|| certificate(&[(DnType::CommonName, "u"), (DnType::OrganizationName, "g")]))
}
