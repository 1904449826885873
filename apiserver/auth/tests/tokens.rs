//! Service account tokens from issue to expiry, and everything that must refuse them.

use std::cell::Cell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mainstay_auth::authn::{
    AuthnError, BoundKind, Found, IssueError, KeySet, OpenIdDocuments, ServiceAccountTokens,
    SigningKey, TokenIssuer,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const RSA: &[u8] = include_bytes!("data/test-only-rsa.pem");
const EC: &[u8] = include_bytes!("data/test-only-ec.pem");
const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://kubernetes.default.svc";
/// The hash of the public half of the RSA test key.
const RSA_KEY_ID: &str = "QuaFHfcSON24_8IJXvjkowQ6cLN3fuX_5smwysP2lsI";

fn issuer(pem: &[u8]) -> TokenIssuer {
    TokenIssuer {
        issuer: ISSUER.into(),
        key: SigningKey::from_pem(pem).expect("a test key"),
        api_audiences: vec!["api".into()],
        expiration_seconds_max: Some(86_400),
        extend_expiration: true,
    }
}

fn verifier(pem: &[u8]) -> ServiceAccountTokens {
    let mut keys = KeySet::new();
    keys.add_pem(pem).expect("a test key");
    ServiceAccountTokens::new(&[ISSUER], keys, &["api"])
}

fn account() -> Value {
    json!({"metadata": {"namespace": "ns", "name": "sa", "uid": "u-sa"}})
}

/// The cluster: a service account, a pod on a node, and a secret.
fn object(kind: BoundKind, namespace: &str, name: &str) -> Option<Value> {
    let object =
        |uid: &str| json!({"metadata": {"name": name, "namespace": namespace, "uid": uid}});
    match (kind, namespace, name) {
        (BoundKind::ServiceAccount, "ns", "sa") => Some(account()),
        (BoundKind::Pod, "ns", "pod") => {
            let mut pod = object("u-pod");
            pod["spec"] = json!({"serviceAccountName": "sa", "nodeName": "node"});
            Some(pod)
        }
        (BoundKind::Pod, "ns", "other") => Some(json!({"spec": {"serviceAccountName": "another"}})),
        (BoundKind::Node, "", "node") => Some(object("u-node")),
        (BoundKind::Secret, "ns", "secret") => Some(object("u-secret")),
        _ => None,
    }
}

fn found(kind: BoundKind, namespace: &str, name: &str) -> Option<Found> {
    object(kind, namespace, name)
        .as_ref()
        .map(Found::from_value)
}

fn request(spec: Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
}

fn bound_to(kind: &str, name: &str) -> Value {
    request(json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name}}))
}

