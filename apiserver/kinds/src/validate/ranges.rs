//! Addresses in use and ranges that services get theirs from.

use super::place::Place;
use crate::strategy::Part;
use crate::value::list;
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::{
    FIELD_IMMUTABLE, cidr, dns1123_subdomain, name_is_path_segment,
};
use serde_json::Value;

pub(super) fn address(object: &Value, errors: &mut ErrorList) {
    let parent = Place::top(object, "spec").at("parentRef");
    if !parent.is_set() {
        parent.required("", errors);
        return;
    }
    let group = parent.at("group");
    if !group.is_empty() {
        group.messages(dns1123_subdomain(group.text()), errors);
    }
    for (name, needed) in [("resource", true), ("name", true), ("namespace", false)] {
        let place = parent.at(name);
        match (place.is_empty(), needed) {
            (true, true) => place.required("", errors),
            (true, false) => {}
            (false, _) => place.named(name_is_path_segment, errors),
        }
    }
}

pub(super) fn update_address(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    let parent = |object| Place::top(object, "spec").at("parentRef");
    parent(new).immutable(&parent(old), errors);
}

pub(super) fn service_range(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let ranges = spec.at("cidrs");
    let refuse = |detail: &str, errors: &mut ErrorList| {
        errors.push(Error::invalid(&ranges.path, spec.value.clone(), detail));
    };
    match list(object, "spec.cidrs") {
        [] => return ranges.required("at least one CIDR required", errors),
        [_] => {}
        [one, two] => {
            let is_v6 = |range: &Value| range.as_str().unwrap_or_default().contains(':');
            if is_v6(one) == is_v6(two) {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                return refuse(detail, errors);
            }
        }
        _ => return refuse("may only hold up to 2 values", errors),
    }
    for range in ranges.items() {
        errors.extend(cidr(&range.path, range.text()));
    }
}

pub(super) fn update_service_range(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Main {
        let (ranges, before) = (list(new, "spec.cidrs"), list(old, "spec.cidrs"));
        let place = Place::top(new, "spec").at("cidrs");
        match (before.len(), ranges.len()) {
            // A second family may join the first.
            (1, 2) if ranges[0] == before[0] => service_range(new, errors),
            (1, 2) => errors.push(Error::invalid(
                &place.path.index(0),
                ranges[0].clone(),
                FIELD_IMMUTABLE,
            )),
            (old, new) if old == new => {
                for (range, before) in place.items().zip(before) {
                    if range.value != before {
                        range.invalid(FIELD_IMMUTABLE, errors);
                    }
                }
            }
            _ => place.invalid(FIELD_IMMUTABLE, errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ranges_are_one_of_each_family() {
        let cases = [
            (json!(["10.0.0.0/24"]), ""),
            (json!(["10.0.0.0/24", "fd00::/112"]), ""),
            (json!([]), "at least one CIDR required"),
            (
                json!(["10.0.0.0/24", "10.1.0.0/24"]),
                "no more than one IP for each IP family",
            ),
            (
                json!(["10.0.0.0/24", "fd00::/112", "fd01::/112"]),
                "may only hold up to 2 values",
            ),
            (json!(["10.0.0.0"]), "spec.cidrs[0]"),
        ];
        for (ranges, expected) in cases {
            let mut errors = ErrorList::default();
            service_range(&json!({"spec": {"cidrs": ranges}}), &mut errors);
            assert_eq!(errors.is_empty(), expected.is_empty(), "{ranges}");
            assert!(errors.to_string().contains(expected), "{errors}");
        }
    }

    #[test]
    fn an_address_belongs_to_something() {
        let mut errors = ErrorList::default();
        address(
            &json!({"spec": {"parentRef": {"namespace": "n"}}}),
            &mut errors,
        );
        assert_eq!(
            errors.to_string(),
            "[spec.parentRef.resource: Required value, spec.parentRef.name: Required value]"
        );
    }
}
