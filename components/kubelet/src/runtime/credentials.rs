//! Who may pull: what `imagePullSecrets` say about a registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use mainstay_cri::AuthConfig;
use serde::Deserialize;

#[derive(Deserialize, Default)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
}

/// Credentials for an image, from secrets in their order. What cannot be read is left out.
pub(super) fn credentials(image: &str, secrets: &[Arc<Secret>]) -> Vec<AuthConfig> {
    let wanted = registry(image);
    let mut found = Vec::new();
    for secret in secrets {
        let data = secret.data.as_ref();
        let file = |key: &str| data.and_then(|data| data.get(key)).map(|bytes| &bytes.0);
        let auths = match (file(".dockerconfigjson"), file(".dockercfg")) {
            (Some(bytes), _) => {
                serde_json::from_slice::<DockerConfig>(bytes)
                    .unwrap_or_default()
                    .auths
            }
            (None, Some(bytes)) => serde_json::from_slice(bytes).unwrap_or_default(),
            (None, None) => continue,
        };
        for (server, entry) in auths {
            let host = server
                .trim_start_matches("https://")
                .trim_start_matches("http://")
                .split('/')
                .next()
                .unwrap_or_default();
            if matches(host, wanted) {
                found.push(auth(entry));
            }
        }
    }
    found
}

/// The registry in an image's name.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// Parts of a name may be `*`.
fn matches(pattern: &str, host: &str) -> bool {
    let pattern = match pattern {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    let (patterns, parts) = (pattern.split('.'), host.split('.'));
    patterns.clone().count() == parts.clone().count()
        && patterns
            .zip(parts)
            .all(|(pattern, part)| pattern == "*" || pattern == part)
}

fn auth(entry: Entry) -> AuthConfig {
    let Entry {
        mut username,
        mut password,
        auth,
        identitytoken,
    } = entry;
    let decoded = STANDARD.decode(auth.as_bytes()).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some((user, word)) = decoded.as_deref().and_then(|text| text.split_once(':'))
        && username.is_empty()
    {
        username = user.to_owned();
        password = word.trim_end_matches('\0').to_owned();
    }
    AuthConfig {
        username,
        password,
        identity_token: identitytoken,
        ..AuthConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn the_registrys_credentials_are_found() {
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"},
            "*.example.org": {"username": "a", "password": "b"}}}"#;
        let secret = Secret {
            data: Some(BTreeMap::from([(
                ".dockerconfigjson".to_owned(),
                ByteString(config.as_bytes().to_vec()),
            )])),
            ..Secret::default()
        };
        let broken = Secret {
            data: Some(BTreeMap::from([(
                ".dockerconfigjson".to_owned(),
                ByteString(b"{".to_vec()),
            )])),
            ..Secret::default()
        };
        let cases = [
            ("busybox", "u:p"),
            ("library/busybox:1", "u:p"),
            ("r.example.org/x", "a:b"),
            ("example.org/x", ""),
        ];
        for (image, expected) in cases {
            let secrets = [Arc::new(broken.clone()), Arc::new(secret.clone())];
            let found = credentials(image, &secrets);
            let words: Vec<String> = found
                .iter()
                .map(|auth| format!("{}:{}", auth.username, auth.password))
                .collect();
            assert_eq!(words.join(" "), expected, "{image}");
        }
    }
}
