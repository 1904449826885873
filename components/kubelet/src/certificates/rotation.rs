//! A certificate that is always there and never old.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::config::Kubeconfig;
use rcgen::KeyPair;
use tokio::sync::watch;
use tokio::time::sleep;

use super::bootstrap;
use super::pair::Pair;
use super::signing::{Purpose, SigningError, ask};
use super::store::PairStore;
use crate::limits::{
    CERTIFICATE_LOOK, CERTIFICATE_PATIENCE, CERTIFICATE_PAUSE_MAX, CERTIFICATE_PAUSE_MIN,
    CERTIFICATE_RENEWAL_PAUSE_MAX,
};

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error("a new key: {0}")]
    Key(#[from] rcgen::Error),
    #[error("storing the certificate: {0}")]
    Store(#[from] std::io::Error),
    #[error("{0}")]
    Bootstrap(String),
}

/// Keeps one certificate of a node new.
pub struct Rotation {
    client: Client,
    /// A kubeconfig to ask with when the certificate that counted has ended.
    bootstrap: Option<PathBuf>,
    node: String,
    purpose: Purpose,
    store: PairStore,
    current: watch::Sender<Option<Pair>>,
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation")
            .field("node", &self.node)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

impl Rotation {
    /// `client` asks for new certificates: with the node's own one, which it reads again when it has changed.
    #[must_use]
    pub fn new(client: Client, node: &str, purpose: Purpose, store: PairStore) -> Self {
        let known = store.current();
        let known = known.filter(|pair| purpose.is_met_by(pair, node));
        Self {
            client,
            bootstrap: None,
            node: node.to_owned(),
            purpose,
            store,
            current: watch::channel(known).0,
        }
    }

    /// With a kubeconfig to ask with when the node's certificate has ended while nobody signed a new one.
    #[must_use]
    pub fn with_bootstrap(self, bootstrap: Option<&Path>) -> Self {
        Self {
            bootstrap: bootstrap.map(Path::to_owned),
            ..self
        }
    }

    /// The certificate that counts, and each one that comes to count.
    #[must_use]
    pub fn current(&self) -> watch::Receiver<Option<Pair>> {
        self.current.subscribe()
    }

    /// Renews for ever.
    pub async fn run(self) {
        let mut pause = CERTIFICATE_PAUSE_MIN;
        loop {
            let now = Timestamp::now();
            let due = match &*self.current.borrow() {
                Some(pair) => pair.renewal(rand::random()).max(earliest(now, pair.ends)),
                None => now,
            };
            // In steps: a clock that was put forward must not be waited for.
            while let Some(left) = left(Timestamp::now(), due) {
                sleep(left.min(CERTIFICATE_LOOK)).await;
            }
            match self.renew().await {
                Ok(()) => pause = CERTIFICATE_PAUSE_MIN,
                Err(error) => {
                    tracing::warn!(node = self.node, "no new certificate: {error}");
                    sleep(pause.mul_f64(1.0 + 0.1 * rand::random::<f64>())).await;
                    pause = (pause * 2).min(CERTIFICATE_PAUSE_MAX);
                }
            }
        }
    }

    /// Asks for a new certificate and makes it count. An attempt that did not come to its end is gone on with.
    ///
    /// # Errors
    /// If there is none; the one that counted does so still.
    pub async fn renew(&self) -> Result<(), RotationError> {
        let key = match self
            .store
            .pending_key()
            .filter(|key| KeyPair::from_pem(key).is_ok())
        {
            Some(key) => key,
            None => {
                let key = KeyPair::generate()?.serialize_pem();
                self.store.keep_pending_key(&key)?;
                key
            }
        };
        let client = self.client().await?;
        let asked = ask(
            &client,
            &self.node,
            &self.purpose,
            &key,
            CERTIFICATE_PATIENCE,
        )
        .await;
        let pair = match asked.and_then(|pair| self.fits(pair)) {
            Ok(pair) => pair,
            Err(error) => {
                // A request that was refused stays so: the next one is of another key.
                let refused = matches!(
                    error,
                    SigningError::Refused { .. }
                        | SigningError::Late(_)
                        | SigningError::Certificate(_)
                        | SigningError::Unfit { .. }
                );
                if refused {
                    self.store.forget_pending_key();
                }
                return Err(error.into());
            }
        };
        self.store.update(&pair)?;
        self.store.forget_pending_key();
        tracing::info!(node = self.node, ends = %pair.ends, "a new certificate");
        self.current.send_replace(Some(pair));
        Ok(())
    }
}

impl Rotation {
    /// The node's own, or while its certificate has ended, that of the bootstrap kubeconfig.
    async fn client(&self) -> Result<Client, RotationError> {
        let now = Timestamp::now();
        let ended = match &*self.current.borrow() {
            Some(pair) => pair.ends <= now,
            None => false,
        };
        let Some(path) = self.bootstrap.as_ref().filter(|_| ended) else {
            return Ok(self.client.clone());
        };
        tracing::warn!(
            node = self.node,
            "the certificate has ended: a new one is asked for as a new node does"
        );
        let wrong = |error: &dyn fmt::Display| RotationError::Bootstrap(error.to_string());
        let file = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
        bootstrap::client(file).await.map_err(|error| wrong(&error))
    }

    /// A request of the same key may have been signed long ago, or for something else.
    fn fits(&self, pair: Pair) -> Result<Pair, SigningError> {
        let ended = pair.ends <= Timestamp::now();
        match !ended && self.purpose.is_met_by(&pair, &self.node) {
            true => Ok(pair),
            false => Err(SigningError::Unfit {
                name: pair.name,
                ends: pair.ends,
            }),
        }
    }
}

/// Not before half of what is left is over. Certificates that begin some minutes before they are signed, as upstream's
/// do, are old enough to be renewed at once if they are short, and would be for ever.
fn earliest(now: Timestamp, ends: Timestamp) -> Timestamp {
    let left = Duration::try_from(ends.duration_since(now)).unwrap_or_default();
    let pause = (left / 2).min(CERTIFICATE_RENEWAL_PAUSE_MAX);
    now.saturating_add(pause).unwrap_or(ends)
}

/// Until then; none if it is past.
fn left(now: Timestamp, due: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(due.duration_since(now)).ok()?;
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_some_minutes_was_renewed_without_end() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        assert_eq!(earliest(at(100), at(160)), at(130));
        assert_eq!(earliest(at(100), at(100)), at(100));
        assert_eq!(earliest(at(100), at(50)), at(100));
        // One of a year that is late is not kept waiting.
        assert_eq!(earliest(at(100), at(100_000)), at(400));
    }

    #[test]
    fn what_is_past_is_not_waited_for() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        for (now, due, expected) in [(5, 5, None), (6, 5, None), (5, 8, Some(3))] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(left(at(now), at(due)), expected, "{now} {due}");
        }
    }
}
