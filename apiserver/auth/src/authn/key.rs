//! Keys that sign and verify tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::der::{
    TAG_BIT_STRING, TAG_INTEGER, TAG_NULL, TAG_OCTET_STRING, TAG_OID, TAG_SEQUENCE, element as der,
    unsigned,
};
use crate::limits::{KEY_FILE_BYTES_MAX, KEYS_MAX};

/// Why a key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is longer than [`KEY_FILE_BYTES_MAX`].
    #[error("a key file may have at most {KEY_FILE_BYTES_MAX} bytes")]
    TooLong,
    /// It holds more than [`KEYS_MAX`] keys.
    #[error("more than {KEYS_MAX} keys")]
    TooMany,
    /// It is not PEM.
    #[error("the file is not PEM: {0}")]
    Pem(String),
    /// It holds nothing usable.
    #[error("data does not contain any valid RSA or ECDSA {0} keys")]
    None(&'static str),
    /// A key is of a kind or size that is not supported.
    #[error("unsupported key: {0}")]
    Unsupported(String),
}

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Algorithm {
    Es256,
    Es384,
    Rs256,
}

impl Algorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Rs256 => "RS256",
        }
    }

    fn verification(self) -> &'static dyn signature::VerificationAlgorithm {
        match self {
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        }
    }
}

const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const OID_ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const OID_ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// A public key under its id, which is the hash of the key as upstream computes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyKey {
    id: String,
    algorithm: Algorithm,
    /// What ring verifies with: an RSAPublicKey or an uncompressed point.
    material: Vec<u8>,
    /// The JWK's numbers: modulus and exponent, or the two coordinates.
    numbers: (Vec<u8>, Vec<u8>),
}

impl VerifyKey {
    /// Reads a SubjectPublicKeyInfo.
    fn from_spki(spki: &[u8]) -> Result<VerifyKey, KeyError> {
        let unsupported = |what: &str| KeyError::Unsupported(what.to_owned());
        let (_, info) = SubjectPublicKeyInfo::from_der(spki)
            .map_err(|_| unsupported("not a SubjectPublicKeyInfo"))?;
        let material = info.subject_public_key.data.to_vec();
        let curve = info
            .algorithm
            .parameters
            .as_ref()
            .map(|parameters| parameters.data);
        let oid = info.algorithm.algorithm.as_bytes();
        let (algorithm, numbers) = match (oid, curve) {
            (OID_RSA, _) => (Algorithm::Rs256, rsa_numbers(&info)?),
            (OID_EC, Some(OID_P256)) => (Algorithm::Es256, coordinates(&material, 32)?),
            (OID_EC, Some(OID_P384)) => (Algorithm::Es384, coordinates(&material, 48)?),
            (OID_EC, _) => {
                return Err(unsupported("only the curves P-256 and P-384 are supported"));
            }
            _ => return Err(unsupported("only RSA and ECDSA keys are supported")),
        };
        let id = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, spki));
        Ok(VerifyKey {
            id,
            algorithm,
            material,
            numbers,
        })
    }

    /// The key's id in token headers and in the JWKS.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn numbers(&self) -> (&[u8], &[u8]) {
        (&self.numbers.0, &self.numbers.1)
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(self.algorithm.verification(), &self.material);
        key.verify(message, signature).is_ok()
    }
}

fn rsa_numbers(info: &SubjectPublicKeyInfo<'_>) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    match info.parsed() {
        Ok(x509_parser::public_key::PublicKey::RSA(key)) => {
            let trim = |number: &[u8]| {
                number
                    .iter()
                    .copied()
                    .skip_while(|&byte| byte == 0)
                    .collect::<Vec<u8>>()
            };
            let (modulus, exponent) = (trim(key.modulus), trim(key.exponent));
            if modulus.len() < 256 || modulus.len() > 1024 || exponent.is_empty() {
                return Err(KeyError::Unsupported(
                    "RSA keys must have 2048 to 8192 bits".to_owned(),
                ));
            }
            Ok((modulus, exponent))
        }
        _ => Err(KeyError::Unsupported("not an RSA public key".to_owned())),
    }
}

