//! One bound for one resource, and what is said when it does not hold.

use crate::quantities::Amounts;
use mainstay_machinery::quantity::Quantity;

/// Whole numbers up to this can be compared in thousandths.
const WHOLE_MAX: i64 = i64::MAX / 1000;

/// What is asked for, and by whom: a `Container`, a `Pod` or a `PersistentVolumeClaim`.
pub(super) struct Asked<'a> {
    pub(super) by: &'a str,
    pub(super) requests: &'a Amounts,
    pub(super) limits: &'a Amounts,
}

/// Numbers in one unit that all of them fit: thousandths if possible, else whole ones. Upstream compares
/// these, so anything below a thousandth is rounded up.
fn comparable<const N: usize>(amounts: [Option<&Quantity>; N]) -> [i64; N] {
    let whole = amounts.map(|amount| amount.map_or(0, Quantity::value));
    if whole.iter().all(|number| *number <= WHOLE_MAX) {
        amounts.map(|amount| amount.map_or(0, Quantity::milli_value))
    } else {
        whole
    }
}

/// The request, and the limit if there is one, must be at least the bound.
pub(super) fn min(name: &str, bound: &Quantity, asked: &Asked<'_>) -> Option<String> {
    let (request, limit) = (asked.requests.get(name), asked.limits.get(name));
    let [request_number, limit_number, bound_number] = comparable([request, limit, Some(bound)]);
    let start = format!("minimum {name} usage per {} is {bound}", asked.by);
    match (request, limit) {
        (None, _) => Some(format!("{start}.  No request is specified")),
        (Some(request), _) if request_number < bound_number => {
            Some(format!("{start}, but request is {request}"))
        }
        (_, Some(limit)) if limit_number < bound_number => {
            Some(format!("{start}, but limit is {limit}"))
        }
        _ => None,
    }
}

/// The limit, and the request if there is one, must be at most the bound.
pub(super) fn max(name: &str, bound: &Quantity, asked: &Asked<'_>) -> Option<String> {
    let (request, limit) = (asked.requests.get(name), asked.limits.get(name));
    let [request_number, limit_number, bound_number] = comparable([request, limit, Some(bound)]);
    let start = format!("maximum {name} usage per {} is {bound}", asked.by);
    match (request, limit) {
        (_, None) => Some(format!("{start}.  No limit is specified")),
        (_, Some(limit)) if limit_number > bound_number => {
            Some(format!("{start}, but limit is {limit}"))
        }
        (Some(request), _) if request_number > bound_number => {
            Some(format!("{start}, but request is {request}"))
        }
        _ => None,
    }
}

/// The request must be at most the bound; for claims, whose limits mean nothing.
pub(super) fn max_request(name: &str, bound: &Quantity, asked: &Asked<'_>) -> Option<String> {
    let request = asked.requests.get(name);
    let [request_number, bound_number] = comparable([request, Some(bound)]);
    let start = format!("maximum {name} usage per {} is {bound}", asked.by);
    match request {
        None => Some(format!("{start}.  No request is specified")),
        Some(request) if request_number > bound_number => {
            Some(format!("{start}, but request is {request}"))
        }
        Some(_) => None,
    }
}

/// The limit must be at most so many times the request.
pub(super) fn ratio(name: &str, bound: &Quantity, asked: &Asked<'_>) -> Option<String> {
    let (request, limit) = (asked.requests.get(name), asked.limits.get(name));
    let [request_number, limit_number, _] = comparable([request, limit, Some(bound)]);
    let start = format!(
        "{name} max limit to request ratio per {} is {bound}",
        asked.by
    );
    if request_number == 0 {
        return Some(format!(
            "{start}, but no request is specified or request is 0"
        ));
    }
    if limit_number == 0 {
        return Some(format!("{start}, but no limit is specified or limit is 0"));
    }
    let ratio = limit_number as f64 / request_number as f64;
    let exceeded = if bound.value() <= WHOLE_MAX {
        ratio * 1000.0 > bound.milli_value() as f64
    } else {
        ratio > bound.value() as f64
    };
    exceeded.then(|| format!("{start}, but provided ratio is {ratio:.6}"))
}
