//! What a node shows to those who ask it, which can be exchanged while it serves.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::pair::{Pair, PairError};

/// The certificate that counts now, for a TLS server's configuration (`with_cert_resolver`). While there is none,
/// handshakes fail, as upstream's do. Connections that stand keep what they were made with.
#[derive(Default)]
pub struct Serving {
    current: RwLock<Option<Arc<CertifiedKey>>>,
}

/// Without the key.
impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("is_set", &self.current.read().is_some())
            .finish_non_exhaustive()
    }
}

impl Serving {
    /// With a first pair.
    ///
    /// # Errors
    /// If it cannot be served with.
    pub fn of(pair: &Pair) -> Result<Self, PairError> {
        let serving = Self::default();
        serving.set(pair)?;
        Ok(serving)
    }

    /// Handshakes show this pair from now on.
    ///
    /// # Errors
    /// If it cannot be served with; what counted does so still.
    pub fn set(&self, pair: &Pair) -> Result<(), PairError> {
        self.set_pem(pair.chain.as_bytes(), pair.key.as_bytes())
    }

    /// The same with a chain and a key of whatever kind, as PEM.
    ///
    /// # Errors
    /// If it cannot be served with; what counted does so still.
    pub fn set_pem(&self, chain: &[u8], key: &[u8]) -> Result<(), PairError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(PairError::of)?;
        if chain.is_empty() {
            return Err(PairError::of("there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(PairError::of)?;
        let made =
            CertifiedKey::from_der(chain, key, &default_provider()).map_err(PairError::of)?;
        *self.current.write() = Some(Arc::new(made));
        Ok(())
    }

    /// Shows each pair that comes to count (see [`super::Rotation::current`]), until nobody makes new ones.
    pub async fn follow(self: Arc<Self>, mut pairs: watch::Receiver<Option<Pair>>) {
        loop {
            let pair = pairs.borrow_and_update().clone();
            if let Some(pair) = pair
                && let Err(error) = self.set(&pair)
            {
                tracing::warn!("the serving certificate cannot be used: {error}");
            }
            if pairs.changed().await.is_err() {
                return;
            }
        }
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().clone();
        if current.is_none() {
            tracing::debug!("no serving certificate available for the kubelet");
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::super::pair::tests::made;
    use super::*;

    #[tokio::test]
    async fn the_newest_pair_is_shown() {
        let pair = |name| {
            let (chain, key) = made(name, 1000);
            Pair::read(&chain, &key).expect("a pair")
        };
        let (sender, receiver) = watch::channel(None);
        let serving = Arc::new(Serving::default());
        let following = tokio::spawn(Arc::clone(&serving).follow(receiver));
        assert!(serving.current.read().is_none());
        let (one, two) = (pair("one"), pair("two"));
        sender.send_replace(Some(one));
        sender.send_replace(Some(two.clone()));
        drop(sender);
        following.await.expect("it ends with who makes pairs");
        let shown = serving.current.read().clone().expect("there is one");
        let whole = CertificateDer::from_pem_slice(two.chain.as_bytes()).expect("a certificate");
        assert_eq!(shown.cert[0], whole);
        // What cannot be used changes nothing.
        let broken = Pair {
            key: "none".to_owned(),
            ..two
        };
        serving.set(&broken).expect_err("refused");
        assert!(serving.current.read().is_some());
        assert!(!format!("{serving:?}").contains("key"));
    }
}
