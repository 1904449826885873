//! The model: types, their fields, and what a client or server must know of each field.

/// Index of a type within the [`Schema`](crate::Schema); cheap to copy and to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(crate) u16);

/// Group, version and kind. The core group is the empty string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
}

impl Gvk {
    /// `v1` or `apps/v1`: what stands in an object's `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// A named type of the API.
#[derive(Debug)]
pub struct TypeDef {
    /// The OpenAPI name, such as `io.k8s.api.core.v1.Pod`.
    pub name: &'static str,
    pub shape: Shape,
    /// Kinds this type is served as; empty for types that are only parts of others. `DeleteOptions` and
    /// `WatchEvent` belong to every group and version.
    pub gvks: Vec<Gvk>,
    /// The whole value has one owner and is replaced as one (`x-kubernetes-map-type: atomic`).
    pub map_atomic: bool,
    pub union: Option<Union>,
    /// For people; empty where nothing needs to be said.
    pub description: &'static str,
}

impl TypeDef {
    /// The field of this JSON name; `None` too where the type is a scalar.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let fields = self.fields();
        let at = fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
        Some(&fields[at])
    }

    /// All fields sorted by JSON name; empty for a scalar.
    pub fn fields(&self) -> &[Field] {
        match &self.shape {
            Shape::Struct(fields) => fields,
            Shape::Scalar(_) => &[],
        }
    }

    /// The last segment of the name: `Pod`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

#[derive(Debug)]
pub enum Shape {
    /// An object with known fields, sorted by JSON name.
    Struct(Vec<Field>),
    /// A name for something that JSON writes as one value, such as `Quantity` or `Time`.
    Scalar(Scalar),
}

/// At most one of several fields is set, as a discriminator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Union {
    /// The field that names the member in use; a union without one is told by which field is set.
    pub discriminator: Option<&'static str>,
    /// (JSON field, value of the discriminator).
    pub members: &'static [(&'static str, &'static str)],
}

/// One field of a struct. `name`, `ty`, `required`, `list`, `map_*`, `patch`, `default` and
/// `item_default` are what the OpenAPI documents say; the rest is from the struct tags of the Go types.
#[derive(Debug)]
pub struct Field {
    /// The JSON name.
    pub name: &'static str,
    /// Field number in protobuf; 0 when the field is not part of the message (`apiVersion` and `kind`
    /// travel in the envelope instead).
    pub number: u32,
    /// Numbers of the messages that hold the field where JSON folds them into the parent, outermost
    /// first. Nearly always empty; `[1]` for `name` of a `SecretKeySelector`.
    pub embedded: &'static [u32],
    pub ty: Type,
    pub required: bool,
    pub list: ListKind,
    /// The map (or object) is replaced as a whole.
    pub map_atomic: bool,
    /// Said explicitly to be merged key by key; where neither is said, maps are granular too.
    pub map_granular: bool,
    pub patch: Patch,
    /// Every allowed value where upstream closes the set; an empty string can be a member. For lists, the
    /// values of the elements.
    pub enum_values: &'static [&'static str],
    /// JSON. Zero values (`""`, `0`, `false`, `{}`) mean that the Go field is not a pointer and is written
    /// even when nothing was given; the few others (`"TCP"`, `"rbd"` …) are defaults to apply.
    pub default: Option<&'static str>,
    /// JSON, the same for the elements of a list or map.
    pub item_default: Option<&'static str>,
    /// Absent and zero differ: the Go field is a pointer.
    pub pointer: bool,
    /// Left out of JSON when empty (absent for a pointer; zero, "", empty list or map otherwise). Without
    /// it the field is always written, absent as `null`, `""`, `0`, `false` or `{}`. Values that are
    /// structs never count as empty, whatever their tag says.
    pub omit_empty: bool,
    /// The (innermost) list is a message with the list as its field 1 in protobuf (`ExtraValue`, `Verbs`).
    pub wrapped: bool,
    /// For people; empty where nothing needs to be said.
    pub description: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Scalar(Scalar),
    /// Another named type. Types that stand for `Quantity`, `Time` and their like are resolved to
    /// [`Type::Scalar`]; a reference to a scalar remains only for the free-form parts of JSON schemas.
    Ref(TypeId),
    List(Box<Type>),
    /// Keys are always strings.
    Map(Box<Type>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    String,
    /// base64 in JSON.
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    IntOrString,
    Quantity,
    /// RFC 3339 in seconds, UTC.
    Time,
    /// RFC 3339 with microseconds, UTC.
    MicroTime,
    /// Any JSON: `RawExtension`, `JSON`.
    Any,
    /// The field sets of server-side apply: a JSON object.
    FieldsV1,
}

/// How a list is merged and owned (`x-kubernetes-list-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Not said: atomic.
    Unset,
    Atomic,
    Set,
    /// Elements are objects told apart by the values of these fields.
    Map(&'static [&'static str]),
}

/// The strategic merge patch strategy of a field (`x-kubernetes-patch-strategy`, `…-merge-key`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    pub merge: bool,
    pub retain_keys: bool,
    /// Said explicitly; also what holds when nothing is said.
    pub replace: bool,
    pub merge_key: Option<&'static str>,
}
