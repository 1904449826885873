//! Signatures beside what they sign (RFC 7515, appendix F), with the secret of a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;

use crate::pki::Token;

/// The only kind that upstream's controllers make and kubeadm takes.
const ALGORITHM: &str = "HS256";

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

/// Whether a JWS without content is that of `content` by this token.
pub(super) fn signs(jws: &str, content: &str, token: &Token) -> bool {
    let mut parts = jws.split('.');
    let (Some(header), Some(""), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let known = URL_SAFE_NO_PAD
        .decode(header)
        .ok()
        .and_then(|text| serde_json::from_slice::<Header>(&text).ok())
        .is_some_and(|known| known.alg == ALGORITHM && known.kid == token.id);
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
        return false;
    };
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.secret.as_bytes());
    known && hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As upstream's signer makes them.
    fn jws(alg: &str, content: &str, token: &Token) -> String {
        let header = format!(r#"{{"alg":"{alg}","kid":"{}"}}"#, token.id);
        let header = URL_SAFE_NO_PAD.encode(header);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.secret.as_bytes());
        let signature = hmac::sign(&key, signed.as_bytes());
        format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn only_the_token_itself_signs_and_only_what_it_signed() {
        let token = |text| Token::parse(text).expect("a token");
        let own = token("abcdef.0123456789abcdef");
        let other = token("abcdef.0123456789abcdeg");
        let good = jws(ALGORITHM, "text", &own);
        assert!(signs(&good, "text", &own));
        assert!(!signs(&good, "text ", &own));
        assert!(!signs(&good, "text", &other));
        assert!(!signs(&jws("none", "text", &own), "text", &own));
        let renamed = token("bbcdef.0123456789abcdef");
        assert!(!signs(&jws(ALGORITHM, "text", &renamed), "text", &own));
        for wrong in ["", ".", "..", "a..b", "a.b.c", &format!("{good}.")] {
            assert!(!signs(wrong, "text", &own), "{wrong}");
        }
    }
}
