//! Who asks.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    pub name: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Who says nothing of themselves.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..Self::default()
        }
    }

    /// By a certificate that was verified: its common name, and its organizations as groups.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        if name.is_empty() {
            return None;
        }
        let groups = subject
            .iter_organization()
            .filter_map(|group| group.as_str().ok().map(str::to_owned));
        let user = Self {
            name,
            groups: groups.collect(),
            ..Self::default()
        };
        Some(user.authenticated())
    }

    /// By what the apiserver says of a token.
    #[must_use]
    pub fn of_review(info: UserInfo) -> Self {
        let user = Self {
            name: info.username.unwrap_or_default(),
            uid: info.uid,
            groups: info.groups.unwrap_or_default(),
            extra: info.extra.unwrap_or_default(),
        };
        user.authenticated()
    }

    fn authenticated(mut self) -> Self {
        const ALL: &str = "system:authenticated";
        if !self.groups.iter().any(|group| group == ALL) {
            self.groups.push(ALL.to_owned());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    #[test]
    fn a_certificate_names_user_and_groups() {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "system:masters");
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver-kubelet-client");
        let key = KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("signed");
        let user = User::of_certificate(made.der()).expect("a user");
        assert_eq!(user.name, "kube-apiserver-kubelet-client");
        assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
        params.distinguished_name = rcgen::DistinguishedName::new();
        let nobody = params.self_signed(&key).expect("signed");
        assert_eq!(User::of_certificate(nobody.der()), None);
        assert_eq!(User::of_certificate(b"garbage"), None);
    }
}