fn issue(pem: &[u8], request: &Value) -> String {
    let issued = issuer(pem)
        .issue(request, &account(), NOW, &object)
        .expect("the request is fine");
    issued.response["status"]["token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn refusal(result: Result<Option<mainstay_auth::authn::Authenticated>, AuthnError>) -> String {
    result.expect_err("the token is refused").to_string()
}

#[test]
fn a_pod_token_names_everything_it_is_bound_to() {
    for pem in [RSA, EC] {
        let token = issue(pem, &bound_to("Pod", "pod"));
        let claims = payload(&token);
        assert_eq!(claims["iss"], ISSUER);
        assert_eq!(claims["sub"], "system:serviceaccount:ns:sa");
        assert_eq!(claims["aud"], json!(["api"]));
        assert_eq!(
            (&claims["iat"], &claims["nbf"], &claims["exp"]),
            (&json!(NOW), &json!(NOW), &json!(NOW + 3600))
        );
        assert_eq!(
            claims["kubernetes.io"],
            json!({
                "namespace": "ns",
                "serviceaccount": {"name": "sa", "uid": "u-sa"},
                "pod": {"name": "pod", "uid": "u-pod"},
                "node": {"name": "node", "uid": "u-node"},
            })
        );
        let user = verifier(pem)
            .authenticate(&token, &[], NOW, &found)
            .expect("valid")
            .expect("ours");
        assert_eq!(user.audiences, ["api"]);
        let user = user.user;
        assert_eq!(
            (user.username.as_str(), user.uid.as_str()),
            ("system:serviceaccount:ns:sa", "u-sa")
        );
        assert_eq!(
            user.groups,
            ["system:serviceaccounts", "system:serviceaccounts:ns"]
        );
        let one = |text: &str| vec![text.to_owned()];
        let jti = format!("JTI={}", claims["jti"].as_str().expect("an id"));
        assert_eq!(
            user.extra,
            BTreeMap::from([
                (
                    "authentication.kubernetes.io/credential-id".into(),
                    one(&jti)
                ),
                ("authentication.kubernetes.io/node-name".into(), one("node")),
                (
                    "authentication.kubernetes.io/node-uid".into(),
                    one("u-node")
                ),
                ("authentication.kubernetes.io/pod-name".into(), one("pod")),
                ("authentication.kubernetes.io/pod-uid".into(), one("u-pod")),
            ])
        );
    }
}

#[test]
fn a_token_dies_with_time_and_with_what_it_is_bound_to() {
    let tokens = verifier(EC);
    let pod = issue(EC, &bound_to("Pod", "pod"));
    let at = |now| tokens.authenticate(&pod, &[], now, &found);
    assert!(
        at(NOW - 60).is_ok() && at(NOW + 3660).is_ok(),
        "clocks may differ by a minute"
    );
    assert_eq!(
        refusal(at(NOW - 61)),
        "service account token is not valid yet"
    );
    assert_eq!(refusal(at(NOW + 3661)), "service account token has expired");
    let with = |token: &str, change: &dyn Fn(BoundKind, &mut Option<Found>)| {
        refusal(
            tokens.authenticate(token, &[], NOW, &|kind, namespace: &str, name: &str| {
                let mut object = found(kind, namespace, name);
                change(kind, &mut object);
                object
            }),
        )
    };
    let gone = |wanted| {
        move |kind, object: &mut Option<Found>| {
            if kind == wanted {
                *object = None
            }
        }
    };
    let renewed = |wanted| {
        move |kind, object: &mut Option<Found>| {
            if kind == wanted {
                object.as_mut().expect("exists").uid = "new".into();
            }
        }
    };
    let deleted = |wanted| {
        move |kind, object: &mut Option<Found>| {
            if kind == wanted {
                object.as_mut().expect("exists").deleted_at = Some(NOW - 61);
            }
        }
    };
    assert_eq!(
        with(&pod, &gone(BoundKind::ServiceAccount)),
        r#"serviceaccounts "sa" not found"#
    );
    assert_eq!(
        with(&pod, &renewed(BoundKind::ServiceAccount)),
        "service account UID (new) does not match claim (u-sa)"
    );
    assert_eq!(
        with(&pod, &deleted(BoundKind::ServiceAccount)),
        "service account ns/sa has been deleted"
    );
    let node = issue(EC, &bound_to("Node", "node"));
    let secret = issue(EC, &bound_to("Secret", "secret"));
    for (token, kind, word) in [
        (&pod, BoundKind::Pod, "pod"),
        (&node, BoundKind::Node, "node"),
        (&secret, BoundKind::Secret, "secret"),
    ] {
        assert_eq!(
            with(token, &gone(kind)),
            "service account token has been invalidated"
        );
        assert_eq!(
            with(token, &deleted(kind)),
            "service account token has been invalidated"
        );
        let text = with(token, &renewed(kind));
        assert!(
            text.contains(&format!(
                "UID (new) does not match service account {word} ref claim (u-{word})"
            )),
            "{text}"
        );
    }
}

#[test]
fn audiences_and_issuers_must_match() {
    let tokens = verifier(EC);
    let other = issue(EC, &request(json!({"audiences": ["vault", "mesh"]})));
    assert_eq!(
        refusal(tokens.authenticate(&other, &[], NOW, &found)),
        r#"token audiences ["vault" "mesh"] is invalid for the target audiences ["api"]"#
    );
    let asked = ["mesh".to_owned(), "x".to_owned()];
    let matched = tokens
        .authenticate(&other, &asked, NOW, &found)
        .expect("valid")
        .expect("ours");
    assert_eq!(matched.audiences, ["mesh"]);
    let mut foreign = issuer(EC);
    foreign.issuer = "https://elsewhere".into();
    let issued = foreign
        .issue(&request(json!({})), &account(), NOW, &object)
        .expect("issued");
    let token = issued.response["status"]["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!(
        tokens.authenticate(&token, &[], NOW, &found),
        Ok(None),
        "somebody else's token"
    );
}

#[test]
fn a_signature_that_is_not_ours_is_refused() {
    let token = issue(EC, &request(json!({})));
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let (header, body) = head.split_once('.').expect("three parts");
    let tokens = verifier(EC);
    assert!(
        refusal(verifier(RSA).authenticate(&token, &[], NOW, &found)).contains("no keys found")
    );
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut other = payload(&token);
    other["sub"] = json!("system:serviceaccount:kube-system:admin");
    for forged in [
        format!("{header}.{}.{signature}", encode(&other)),
        format!("{}.{body}.", encode(&json!({"alg": "none"}))),
        format!("{}.{body}.{signature}", encode(&json!({"alg": "HS256"}))),
        format!(
            "{}.{body}.{signature}",
            encode(&json!({"alg": "ES256", "crit": ["x"]}))
        ),
    ] {
        assert_eq!(
            refusal(tokens.authenticate(&forged, &[], NOW, &found)),
            "invalid signature"
        );
    }
}

#[test]
fn a_verified_signature_is_remembered_but_objects_are_looked_up_each_time() {
    let (tokens, token) = (verifier(RSA), issue(RSA, &bound_to("Pod", "pod")));
    let lookups = Cell::new(0);
    let count = |kind, namespace: &str, name: &str| {
        lookups.set(lookups.get() + 1);
        found(kind, namespace, name)
    };
    for _ in 0..3 {
        assert!(tokens.authenticate(&token, &[], NOW, &count).is_ok());
    }
    assert_eq!(lookups.get(), 6, "service account and pod, three times");
    assert!(
        tokens
            .authenticate(&token, &[], NOW + 9_999, &found)
            .is_err(),
        "time is checked too"
    );
}

#[test]
fn token_requests_are_checked() {
    let issue = |request: Value| issuer(EC).issue(&request, &account(), NOW, &object);
    let text = |request: Value| issue(request).expect_err("refused").to_string();
    assert_eq!(
        text(request(json!({"expirationSeconds": 599}))),
        "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"
    );
    assert!(
        text(request(json!({"expirationSeconds": 1_i64 << 33})))
            .contains("larger than 2^32 seconds")
    );
    assert_eq!(
        text(json!({"metadata": {"name": "x"}, "spec": {}})),
        r#"metadata.name: Invalid value: "x": must match the service account name if specified"#
    );
    assert!(matches!(
        issue(json!({"metadata": {"uid": "x"}})),
        Err(IssueError::Conflict { .. })
    ));
    assert!(matches!(
        issue(bound_to("Pod", "gone")),
        Err(IssueError::NotFound {
            resource: "pods",
            ..
        })
    ));
    assert_eq!(
        text(bound_to("Pod", "other")),
        r#"cannot bind token for serviceaccount "sa" to pod running with different serviceaccount name."#
    );
    assert_eq!(
        text(bound_to("ConfigMap", "x")),
        "cannot bind token to object of type /v1, Kind=ConfigMap"
    );
    let mut renewed = bound_to("Pod", "pod");
    renewed["spec"]["boundObjectRef"]["uid"] = json!("old");
    assert!(matches!(issue(renewed), Err(IssueError::Conflict { .. })));
    let long = issue(request(json!({"expirationSeconds": 100_000}))).expect("shortened");
    assert_eq!(
        long.warnings,
        ["requested expiration of 100000 seconds shortened to 86400 seconds"]
    );
    assert_eq!(long.response["spec"]["expirationSeconds"], 86_400);
    assert_eq!(
        long.response["status"]["expirationTimestamp"],
        "2027-01-16T08:00:00Z"
    );
    let mut old_client = bound_to("Pod", "pod");
    old_client["spec"]["expirationSeconds"] = json!(3607);
    let extended = issue(old_client).expect("issued").response;
    assert_eq!(extended["spec"]["expirationSeconds"], 3607);
    let claims = payload(extended["status"]["token"].as_str().expect("a token"));
    assert_eq!(
        (&claims["exp"], &claims["kubernetes.io"]["warnafter"]),
        (&json!(NOW + 86_400), &json!(NOW + 3607))
    );
}

/// A token as the old token controller made them, signed here by hand through the issuer's key.
#[test]
fn tokens_from_secrets_are_compared_with_the_secret() {
    let key = SigningKey::from_pem(EC).expect("a test key");
    let claim = |key: &str| format!("kubernetes.io/serviceaccount/{key}");
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:ns:sa",
        claim("namespace"): "ns",
        claim("secret.name"): "secret",
        claim("service-account.name"): "sa",
        claim("service-account.uid"): "u-sa",
    });
    let token = key.sign_payload(&claims).expect("randomness");
    let tokens = verifier(EC);
    let secret = |data: Value, labels: Value| {
        let object = json!({"metadata": {"uid": "u-secret", "labels": labels}, "data": data});
        move |kind, namespace: &str, name: &str| match kind {
            BoundKind::Secret => Some(Found::from_value(&object)),
            _ => found(kind, namespace, name),
        }
    };
    let stored = json!({"token": STANDARD.encode(&token)});
    let user = tokens.authenticate(&token, &[], NOW, &secret(stored.clone(), json!({})));
    let user = user.expect("valid").expect("ours");
    assert_eq!(
        (user.user.username.as_str(), user.audiences),
        ("system:serviceaccount:ns:sa", vec!["api".into()])
    );
    assert_eq!(
        refusal(tokens.authenticate(
            &token,
            &[],
            NOW,
            &secret(json!({"token": "b3RoZXI="}), json!({}))
        )),
        "Token does not match server's copy"
    );
    let since = json!({"kubernetes.io/legacy-token-invalid-since": "2026-01-01"});
    assert!(
        refusal(tokens.authenticate(&token, &[], NOW, &secret(stored, since)))
            .contains("marked invalid")
    );
    assert_eq!(
        refusal(tokens.authenticate(&token, &[], NOW, &|_, _: &str, _: &str| None)),
        "Token has been invalidated"
    );
}

