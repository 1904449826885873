//! The rows of a comparison, by name. A name says everything about its workload:
//!
//! | name | meaning |
//! |---|---|
//! | `put-64` | closed loop, 64 in flight |
//! | `put-rate-5000` | open loop, 5,000 per second over 100 connections |
//! | `get-64`, `get-serializable-64` | one key |
//! | `range-1000` | 1,000 keys per answer, 16 in flight |
//! | `mixed-64` | put and linearizable get in turn |
//! | `lease-grant-64`, `lease-keepalive-64` | renewals: one stream per connection |
//! | `watch-1000@50` | 1,000 connections with one watch each, 50 writes per second |
//! | `watch-10x10x1000@2` | 10 connections with 10 streams of 1,000 watches each |
//! | `idle` | no client |

use std::str::FromStr;

use crate::load::{Call, Pace, Workload};

/// Names of the full run in order. Rows before the watches share their servers; the lease grants come
/// last among them because they leave leases behind.
const FULL: &[&str] = &[
    "idle",
    "put-1",
    "put-64",
    "put-1024",
    "put-rate-2000",
    "put-rate-5000",
    "put-rate-10000",
    "get-1",
    "get-64",
    "get-1024",
    "get-serializable-1",
    "get-serializable-64",
    "get-serializable-1024",
    "range-100",
    "range-1000",
    "mixed-64",
    "lease-keepalive-64",
    "lease-grant-64",
    "watch-100@200",
    "watch-1000@50",
    "watch-5000@8",
    "watch-10x10x100@20",
    "watch-10x10x1000@2",
    "watch-1000@500",
    "watch-10x10x100@200",
];
/// Left out of the quick run.
const FULL_ONLY: &[&str] = &[
    "put-rate-2000",
    "put-rate-10000",
    "watch-1000@500",
    "watch-10x10x100@200",
];

const OPEN_LOOP_CONNS: usize = 100;
const RANGE_IN_FLIGHT: usize = 16;

/// A named workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) workload: Workload,
}

#[derive(Debug, thiserror::Error)]
#[error("unknown workload {0:?}; examples: {examples}", examples = FULL.join(", "))]
pub(crate) struct UnknownWorkload(String);

/// The rows of a run whose `MEMBERS/NAME` contains one of `patterns` (or all, if there are none).
/// `*` in a pattern stands for anything.
pub(crate) fn rows(quick: bool, members: usize, patterns: &[String]) -> Vec<Row> {
    let wanted = |name: &&str| {
        let id = format!("{members}/{name}");
        (!quick || !FULL_ONLY.contains(name))
            && (patterns.is_empty() || patterns.iter().any(|p| matches(p, &id)))
    };
    let row = |name: &str| Row {
        name: name.to_owned(),
        workload: name
            .parse()
            .expect("every name of the catalogue is valid, as a test shows"),
    };
    FULL.iter().copied().filter(wanted).map(row).collect()
}

/// Whether the parts of `pattern` between stars occur in `text` in order.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|part| {
        let found = rest.find(part);
        rest = found.map_or("", |at| &rest[at + part.len()..]);
        found.is_some()
    })
}

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, UnknownWorkload> {
        parse(name).ok_or_else(|| UnknownWorkload(name.to_owned()))
    }
}

fn parse(name: &str) -> Option<Workload> {
    if name == "idle" {
        return Some(Workload::Idle);
    }
    if let Some(shape) = name.strip_prefix("watch-") {
        return parse_watch(shape);
    }
    let (kind, number) = name.rsplit_once('-')?;
    let n = number
        .parse::<usize>()
        .ok()
        .filter(|n| (1..=1_000_000).contains(n))?;
    let closed = |call, in_flight: usize| {
        let per_conn = if in_flight >= 1024 { 16 } else { 8 };
        let conns = in_flight.div_ceil(per_conn);
        Workload::Unary {
            call,
            pace: Pace::Closed { in_flight },
            conns,
        }
    };
    Some(match kind {
        "put" => closed(Call::Put, n),
        "put-rate" => {
            let pace = Pace::Open {
                rate_per_s: n as u64,
            };
            Workload::Unary {
                call: Call::Put,
                pace,
                conns: OPEN_LOOP_CONNS,
            }
        }
        "get" => closed(
            Call::Get {
                serializable: false,
            },
            n,
        ),
        "get-serializable" => closed(Call::Get { serializable: true }, n),
        "range" => closed(Call::Range { limit: n as u64 }, RANGE_IN_FLIGHT),
        "mixed" => closed(Call::Mixed, n),
        "lease-grant" => closed(Call::LeaseGrant, n),
        "lease-keepalive" => Workload::KeepAlive { conns: n },
        _ => return None,
    })
}

fn parse_watch(shape: &str) -> Option<Workload> {
    let (counts, rate) = shape.split_once('@')?;
    let counts: Vec<usize> = counts
        .split('x')
        .map(|c| c.parse().ok())
        .collect::<Option<_>>()?;
    let (conns, streams, watches) = match counts[..] {
        [conns] => (conns, 1, 1),
        [conns, streams, watches] => (conns, streams, watches),
        _ => return None,
    };
    let rate_per_s = rate.parse().ok().filter(|r| *r > 0)?;
    let total = conns.checked_mul(streams)?.checked_mul(watches)?;
    (1..=10_000_000)
        .contains(&total)
        .then_some(Workload::Watch {
            conns,
            streams,
            watches,
            rate_per_s,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_catalogue_is_valid() {
        assert_eq!(rows(false, 1, &[]).len(), FULL.len());
        assert_eq!(rows(true, 1, &[]).len(), FULL.len() - FULL_ONLY.len());
        assert!(FULL_ONLY.iter().all(|name| FULL.contains(name)));
    }

    #[test]
    fn names_mean_what_they_say() {
        let watch = Workload::Watch {
            conns: 10,
            streams: 10,
            watches: 1000,
            rate_per_s: 2,
        };
        assert_eq!("watch-10x10x1000@2".parse::<Workload>().unwrap(), watch);
        let pace = Pace::Closed { in_flight: 1024 };
        let get = Workload::Unary {
            call: Call::Get { serializable: true },
            pace,
            conns: 64,
        };
        assert_eq!("get-serializable-1024".parse::<Workload>().unwrap(), get);
        for wrong in [
            "",
            "put",
            "put-0",
            "put-x",
            "watch-3",
            "watch-1x2@3",
            "watch-0@1",
            "get--1",
        ] {
            assert!(wrong.parse::<Workload>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_choose_rows() {
        let names = |pattern: &str| -> Vec<String> {
            rows(false, 3, &[pattern.to_owned()])
                .into_iter()
                .map(|r| r.name)
                .collect()
        };
        assert_eq!(names("lease"), ["lease-keepalive-64", "lease-grant-64"]);
        assert_eq!(names("3/put*64"), ["put-64"]);
        assert!(names("1/put").is_empty());
    }
}
