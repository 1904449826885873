//! Canonical forms are what upstream prints for the same input.

use super::*;
use proptest::prelude::*;

fn canonical(text: &str) -> String {
    Quantity::parse(text)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .to_string()
}

#[test]
fn prints_canonically() {
    for (text, want) in [
        ("0", "0"),
        ("00", "0"),
        ("0Gi", "0"),
        ("Ki", "0"),
        ("-0", "0"),
        ("1", "1"),
        ("1000m", "1"),
        ("100m", "100m"),
        ("0.1", "100m"),
        (".5", "500m"),
        ("5.", "5."),
        ("1.5", "1500m"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("0.5Mi", "512Ki"),
        ("1024Mi", "1Gi"),
        ("1000Mi", "1000Mi"),
        ("1025", "1025"),
        ("512", "512"),
        ("1023Ki", "1023Ki"),
        ("1000", "1k"),
        ("100", "100"),
        ("1000k", "1M"),
        ("12e6", "12e6"),
        ("1000e3", "1e6"),
        ("1e9", "1e9"),
        ("1E9", "1E9"),
        ("100e-3", "100e-3"),
        ("0.1m", "100u"),
        ("0.0000000001", "1n"),
        ("1.0000000001", "1000000001n"),
        ("0.1Ki", "102400m"),
        ("0.0001Ki", "102400u"),
        ("-1.5Gi", "-1536Mi"),
        ("+5", "+5"),
        ("1.123", "1.123"),
        ("1.500", "1.500"),
        ("1.50", "1500m"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
        ("100Ei", "9223372036854775807"),
        ("1000E", "1000E"),
    ] {
        assert_eq!(canonical(text), want, "{text}");
    }
}

#[test]
fn refuses_what_upstream_refuses() {
    for (text, want) in [
        ("", QuantityError::Format),
        ("abc", QuantityError::Format),
        ("1 000", QuantityError::Format),
        ("1.2.3", QuantityError::Format),
        ("1x", QuantityError::Format),
        ("--1", QuantityError::Suffix),
        ("1kk", QuantityError::Suffix),
        ("1ki", QuantityError::Suffix),
        ("1e", QuantityError::Suffix),
        ("Ei", QuantityError::Numeric),
        ("1MiB", QuantityError::Format),
    ] {
        assert_eq!(Quantity::parse(text).unwrap_err(), want, "{text}");
    }
}

#[test]
fn computes_exactly() {
    let q = |text: &str| Quantity::parse(text).unwrap();
    for (a, b, sum) in [
        ("100m", "900m", "1"),
        ("1Gi", "512Mi", "1536Mi"),
        ("0", "1Ki", "1Ki"),
        ("1", "1n", "1000000001n"),
        ("1k", "-1k", "0"),
    ] {
        assert_eq!(
            q(a).checked_add(&q(b)).unwrap().to_string(),
            sum,
            "{a} + {b}"
        );
    }
    assert_eq!(
        q("1Gi").checked_sub(&q("1Mi")).unwrap().to_string(),
        "1023Mi"
    );
    assert_eq!(
        (q("1.5").value(), q("-1.5").value(), q("1.5").milli_value()),
        (2, -2, 1500)
    );
    assert_eq!(q("1").as_i64(), Some(1));
    assert_eq!(q("100m").as_i64(), None);
    assert!(q("1") == q("1000m") && q("1Ki") > q("1k") && q("-1") < q("0"));
    assert!(q("1e100") > q("1") && q("-1e100") < q("-1"));
    let mut rounded = q("1.2");
    assert!(!rounded.round_up(0));
    assert_eq!(rounded.to_string(), "2");
}

const SUFFIXES: [&str; 17] = [
    "n", "u", "m", "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "e3", "e-2",
];

proptest! {
    #[test]
    fn canonical_text_is_the_same_number(whole in 0u32.., fraction in "[0-9]{0,6}", unit in 0usize..17) {
        let text = format!("{whole}.{fraction}{}", SUFFIXES[unit]);
        let first = Quantity::parse(&text).unwrap();
        let again = Quantity::parse(&first.to_string()).unwrap();
        prop_assert_eq!(&first, &again, "{}", first);
        prop_assert_eq!(first.to_string(), again.to_string());
    }

    #[test]
    fn sums_commute_and_undo(a in any::<i32>(), b in any::<i32>(), ua in 0usize..15, ub in 0usize..15) {
        let a = Quantity::parse(&format!("{a}{}", SUFFIXES[ua])).unwrap();
        let b = Quantity::parse(&format!("{b}{}", SUFFIXES[ub])).unwrap();
        let sum = a.checked_add(&b).unwrap();
        prop_assert_eq!(&sum, &b.checked_add(&a).unwrap());
        prop_assert_eq!(&sum.checked_sub(&b).unwrap(), &a);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
    }

    #[test]
    fn garbage_never_panics(text in "\\PC{0,40}") {
        let _ = Quantity::parse(&text);
    }

    #[test]
    fn number_like_garbage_never_panics(text in "[-+]?[0-9.]{0,50}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,20}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let _ = (quantity.to_string(), quantity.value(), quantity.milli_value());
            let _ = quantity.checked_add(&Quantity::from_milli(1));
        }
    }
}
