//! What a service account token says.

use serde_json::{Map, Value, json};

/// Name and uid of an object a token is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ref {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Ref {
    fn from_value(value: Option<&Value>) -> Option<Ref> {
        let value = value.filter(|value| value.is_object())?;
        Some(Ref {
            name: text(value, "name"),
            uid: text(value, "uid"),
        })
    }

    fn to_value(&self) -> Value {
        let mut out = Map::new();
        for (key, text) in [("name", &self.name), ("uid", &self.uid)] {
            if !text.is_empty() {
                out.insert(key.to_owned(), json!(text));
            }
        }
        Value::Object(out)
    }
}

/// The claims of a bound token. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) expiry: Option<i64>,
    pub(crate) not_before: Option<i64>,
    pub(crate) issued_at: Option<i64>,
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) service_account: Ref,
    pub(crate) pod: Option<Ref>,
    pub(crate) secret: Option<Ref>,
    pub(crate) node: Option<Ref>,
    pub(crate) warn_after: Option<i64>,
}

impl Claims {
    pub(crate) fn from_payload(payload: &Value) -> Claims {
        let private = payload.get("kubernetes.io").unwrap_or(&Value::Null);
        let reference = |key: &str| Ref::from_value(private.get(key));
        Claims {
            issuer: text(payload, "iss"),
            subject: text(payload, "sub"),
            audiences: audiences(payload.get("aud")),
            expiry: seconds(payload.get("exp")),
            not_before: seconds(payload.get("nbf")),
            issued_at: seconds(payload.get("iat")),
            id: text(payload, "jti"),
            namespace: text(private, "namespace"),
            service_account: reference("serviceaccount").unwrap_or_default(),
            pod: reference("pod"),
            secret: reference("secret"),
            node: reference("node"),
            warn_after: seconds(private.get("warnafter")),
        }
    }

    pub(crate) fn to_payload(&self) -> Value {
        let mut private = json!({
            "namespace": self.namespace,
            "serviceaccount": self.service_account.to_value(),
        });
        for (key, reference) in [
            ("pod", &self.pod),
            ("secret", &self.secret),
            ("node", &self.node),
        ] {
            if let Some(reference) = reference {
                private[key] = reference.to_value();
            }
        }
        if let Some(warn_after) = self.warn_after {
            private["warnafter"] = json!(warn_after);
        }
        json!({
            "aud": self.audiences,
            "exp": self.expiry,
            "iat": self.issued_at,
            "iss": self.issuer,
            "jti": self.id,
            "kubernetes.io": private,
            "nbf": self.not_before,
            "sub": self.subject,
        })
    }
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// One audience or a list of them.
fn audiences(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        other => crate::rbac::strings(other),
    }
}

/// A NumericDate: a number, which may have a fraction.
fn seconds(value: Option<&Value>) -> Option<i64> {
    let number = value?;
    number
        .as_i64()
        .or_else(|| number.as_f64().map(|fraction| fraction as i64))
}
