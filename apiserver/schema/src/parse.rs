//! Reads the type tables.
//!
//! ```text
//! file      = "package" NAME { type } ;             one file per API package
//! type      = TYPENAME { typeattr } NEWLINE { " " field NEWLINE } ;
//! typeattr  = "=" SCALAR                            a name for a scalar
//!           | "map=atomic"
//!           | "union=" [FIELD] ";" FIELD ":" VALUE { "," FIELD ":" VALUE }
//!           | GROUP "/" VERSION "/" KIND ;          the core group is empty: /v1/Pod
//! field     = JSONNAME NUMBERS TYPE { attr } ;
//! NUMBERS   = "-" | N { "." N } ;                   protobuf; all but the last are embedded messages
//! TYPE      = { "[]" | "{}" } ( SCALAR | TYPENAME | PACKAGE "." TYPENAME ) ;   [] list, {} map
//! attr      = "req"                                 required
//!           | "list=atomic" | "list=set" | "list=map:" KEY { "," KEY }
//!           | "map=atomic" | "map=granular"
//!           | "patch=" STRATEGY { "," STRATEGY } [ ":" MERGEKEY ]
//!           | "default=" JSON | "items=" JSON       default of the field, of its elements
//!           | "ptr"                                 a pointer in Go: absent and zero differ
//!           | "omit"                                left out of JSON when empty
//!           | "wrapped"                             the list is a message of its own in protobuf
//!           | "enum=" VALUE { "," VALUE } ;         an empty VALUE is the empty string
//! ```
//!
//! Words are separated by one space, so JSON is written without spaces; `enum` is the last attribute and its
//! values may have spaces. SCALAR is a lower-case name (see
//! `scalar`); a PACKAGE is relative to `io.k8s.api.` unless it is `meta.v1` or begins with `io.k8s.`.
//! Empty lines separate types.

use crate::types::{Field, Gvk, ListKind, Patch, Scalar, Shape, Type, TypeDef, TypeId, Union};
use std::collections::HashMap;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Reads all tables. Names are resolved over all of them, so their order does not matter. The slices
/// that the result refers to are leaked: it is read once and lives as long as the process.
pub(crate) fn parse(
    tables: &[(&'static str, &'static str)],
) -> Result<(Vec<TypeDef>, HashMap<&'static str, TypeId>), String> {
    let mut names = HashMap::with_capacity(640);
    for (package, line) in headers(tables) {
        let name = full_name(package, first_word(line));
        let id = TypeId(u16::try_from(names.len()).map_err(|_| "too many types")?);
        if names.insert(name, id).is_some() {
            return Err(format!("{name} is defined twice"));
        }
    }
    let mut types = Vec::with_capacity(names.len());
    for (file, text) in tables {
        let mut reader = Reader {
            names: &names,
            package: "",
            types: &mut types,
        };
        for (number, line) in text.lines().enumerate() {
            reader
                .line(line)
                .map_err(|error| format!("{file}.txt:{}: {error}", number + 1))?;
        }
    }
    Ok((types, names))
}

/// The lines that begin a type, with the package they are in.
fn headers(
    tables: &[(&'static str, &'static str)],
) -> impl Iterator<Item = (&'static str, &'static str)> {
    tables.iter().flat_map(|(_, text)| {
        let mut package = "";
        text.lines().filter_map(move |line| {
            if let Some(name) = line.strip_prefix("package ") {
                package = name;
                return None;
            }
            (!line.is_empty() && !line.starts_with(' ')).then_some((package, line))
        })
    })
}

fn first_word(line: &'static str) -> &'static str {
    line.split(' ').next().unwrap_or(line)
}

fn full_name(package: &str, name: &str) -> &'static str {
    leak_str(format!("{package}.{name}"))
}

struct Reader<'a> {
    names: &'a HashMap<&'static str, TypeId>,
    package: &'static str,
    types: &'a mut Vec<TypeDef>,
}

