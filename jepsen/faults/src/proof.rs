//! Evidence that a fault acted.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What shows that a fault acted, in words and figures that a reader of the history can judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Whether the evidence shows an effect. A run that demanded the fault fails its coverage check without one.
    pub acted: bool,
    /// The evidence.
    pub text: String,
}

impl Proof {
    /// Evidence of an effect.
    pub fn acted(text: impl Into<String>) -> Self {
        Self {
            acted: true,
            text: text.into(),
        }
    }

    /// Evidence that may or may not show an effect.
    pub fn when(acted: bool, text: impl Into<String>) -> Self {
        Self {
            acted,
            text: text.into(),
        }
    }

    /// Several pieces of evidence as one, which acted only if all of them did.
    pub fn all(proofs: impl IntoIterator<Item = Self>) -> Self {
        let mut acted = true;
        let mut texts = Vec::new();
        for proof in proofs {
            acted &= proof.acted;
            texts.push(proof.text);
        }
        Self {
            acted: acted && !texts.is_empty(),
            text: texts.join("; "),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.acted { "acted" } else { "NO EFFECT" };
        write!(f, "{mark}: {}", self.text)
    }
}
