//! The secrets, and what is missing in them.

use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use mainstay_client::Key;

pub(super) const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const CA: &str = "ca.crt";
const NAMESPACE: &str = "namespace";
const TOKEN: &str = "token";

/// A secret, also one that is gone, and the account that it names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) account: Account,
}

/// An account by name, and by uid if that is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Account {
    pub(super) key: Key,
    /// Empty for any.
    pub(super) uid: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl Account {
    pub(super) fn of(account: &ServiceAccount) -> Self {
        Self {
            key: Key::of(account),
            uid: account.metadata.uid.clone().unwrap_or_default(),
        }
    }

    pub(super) fn is(&self, account: &ServiceAccount) -> bool {
        Key::of(account) == self.key
            && (self.uid.is_empty() || account.metadata.uid.as_deref() == Some(&self.uid))
    }
}

impl Named {
    /// `None` for secrets of other types, and those that name no account.
    pub(super) fn of(secret: &Secret) -> Option<Self> {
        let named = |name: &str| {
            let value = secret.metadata.annotations.as_ref()?.get(name)?;
            Some(value.clone())
        };
        let account = named(ACCOUNT_NAME).filter(|name| !name.is_empty())?;
        let key = Key::of(secret);
        (secret.type_.as_deref() == Some(TYPE)).then(|| Self {
            uid: secret.metadata.uid.clone().unwrap_or_default(),
            account: Account {
                key: Key::new(&key.namespace, &account),
                uid: named(ACCOUNT_UID).unwrap_or_default(),
            },
            key,
        })
    }
}

/// The secret with everything in it, or `None` if nothing is missing. `token` makes a token, or fails.
pub(super) fn filled<E>(
    secret: &Secret,
    account: &ServiceAccount,
    ca: Option<&str>,
    token: impl FnOnce() -> Result<String, E>,
) -> Result<Option<Secret>, E> {
    let has = |name: &str| {
        let data = secret.data.as_ref();
        data.and_then(|data| data.get(name))
            .map(|value| value.0.as_slice())
    };
    let is_empty = |name: &str| has(name).is_none_or(<[u8]>::is_empty);
    let ca = ca.filter(|ca| !ca.is_empty() && has(CA) != Some(ca.as_bytes()));
    if ca.is_none() && !is_empty(NAMESPACE) && !is_empty(TOKEN) {
        return Ok(None);
    }
    let mut whole = secret.clone();
    let data = whole.data.get_or_insert_default();
    if let Some(ca) = ca {
        data.insert(CA.to_owned(), ByteString(ca.as_bytes().to_vec()));
    }
    if is_empty(NAMESPACE) {
        let namespace = secret.metadata.namespace.clone().unwrap_or_default();
        data.insert(NAMESPACE.to_owned(), ByteString(namespace.into_bytes()));
    }
    if is_empty(TOKEN) {
        data.insert(TOKEN.to_owned(), ByteString(token()?.into_bytes()));
    }
    let annotations = whole.metadata.annotations.get_or_insert_default();
    let meta = &account.metadata;
    annotations.insert(
        ACCOUNT_NAME.to_owned(),
        meta.name.clone().unwrap_or_default(),
    );
    annotations.insert(ACCOUNT_UID.to_owned(), meta.uid.clone().unwrap_or_default());
    Ok(Some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_filled_and_what_is_there_stays() {
        let account = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}});
        let account: ServiceAccount = serde_json::from_value(account).expect("an account");
        let secret = json!({
            "metadata": {"name": "s", "namespace": "n", "annotations": {ACCOUNT_NAME: "a"}},
            "type": TYPE,
            "data": {"other": "b3RoZXI=", "ca.crt": "b2xk"},
        });
        let secret: Secret = serde_json::from_value(secret).expect("a secret");
        let token = || Ok::<_, ()>("a token".to_owned());
        let whole = filled(&secret, &account, Some("new"), token);
        let whole = whole.expect("no failure").expect("a change");
        let data = whole.data.as_ref().expect("data");
        let text = |name: &str| String::from_utf8_lossy(&data[name].0).into_owned();
        assert_eq!(
            ["ca.crt", "namespace", "token", "other"].map(text),
            ["new", "n", "a token", "other"]
        );
        let named = Named::of(&whole).expect("an account");
        assert_eq!(named.account.uid, "u");
        assert_eq!(filled(&whole, &account, Some("new"), || Err(())), Ok(None));
        // Without a CA, the one that is there is left alone.
        assert_eq!(filled(&whole, &account, None, || Err(())), Ok(None));
        assert_eq!(
            filled(&secret, &account, None, || Err("no key")),
            Err("no key")
        );
    }
}