fn coordinates(point: &[u8], size: usize) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    match point.split_first() {
        Some((4, rest)) if rest.len() == 2 * size => {
            Ok((rest[..size].to_vec(), rest[size..].to_vec()))
        }
        _ => Err(KeyError::Unsupported(
            "not an uncompressed point".to_owned(),
        )),
    }
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

/// The private key that signs tokens.
pub struct SigningKey {
    pair: Pair,
    public: VerifyKey,
    random: SystemRandom,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.public.id)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads the first private key of a PEM file: PKCS#8, PKCS#1 (RSA) or SEC 1 (EC).
    ///
    /// # Errors
    /// If there is none or it is not supported.
    pub fn from_pem(pem: &[u8]) -> Result<SigningKey, KeyError> {
        for (kind, bytes) in sections(pem)? {
            if let Some(key) = SigningKey::from_section(kind, &bytes)? {
                return Ok(key);
            }
        }
        Err(KeyError::None("private"))
    }

    fn from_section(kind: SectionKind, bytes: &[u8]) -> Result<Option<SigningKey>, KeyError> {
        let pair = match kind {
            SectionKind::RsaPrivateKey => RsaKeyPair::from_der(bytes)
                .map(|key| Pair::Rsa(Box::new(key)))
                .ok(),
            SectionKind::EcPrivateKey => [OID_P256, OID_P384]
                .iter()
                .find_map(|curve| ec_pair(&wrap_sec1(bytes, curve))),
            SectionKind::PrivateKey => ec_pair(bytes).or_else(|| {
                RsaKeyPair::from_pkcs8(bytes)
                    .map(|key| Pair::Rsa(Box::new(key)))
                    .ok()
            }),
            _ => return Ok(None),
        };
        let text = "a private key must be RSA of 2048 bits or more, P-256 or P-384";
        let pair = pair.ok_or_else(|| KeyError::Unsupported(text.to_owned()))?;
        let public = VerifyKey::from_spki(&spki_of(&pair))?;
        Ok(Some(SigningKey {
            pair,
            public,
            random: SystemRandom::new(),
        }))
    }

    /// The public half.
    pub fn public(&self) -> &VerifyKey {
        &self.public
    }

    /// The signature of a message, or `None` if the system gives no randomness.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.pair {
            Pair::Rsa(key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &self.random,
                    message,
                    &mut out,
                )
                .ok()?;
                Some(out)
            }
            Pair::Ec(key) => Some(key.sign(&self.random, message).ok()?.as_ref().to_vec()),
        }
    }

    /// The AlgorithmIdentifier (DER) of what [`SigningKey::sign_der`] makes.
    pub fn algorithm_der(&self) -> Vec<u8> {
        let oid = |oid| der(TAG_OID, &[oid]);
        match self.public.algorithm {
            Algorithm::Rs256 => der(TAG_SEQUENCE, &[&oid(OID_RSA_SHA256), &der(TAG_NULL, &[])]),
            Algorithm::Es256 => der(TAG_SEQUENCE, &[&oid(OID_ECDSA_SHA256)]),
            Algorithm::Es384 => der(TAG_SEQUENCE, &[&oid(OID_ECDSA_SHA384)]),
        }
    }

    /// The signature of a message as certificates have it, or `None` if the system gives no randomness.
    pub fn sign_der(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.sign(message)?;
        Some(match &self.pair {
            Pair::Rsa(_) => signature,
            Pair::Ec(_) => {
                let (r, s) = signature.split_at(signature.len() / 2);
                der(TAG_SEQUENCE, &[&unsigned(r), &unsigned(s)])
            }
        })
    }

    /// Random bytes for a token's id or a certificate's number, or `None` if the system gives none.
    pub fn random<const N: usize>(&self) -> Option<[u8; N]> {
        let mut out = [0; N];
        ring::rand::SecureRandom::fill(&self.random, &mut out).ok()?;
        Some(out)
    }
}

