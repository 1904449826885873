//! Adding usage to what is used already.

use super::Usage;
use crate::quantities::{add, amounts, rest};
use crate::value::{set, text};
use mainstay_machinery::quantity::{Format, Quantity};
use serde_json::{Map, Value};

/// What a change adds to the usage: the difference where the object was counted before, never below zero.
/// Less usage is left to the next recount, as upstream: the object may not get stored after all.
pub(super) fn added(new: &Usage, old: Option<&Usage>) -> Usage {
    let growth = |(name, amount): (&String, &Quantity)| {
        let more = match old.and_then(|old| old.get(name)) {
            Some(before) => rest(amount, before),
            None => amount.clone(),
        };
        (more.signum() > 0).then(|| (name.clone(), more))
    };
    new.iter().filter_map(growth).collect()
}

/// Charges a quota that is for an object with what the object uses; `old` is what it used before, if it was
/// counted. Returns the quota with its new `status.used`, or nothing if nothing is added.
///
/// # Errors
/// `exceeded quota: NAME, requested: pods=1, used: pods=2, limited: pods=2` with all that is exceeded.
pub fn charge(quota: &Value, new: &Usage, old: Option<&Usage>) -> Result<Option<Value>, String> {
    let used = amounts(quota, "status.used");
    let hard = amounts(quota, "status.hard");
    let requested = limited(quota, new, old);
    let mut total = used.clone();
    add(&mut total, &requested);
    let exceeded = |name: &String| total.get(name) > hard.get(name);
    let over: Vec<_> = requested.keys().filter(|name| exceeded(name)).collect();
    if !over.is_empty() {
        let printed = |usage: &Usage| {
            let parts = over.iter().filter_map(|name| {
                let amount = usage.get(name.as_str())?;
                Some(format!("{name}={amount}"))
            });
            parts.collect::<Vec<_>>().join(",")
        };
        return Err(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            text(quota, "metadata.name"),
            printed(&requested),
            printed(&used),
            printed(&hard)
        ));
    }
    Ok(with_added(quota, &requested))
}

/// Charges without asking whether it is too much, for what has happened already.
pub(super) fn record(quota: &Value, new: &Usage, old: Option<&Usage>) -> Option<Value> {
    with_added(quota, &limited(quota, new, old))
}

/// What is added of the names the quota limits.
fn limited(quota: &Value, new: &Usage, old: Option<&Usage>) -> Usage {
    let hard = amounts(quota, "status.hard");
    let mut requested = added(new, old);
    requested.retain(|name, _| hard.contains_key(name));
    requested
}

fn with_added(quota: &Value, requested: &Usage) -> Option<Value> {
    if requested.is_empty() {
        return None;
    }
    let mut total = amounts(quota, "status.used");
    add(&mut total, requested);
    let mut charged = quota.clone();
    set(&mut charged, "status.used", to_json(&total));
    Some(charged)
}

pub(super) fn to_json(usage: &Usage) -> Map<String, Value> {
    let texts = usage.iter();
    let texts = texts.map(|(name, amount)| (name.clone(), amount.to_string().into()));
    texts.collect()
}

/// Zero, as usage is counted from.
pub(super) fn zero() -> Quantity {
    Quantity::zero(Format::DecimalSi)
}