impl Reader<'_> {
    fn line(&mut self, line: &'static str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        if let Some(package) = line.strip_prefix("package ") {
            self.package = package;
            return Ok(());
        }
        let Some(field) = line.strip_prefix(' ') else {
            let def = self.header(line)?;
            self.types.push(def);
            return Ok(());
        };
        let field = self.field(field)?;
        match self.types.last_mut().map(|def| &mut def.shape) {
            Some(Shape::Struct(fields)) => {
                if fields.last().is_some_and(|last| last.name >= field.name) {
                    return Err(format!("field {} is out of order", field.name));
                }
                fields.push(field);
                Ok(())
            }
            _ => Err(format!("field {} belongs to no struct", field.name)),
        }
    }

    fn header(&self, line: &'static str) -> Result<TypeDef, String> {
        let mut words = line.split(' ');
        let short = words.next().unwrap_or_default();
        let (name, _) = self
            .names
            .get_key_value(format!("{}.{short}", self.package).as_str())
            .ok_or_else(|| format!("type {short} is in no package"))?;
        let mut def = TypeDef {
            name,
            shape: Shape::Struct(Vec::new()),
            gvks: Vec::new(),
            map_atomic: false,
            union: None,
            description: "",
        };
        while let Some(word) = words.next() {
            if word == "=" {
                let name = words.next().unwrap_or_default();
                def.shape = Shape::Scalar(scalar(name).ok_or(format!("unknown scalar {name}"))?);
            } else if word == "map=atomic" {
                def.map_atomic = true;
            } else if let Some(text) = word.strip_prefix("union=") {
                def.union = Some(union(text)?);
            } else {
                def.gvks.push(gvk(word)?);
            }
        }
        Ok(def)
    }

    fn field(&self, line: &'static str) -> Result<Field, String> {
        let (line, values) = match line.split_once(" enum=") {
            Some((line, values)) => (line, leak(values.split(','))),
            None => (line, &[][..]),
        };
        let mut words = line.split(' ');
        let mut next = || {
            words
                .next()
                .ok_or("a field needs a name, a number and a type")
        };
        let (name, numbers, ty) = (next()?, next()?, next()?);
        let (number, embedded) = field_number(numbers)?;
        let mut field = Field {
            name,
            number,
            embedded,
            ty: self.ty(ty)?,
            required: false,
            list: ListKind::Unset,
            map_atomic: false,
            map_granular: false,
            patch: Patch::default(),
            enum_values: values,
            default: None,
            item_default: None,
            pointer: false,
            omit_empty: false,
            wrapped: false,
            description: "",
        };
        for word in words {
            attribute(&mut field, word)?;
        }
        Ok(field)
    }

    fn ty(&self, text: &'static str) -> Result<Type, String> {
        if let Some(inner) = text.strip_prefix("[]") {
            return Ok(Type::List(Box::new(self.ty(inner)?)));
        }
        if let Some(inner) = text.strip_prefix("{}") {
            return Ok(Type::Map(Box::new(self.ty(inner)?)));
        }
        if let Some(scalar) = scalar(text) {
            return Ok(Type::Scalar(scalar));
        }
        let name = match text.rsplit_once('.') {
            None => format!("{}.{text}", self.package),
            Some(("meta.v1", name)) => format!("{META}.{name}"),
            Some(_) if text.starts_with("io.k8s.") => text.to_owned(),
            Some(_) => format!("io.k8s.api.{text}"),
        };
        let id = self.names.get(name.as_str());
        id.map(|id| Type::Ref(*id))
            .ok_or_else(|| format!("unknown type {text}"))
    }
}

fn attribute(field: &mut Field, word: &'static str) -> Result<(), String> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    match key {
        "req" => field.required = true,
        "ptr" => field.pointer = true,
        "omit" => field.omit_empty = true,
        "wrapped" => field.wrapped = true,
        "default" => field.default = Some(value),
        "items" => field.item_default = Some(value),
        "patch" => field.patch = patch(value)?,
        "list" => {
            field.list = match value.split_once(':') {
                Some(("map", keys)) => ListKind::Map(leak(keys.split(','))),
                None if value == "atomic" => ListKind::Atomic,
                None if value == "set" => ListKind::Set,
                _ => return Err(format!("unknown list type {value}")),
            }
        }
        "map" => match value {
            "atomic" => field.map_atomic = true,
            "granular" => field.map_granular = true,
            _ => return Err(format!("unknown map type {value}")),
        },
        _ => return Err(format!("unknown attribute {word}")),
    }
    Ok(())
}

fn patch(text: &'static str) -> Result<Patch, String> {
    let (strategies, key) = match text.split_once(':') {
        Some((strategies, key)) => (strategies, Some(key)),
        None => (text, None),
    };
    let mut patch = Patch {
        merge_key: key,
        ..Patch::default()
    };
    for strategy in strategies.split(',') {
        match strategy {
            "merge" => patch.merge = true,
            "retainKeys" => patch.retain_keys = true,
            "replace" => patch.replace = true,
            _ => return Err(format!("unknown patch strategy {strategy}")),
        }
    }
    Ok(patch)
}