#[test]
fn the_documents_describe_the_keys() {
    let mut keys = KeySet::new();
    keys.add_pem(RSA).expect("a test key");
    keys.add_pem(EC).expect("a test key");
    keys.add_pem(EC).expect("the same key again is no error");
    let documents = OpenIdDocuments::new(ISSUER, None, "10.0.0.1:6443", &keys).expect("valid");
    assert_eq!(
        String::from_utf8(documents.configuration).expect("text"),
        r#"{"issuer":"https://kubernetes.default.svc","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256","RS256"]}"#
    );
    let keys_document: Value = serde_json::from_slice(&documents.keys).expect("JSON");
    let [rsa, ec] = &keys_document["keys"].as_array().expect("a list")[..] else {
        panic!("two keys")
    };
    // The id is the hash of the public key, as `openssl rsa -pubout -outform DER | sha256sum` gives it.
    assert_eq!(rsa["kid"], RSA_KEY_ID);
    assert_eq!(
        (&rsa["kty"], &rsa["alg"], &rsa["use"], &rsa["e"]),
        (
            &json!("RSA"),
            &json!("RS256"),
            &json!("sig"),
            &json!("AQAB")
        )
    );
    assert_eq!(
        (&ec["kty"], &ec["alg"], &ec["crv"]),
        (&json!("EC"), &json!("ES256"), &json!("P-256"))
    );
    assert_eq!(
        URL_SAFE_NO_PAD
            .decode(ec["x"].as_str().expect("x"))
            .expect("base64")
            .len(),
        32
    );
    for (issuer, uri) in [
        ("http://x", None),
        ("https://x?y", None),
        ("https://x", Some("http://y")),
    ] {
        assert!(
            OpenIdDocuments::new(issuer, uri, "h", &keys).is_err(),
            "{issuer} {uri:?}"
        );
    }
    assert!(OpenIdDocuments::new(ISSUER, None, "h", &KeySet::new()).is_err());
}

