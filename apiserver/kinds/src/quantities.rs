//! Amounts of resources (`cpu: 500m`, `memory: 1Gi`), as the rules of kinds need them.

use crate::value::entries;
use mainstay_machinery::quantity::{Format, Quantity};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The API keeps thousandths, not less.
const MILLI: i32 = -3;

/// Rounds every amount of a resource list up to a thousandth, which the API keeps as its precision.
pub(crate) fn round_up_to_milli(list: &mut Value) {
    let Some(amounts) = list.as_object_mut() else {
        return;
    };
    for value in amounts.values_mut() {
        if let Ok(mut amount) = Quantity::from_value(value)
            && !amount.round_up(MILLI)
        {
            *value = amount.to_string().into();
        }
    }
}

/// Resource amounts by name, for sums and maxima.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// The well-formed amounts of a resource list.
pub(crate) fn amounts(value: &Value, path: &str) -> Amounts {
    let named =
        |(name, value): (&String, &Value)| Some((name.clone(), Quantity::from_value(value).ok()?));
    entries(value, path).filter_map(named).collect()
}

/// Adds amounts up. Instead of a sum too large to be a quantity there is the larger amount, which no bound
/// anyone sets allows either.
pub(crate) fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match sum.get_mut(name) {
            Some(known) => {
                *known = match known.checked_add(amount) {
                    Some(total) => total,
                    None => (&*known).max(amount).clone(),
                };
            }
            None => {
                sum.insert(name.clone(), amount.clone());
            }
        }
    }
}

/// What is left of an amount, at least zero. A difference that is no quantity differs from the amount in
/// digits nobody looks at, so the amount stands.
pub(crate) fn rest(amount: &Quantity, taken: &Quantity) -> Quantity {
    if amount <= taken {
        return Quantity::zero(Format::DecimalSi);
    }
    let left = amount.checked_sub(taken);
    left.unwrap_or_else(|| amount.clone())
}

pub(crate) fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if most.get(name).is_none_or(|known| known < amount) {
            most.insert(name.clone(), amount.clone());
        }
    }
}

/// Adds the amounts that are not there yet to a resource list.
pub(crate) fn fill(list: &mut Map<String, Value>, amounts: &Amounts) {
    for (name, amount) in amounts {
        list.entry(name.as_str())
            .or_insert_with(|| amount.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sums_and_differences_of_any_size_are_safe_bounds() {
        let of = |text: &str| Quantity::parse(text).expect("a quantity");
        for (a, b, sum, left) in [
            ("3", "500m", "3500m", "2500m"),
            ("1", "2", "3", "0"),
            ("1e60", "1", "1e60", "1e60"),
            ("1", "1e60", "1e60", "0"),
        ] {
            let mut total = Amounts::from([("x".to_owned(), of(a))]);
            add(&mut total, &Amounts::from([("x".to_owned(), of(b))]));
            assert_eq!(total["x"], of(sum), "{a} + {b}");
            assert_eq!(rest(&of(a), &of(b)), of(left), "{a} - {b}");
        }
    }

    #[test]
    fn lists_are_rounded_up_to_thousandths() {
        let mut list = json!({"cpu": "100u", "memory": "1Gi", "x": "1500u"});
        round_up_to_milli(&mut list);
        assert_eq!(list, json!({"cpu": "1m", "memory": "1Gi", "x": "2m"}));
    }
}
