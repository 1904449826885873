//! Who may approve, sign and ask for certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_auth::admission::{
    Admission, NodeRestriction, Operation, Refusal, check_approval, check_attest, check_signing,
    check_subject, parse_csr,
};
use mainstay_auth::{Attributes, Authorizer, NODES_GROUP, RuleList, UserInfo, Verdict};
use serde_json::{Value, json};

use Operation::{Create, Update};

/// Allows the listed `verb name` pairs.
struct Allow(&'static [(&'static str, &'static str)]);

impl Authorizer for Allow {
    fn authorize(&self, attributes: &Attributes<'_>) -> Verdict {
        let asked = (attributes.verb, attributes.name);
        if self.0.contains(&asked) {
            Verdict::allow("")
        } else {
            Verdict::no_opinion("")
        }
    }

    fn rules_for(&self, _user: &UserInfo, _namespace: &str) -> RuleList {
        RuleList::default()
    }
}

fn csr(name: &str, group: &str, signer: &str) -> Value {
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(rcgen::DnType::CommonName, name);
    subject.push(rcgen::DnType::OrganizationName, group);
    let mut parameters = rcgen::CertificateParams::new(vec![]).expect("parameters");
    parameters.distinguished_name = subject;
    let pair = rcgen::KeyPair::generate().expect("a key");
    let pem = parameters
        .serialize_request(&pair)
        .expect("a request")
        .pem()
        .expect("PEM");
    json!({"metadata": {"name": "c"}, "spec": {"signerName": signer, "request": STANDARD.encode(pem)}})
}

#[test]
fn kubelets_ask_for_their_own_certificates_only() {
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    let ask = |request: &Value| {
        let user = UserInfo::new("system:node:n1", &[NODES_GROUP]);
        let admission = Admission {
            user: &user,
            operation: Create,
            group: "certificates.k8s.io",
            resource: "certificatesigningrequests",
            subresource: "",
            namespace: "",
            name: "",
            object: request,
            old: &Value::Null,
        };
        let plugin = NodeRestriction {
            lookup: &|_, _, _| None,
            authorizer: &Allow(&[]),
        };
        plugin
            .check(&admission)
            .err()
            .map(|refusal| refusal.to_string())
    };
    assert_eq!(ask(&csr("system:node:n1", NODES_GROUP, kubelet)), None);
    assert_eq!(
        ask(&csr("system:node:n2", NODES_GROUP, "example.com/own")),
        None,
        "another signer decides itself"
    );
    assert_eq!(
        ask(&csr("system:node:n2", NODES_GROUP, kubelet)).as_deref(),
        Some("can only create a node CSR with CN=system:node:n1")
    );
    let broken = json!({"spec": {"signerName": kubelet, "request": "eA=="}});
    assert_eq!(
        ask(&broken).as_deref(),
        Some("unable to parse csr: PEM block type must be CERTIFICATE REQUEST")
    );
    for text in ["", "!", "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K"] {
        assert!(parse_csr(text).is_err(), "{text}");
    }
}

#[test]
fn certificates_need_permission_for_their_signer() {
    let client = "kubernetes.io/kube-apiserver-client";
    let user = UserInfo::new("u", &[]);
    let (stored, empty) = (csr("a", "dev", "example.com/own"), Value::Null);
    let admission = |operation, subresource, object, old| Admission {
        user: &user,
        operation,
        group: "certificates.k8s.io",
        resource: "certificatesigningrequests",
        subresource,
        namespace: "",
        name: "c",
        object,
        old,
    };
    let forbidden = |text: &str| Err(Refusal::Forbidden(text.to_owned()));
    let approve = admission(Update, "approval", &stored, &stored);
    for (allow, expected) in [
        (Allow(&[("approve", "example.com/own")]), Ok(())),
        (Allow(&[("approve", "example.com/*")]), Ok(())),
        (
            Allow(&[("sign", "example.com/own")]),
            forbidden(
                r#"user not permitted to approve requests with signerName "example.com/own""#,
            ),
        ),
    ] {
        assert_eq!(check_approval(&approve, &allow), expected);
    }
    let text = approve.message("detail");
    assert_eq!(
        text,
        r#"certificatesigningrequests.certificates.k8s.io "c" is forbidden: detail"#
    );
    let mut signed = stored.clone();
    signed["status"] = json!({"certificate": "Yw=="});
    let sign = admission(Update, "status", &signed, &stored);
    assert_eq!(
        check_signing(&sign, &Allow(&[("sign", "example.com/own")])),
        Ok(())
    );
    assert_eq!(
        check_signing(&sign, &Allow(&[])),
        forbidden(r#"user not permitted to sign requests with signerName "example.com/own""#)
    );
    assert_eq!(
        check_signing(&admission(Update, "status", &stored, &stored), &Allow(&[])),
        Ok(()),
        "nothing signed"
    );
    let masters = csr("a", "system:masters", client);
    assert_eq!(
        check_subject(&admission(Create, "", &masters, &empty)),
        forbidden(
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
        )
    );
    let (dev, own) = (
        csr("a", "dev", client),
        csr("a", "system:masters", "example.com/own"),
    );
    assert_eq!(check_subject(&admission(Create, "", &dev, &empty)), Ok(()));
    assert_eq!(
        check_subject(&admission(Create, "", &own, &empty)),
        Ok(()),
        "no client certificate"
    );
    let bundle = json!({"metadata": {"name": "b"}, "spec": {"signerName": "example.com/own"}});
    let attest = Admission {
        resource: "clustertrustbundles",
        ..admission(Create, "", &bundle, &empty)
    };
    assert_eq!(
        check_attest(&attest, &Allow(&[("attest", "example.com/*")])),
        Ok(())
    );
    assert_eq!(
        check_attest(&attest, &Allow(&[])),
        forbidden(r#"user not permitted to attest for signerName "example.com/own""#)
    );
}