fn union(text: &'static str) -> Result<Union, String> {
    let (discriminator, members) = text.split_once(';').ok_or("a union needs a `;`")?;
    let members = members.split(',').map(|member| member.split_once(':'));
    Ok(Union {
        discriminator: (!discriminator.is_empty()).then_some(discriminator),
        members: leak(
            members
                .collect::<Option<Vec<_>>>()
                .ok_or("a union member needs a `:`")?,
        ),
    })
}

fn gvk(word: &'static str) -> Result<Gvk, String> {
    let mut parts = word.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(group), Some(version), Some(kind), None) => Ok(Gvk {
            group,
            version,
            kind,
        }),
        _ => Err(format!("unknown type attribute {word}")),
    }
}

fn field_number(text: &str) -> Result<(u32, &'static [u32]), String> {
    if text == "-" {
        return Ok((0, &[]));
    }
    let numbers: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
    let mut numbers = numbers.map_err(|error| format!("field number {text}: {error}"))?;
    let last = numbers.pop().ok_or("no field number")?;
    Ok((
        last,
        if numbers.is_empty() {
            &[]
        } else {
            leak(numbers)
        },
    ))
}

fn scalar(name: &str) -> Option<Scalar> {
    Some(match name {
        "string" => Scalar::String,
        "bytes" => Scalar::Bytes,
        "bool" => Scalar::Bool,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "double" => Scalar::Double,
        "intorstring" => Scalar::IntOrString,
        "quantity" => Scalar::Quantity,
        "time" => Scalar::Time,
        "microtime" => Scalar::MicroTime,
        "any" => Scalar::Any,
        "fieldsv1" => Scalar::FieldsV1,
        _ => return None,
    })
}

fn leak<T: 'static>(items: impl IntoIterator<Item = T>) -> &'static [T] {
    Vec::leak(items.into_iter().collect())
}

fn leak_str(text: String) -> &'static str {
    String::leak(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &'static str) -> String {
        parse(&[("t", text)]).expect_err("not a table")
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let cases = [
            (
                "package p\nA\n x 1 string\n a 2 string\n",
                "t.txt:4: field a is out of order",
            ),
            ("package p\nA\n x 1 B\n", "t.txt:3: unknown type B"),
            (
                "package p\nA\n x 1\n",
                "t.txt:3: a field needs a name, a number and a type",
            ),
            (
                "package p\nA\n x y string\n",
                "t.txt:3: field number y: invalid digit found in string",
            ),
            (
                "package p\nA\n x 1 string list=odd\n",
                "t.txt:3: unknown list type odd",
            ),
            (
                "package p\nA\n x 1 string odd\n",
                "t.txt:3: unknown attribute odd",
            ),
            ("package p\nA odd\n", "t.txt:2: unknown type attribute odd"),
            (
                "package p\nA = string\n x 1 string\n",
                "t.txt:3: field x belongs to no struct",
            ),
            ("package p\nA\nA\n", "p.A is defined twice"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn every_attribute_is_read() {
        let text = "package p\n\
            A map=atomic union=k;s:S g/v1/A /v1/A\n \
            l 2.3 []B req list=map:a,b patch=merge,retainKeys:a items={} default=[] wrapped\n \
            m 4 {}string map=granular ptr omit enum=,X\n\
            \n\
            B = any\n";
        let (types, names) = parse(&[("t", text)]).expect("a table");
        let a = &types[usize::from(names["p.A"].0)];
        assert!(a.map_atomic);
        assert_eq!(
            a.union.map(|u| (u.discriminator, u.members)),
            Some((Some("k"), &[("s", "S")][..]))
        );
        assert_eq!(
            a.gvks[1],
            Gvk {
                group: "",
                version: "v1",
                kind: "A"
            }
        );
        let l = a.field("l").expect("field");
        assert_eq!(
            (l.number, l.embedded, l.required, l.wrapped),
            (3, &[2][..], true, true)
        );
        assert_eq!(l.ty, Type::List(Box::new(Type::Ref(names["p.B"]))));
        assert_eq!(l.list, ListKind::Map(&["a", "b"]));
        assert_eq!((l.default, l.item_default), (Some("[]"), Some("{}")));
        assert_eq!(l.patch.merge_key, Some("a"));
        assert!(l.patch.merge && l.patch.retain_keys);
        let m = a.field("m").expect("field");
        assert!(m.map_granular && m.pointer && m.omit_empty && !m.required);
        assert_eq!(m.enum_values, ["", "X"]);
    }
}
