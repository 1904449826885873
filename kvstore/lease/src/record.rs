//! The stored form of a lease: what is replicated and nothing else.

use crate::LeaseError;
use crate::limits::TTL_MAX_S;

const VERSION: u8 = 1;
const ENCODED_LEN: usize = 1 + 8 + 8;

/// The replicated facts about one lease. Its id is the storage key, not part of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Granted TTL in seconds, after raising it to the minimum.
    pub ttl_s: i64,
    /// Remaining time in milliseconds recorded by the last checkpoint; 0 when there was none since the grant or
    /// the last recorded renewal, which means the full TTL.
    pub remaining_ms: u64,
}

impl Record {
    /// The time a new leader grants: the recorded remaining time, else the full TTL.
    #[must_use]
    pub fn effective_ms(&self) -> u64 {
        match self.remaining_ms {
            0 => self.ttl_ms(),
            ms => ms,
        }
    }

    /// The granted TTL in milliseconds.
    #[must_use]
    pub fn ttl_ms(&self) -> u64 {
        self.ttl_s.unsigned_abs().saturating_mul(1_000)
    }

    /// Version byte, then TTL and remaining time, big-endian.
    #[must_use]
    pub fn encode(&self) -> [u8; ENCODED_LEN] {
        let mut out = [0; ENCODED_LEN];
        out[0] = VERSION;
        out[1..9].copy_from_slice(&self.ttl_s.to_be_bytes());
        out[9..].copy_from_slice(&self.remaining_ms.to_be_bytes());
        out
    }

    /// Inverse of [`Record::encode`]; anything that `encode` cannot have produced is [`LeaseError::Corrupt`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LeaseError> {
        let bytes: &[u8; ENCODED_LEN] = bytes.try_into().map_err(|_| LeaseError::Corrupt)?;
        let [version, t0, t1, t2, t3, t4, t5, t6, t7, remaining @ ..] = *bytes;
        let record = Self {
            ttl_s: i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            remaining_ms: u64::from_be_bytes(remaining),
        };
        let sound = version == VERSION
            && (1..=TTL_MAX_S).contains(&record.ttl_s)
            && record.remaining_ms <= record.ttl_ms();
        if sound {
            Ok(record)
        } else {
            Err(LeaseError::Corrupt)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusal_of_damage() {
        let record = Record {
            ttl_s: 60,
            remaining_ms: 12_345,
        };
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Ok(record));
        for len in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..len]), Err(LeaseError::Corrupt));
        }
        let mut long = bytes.to_vec();
        long.push(0);
        assert_eq!(Record::decode(&long), Err(LeaseError::Corrupt));
        for bad in [
            Record {
                ttl_s: 0,
                remaining_ms: 0,
            },
            Record {
                ttl_s: -5,
                remaining_ms: 0,
            },
            Record {
                ttl_s: TTL_MAX_S + 1,
                remaining_ms: 0,
            },
            Record {
                ttl_s: 1,
                remaining_ms: 1_001,
            },
        ] {
            assert_eq!(Record::decode(&bad.encode()), Err(LeaseError::Corrupt));
        }
        let mut versioned = bytes;
        versioned[0] = 2;
        assert_eq!(Record::decode(&versioned), Err(LeaseError::Corrupt));
    }
}
