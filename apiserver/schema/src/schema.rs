//! All types of the API and how to find them.

use crate::descriptions;
use crate::parse;
use crate::tables;
use crate::types::{Gvk, TypeDef, TypeId};
use std::collections::HashMap;
use std::sync::OnceLock;

/// The types of the API. There is one, [`schema`].
#[derive(Debug)]
pub struct Schema {
    types: Vec<TypeDef>,
    names: HashMap<&'static str, TypeId>,
    /// Sorted.
    kinds: Vec<(Gvk, TypeId)>,
}

/// The types this server knows: those of Kubernetes 1.36. Read from the crate's tables at first use,
/// which takes a few milliseconds.
pub fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let (mut types, names) =
            parse::parse(tables::TYPES).expect("built-in tables are tested to parse");
        descriptions::describe(&mut types, &names, descriptions::TEXT)
            .expect("built-in descriptions are tested to fit");
        Schema::new(types, names)
    })
}

impl Schema {
    fn new(types: Vec<TypeDef>, names: HashMap<&'static str, TypeId>) -> Self {
        let mut kinds = Vec::with_capacity(256);
        for (def, index) in types.iter().zip(0..) {
            kinds.extend(def.gvks.iter().map(|gvk| (*gvk, TypeId(index))));
        }
        kinds.sort_unstable();
        Self {
            types,
            names,
            kinds,
        }
    }

    /// By OpenAPI name, such as `io.k8s.api.core.v1.Pod`.
    pub fn by_name(&self, name: &str) -> Option<TypeId> {
        self.names.get(name).copied()
    }

    /// By group (empty for core), version and kind.
    pub fn by_gvk(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        let wanted = (group, version, kind);
        let order = |(gvk, _): &(Gvk, TypeId)| (gvk.group, gvk.version, gvk.kind).cmp(&wanted);
        let at = self.kinds.binary_search_by(order).ok()?;
        Some(self.kinds[at].1)
    }

    pub fn get(&self, id: TypeId) -> &TypeDef {
        &self.types[usize::from(id.0)]
    }

    /// Every type, in no order worth relying on.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, &TypeDef)> {
        self.types
            .iter()
            .zip(0..)
            .map(|(def, index)| (TypeId(index), def))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ListKind, Scalar, Shape, Type};
    use std::time::{Duration, Instant};

    #[test]
    fn the_tables_are_read_within_milliseconds() {
        let start = Instant::now();
        let (types, _) = parse::parse(tables::TYPES).expect("built-in tables");
        let took = start.elapsed();
        assert_eq!(types.len(), 584);
        // Ten times what it takes, so that a busy machine does not fail the test.
        assert!(took < Duration::from_millis(100), "{took:?}");
    }

    #[test]
    fn types_are_found_by_name_and_by_kind() {
        let schema = schema();
        let pod = schema.by_gvk("", "v1", "Pod").expect("a kind");
        assert_eq!(Some(pod), schema.by_name("io.k8s.api.core.v1.Pod"));
        assert_eq!(schema.get(pod).short_name(), "Pod");
        assert_eq!(schema.by_gvk("apps", "v1", "Pod"), None);
        let options = schema
            .by_gvk("apps", "v1", "DeleteOptions")
            .expect("a kind of every group");
        assert_eq!(Some(options), schema.by_gvk("", "v1", "DeleteOptions"));
        for (id, def) in schema.types() {
            assert_eq!(schema.by_name(def.name), Some(id));
        }
    }

    #[test]
    fn fields_have_what_the_api_says_of_them() {
        let schema = schema();
        let spec = schema.get(
            schema
                .by_name("io.k8s.api.core.v1.PodSpec")
                .expect("a type"),
        );
        let containers = spec.field("containers").expect("a field");
        assert_eq!((containers.number, containers.required), (2, true));
        assert_eq!(containers.list, ListKind::Map(&["name"]));
        assert!(containers.patch.merge);
        assert_eq!(containers.patch.merge_key, Some("name"));
        let policy = spec.field("restartPolicy").expect("a field");
        assert_eq!(policy.enum_values, ["Always", "Never", "OnFailure"]);
        assert_eq!(policy.ty, Type::Scalar(Scalar::String));
        assert!(spec.field("none").is_none());
    }

    #[test]
    fn protobuf_numbers_are_unique_within_a_message() {
        for (_, def) in schema().types() {
            let Shape::Struct(fields) = &def.shape else {
                continue;
            };
            let mut paths: Vec<_> = fields.iter().map(|f| (f.embedded, f.number)).collect();
            paths.retain(|(_, number)| *number != 0);
            paths.sort_unstable();
            let all = paths.len();
            paths.dedup();
            assert_eq!(paths.len(), all, "{}", def.name);
        }
    }
}