#[test]
fn certificates_and_public_keys_hold_verify_keys() {
    let pair = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec![])
        .expect("parameters")
        .self_signed(&pair)
        .expect("signed");
    let private = pair.serialize_pem();
    for pem in [certificate.pem(), pair.public_key_pem(), private.clone()] {
        let tokens = verifier(pem.as_bytes());
        let token = issue(private.as_bytes(), &request(json!({})));
        assert!(
            tokens
                .authenticate(&token, &[], NOW, &found)
                .expect("valid")
                .is_some()
        );
    }
    assert!(
        SigningKey::from_pem(certificate.pem().as_bytes()).is_err(),
        "a certificate cannot sign"
    );
    assert!(KeySet::new().add_pem(b"nothing").is_err());
}

proptest! {
    #[test]
    fn garbage_never_panics(token in ".{0,200}", pem in prop::collection::vec(any::<u8>(), 0..300)) {
        let tokens = verifier(EC);
        prop_assert!(!matches!(tokens.authenticate(&token, &[], NOW, &found), Ok(Some(_))));
        let _ = SigningKey::from_pem(&pem);
        let wrapped = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&pem));
        prop_assert!(KeySet::new().add_pem(wrapped.as_bytes()).is_err());
        let wrapped = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(&pem));
        prop_assert!(SigningKey::from_pem(wrapped.as_bytes()).is_err());
    }

    #[test]
    fn a_changed_token_is_never_accepted(position in 0_usize..500, replacement in "[A-Za-z0-9_-]") {
        let token = issue(EC, &bound_to("Pod", "pod"));
        let position = position % token.len();
        let mut changed = token.clone();
        changed.replace_range(position..=position, &replacement);
        let accepted = matches!(verifier(EC).authenticate(&changed, &[], NOW, &found), Ok(Some(_)));
        prop_assert_eq!(accepted, changed == token);
    }
}