fn ec_pair(pkcs8: &[u8]) -> Option<Pair> {
    let random = SystemRandom::new();
    [
        &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    ]
    .into_iter()
    .find_map(|algorithm| EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &random).ok())
    .map(|key| Pair::Ec(Box::new(key)))
}

/// A SEC 1 key in the PKCS#8 form that ring reads.
fn wrap_sec1(sec1: &[u8], curve: &[u8]) -> Vec<u8> {
    let algorithm = der(
        TAG_SEQUENCE,
        &[&der(TAG_OID, &[OID_EC]), &der(TAG_OID, &[curve])],
    );
    der(
        TAG_SEQUENCE,
        &[
            &der(TAG_INTEGER, &[&[0]]),
            &algorithm,
            &der(TAG_OCTET_STRING, &[sec1]),
        ],
    )
}

fn spki_of(pair: &Pair) -> Vec<u8> {
    let (algorithm, key) = match pair {
        Pair::Rsa(key) => (
            vec![der(TAG_OID, &[OID_RSA]), der(TAG_NULL, &[])],
            key.public_key().as_ref(),
        ),
        Pair::Ec(key) => {
            let point = key.public_key().as_ref();
            let curve = if point.len() == 65 {
                OID_P256
            } else {
                OID_P384
            };
            (vec![der(TAG_OID, &[OID_EC]), der(TAG_OID, &[curve])], point)
        }
    };
    let algorithm = der(TAG_SEQUENCE, &[&algorithm[0], &algorithm[1]]);
    der(
        TAG_SEQUENCE,
        &[&algorithm, &der(TAG_BIT_STRING, &[&[0], key])],
    )
}

fn sections(pem: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, KeyError> {
    if pem.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyError::TooLong);
    }
    let mut out = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        out.push(section.map_err(|error| KeyError::Pem(error.to_string()))?);
        if out.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
    }
    Ok(out)
}

/// The keys that tokens are verified with.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<VerifyKey>);

impl KeySet {
    /// No keys: no token verifies.
    pub fn new() -> KeySet {
        KeySet::default()
    }

    /// Adds every key of a PEM file: public keys, certificates, and the public halves of private keys.
    ///
    /// # Errors
    /// If the file holds no usable key, or there are too many.
    pub fn add_pem(&mut self, pem: &[u8]) -> Result<(), KeyError> {
        let mut found = Vec::new();
        for (kind, bytes) in sections(pem)? {
            match kind {
                SectionKind::PublicKey => found.push(VerifyKey::from_spki(&bytes)?),
                SectionKind::Certificate => {
                    let (_, certificate) = X509Certificate::from_der(&bytes)
                        .map_err(|_| KeyError::Unsupported("not a certificate".to_owned()))?;
                    found.push(VerifyKey::from_spki(certificate.public_key().raw)?);
                }
                _ => found.extend(SigningKey::from_section(kind, &bytes)?.map(|key| key.public)),
            }
        }
        if found.is_empty() {
            return Err(KeyError::None("public"));
        }
        found.into_iter().try_for_each(|key| self.add(key))
    }

    /// Adds one key unless it is there.
    ///
    /// # Errors
    /// If there are too many.
    pub fn add(&mut self, key: VerifyKey) -> Result<(), KeyError> {
        if self.0.iter().any(|own| own.id == key.id) {
            return Ok(());
        }
        if self.0.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        self.0.push(key);
        Ok(())
    }

    /// Every key, in the order added.
    pub fn keys(&self) -> &[VerifyKey] {
        &self.0
    }

    /// The keys with the id; with no id, every key.
    pub(crate) fn candidates<'s>(&'s self, id: &'s str) -> impl Iterator<Item = &'s VerifyKey> {
        self.0
            .iter()
            .filter(move |key| id.is_empty() || key.id == id)
    }
}
