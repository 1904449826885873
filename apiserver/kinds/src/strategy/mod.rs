//! What happens to an object between decoding and validation: which parts a write may set.
//!
//! `TABLE` has a row for every kind whose rules differ from the plain ones; `prepare` interprets it.
//! What a row cannot say is a hook in the module of that kind's family.

mod certificates;
mod cluster;
mod delete;
mod labels;
mod names;
mod pods;
mod prepare;
mod rows;
mod services;
mod storage;
#[cfg(test)]
mod tests;
mod workloads;

pub use delete::{grace_period_seconds, orphans_dependents_by_default};
pub use prepare::{complete_name, prepare_for_create, prepare_for_update};

use crate::kind::KindRef;
use mainstay_machinery::validate::{NameRule, name_is_dns_subdomain};
use serde_json::Value;

/// Who writes, and when.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// RFC 3339 with seconds, UTC: `2026-01-02T03:04:05Z`.
    pub now: &'a str,
    pub user: User<'a>,
}

/// The authenticated user behind a request.
#[derive(Clone, Debug, Default)]
pub struct User<'a> {
    pub name: &'a str,
    pub uid: &'a str,
    pub groups: &'a [String],
    pub extra: &'a [(String, Vec<String>)],
}

/// Which part of an object an update goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Main,
    Status,
    /// `namespaces/finalize`
    Finalize,
    /// `certificatesigningrequests/approval`
    Approval,
    /// `pods/ephemeralcontainers`
    EphemeralContainers,
    /// `pods/resize`
    Resize,
}

impl Part {
    /// Reads the name of a subresource; "" is the object itself. Subresources that are no part of
    /// the object (`log`, `scale`, …) have no `Part`.
    #[must_use]
    pub fn parse(subresource: &str) -> Option<Part> {
        Some(match subresource {
            "" => Part::Main,
            "status" => Part::Status,
            "finalize" => Part::Finalize,
            "approval" => Part::Approval,
            "ephemeralcontainers" => Part::EphemeralContainers,
            "resize" => Part::Resize,
            _ => return None,
        })
    }
}

/// When `metadata.generation` rises.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Generation {
    /// Never set.
    None,
    /// 1 from creation on, never raised.
    One,
    /// 1 at creation, then raised when one of these places changes.
    Of(&'static [&'static str]),
    /// Not set at creation, but raised when one of these places changes.
    LaterOf(&'static [&'static str]),
    /// Like `Of`, for everything but metadata, and for labels.
    Everything,
}

/// What becomes of `status` in writes to the object itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    /// The kind has none that is apart.
    None,
    /// Creation sets it to this JSON, updates keep it.
    Initial(&'static str),
    /// Creation takes what the client sent, updates keep it.
    AsCreated,
}

/// What writes to the status may do to metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusMeta {
    /// Change it like any write.
    Open,
    /// Everything but labels.
    KeepLabels,
    /// Nothing a user can set: labels, annotations, finalizers and owners stay.
    Keep,
}

type CreateHook = fn(&mut Value, &Context<'_>);
type UpdateHook = fn(&mut Value, &Value, Part, &Context<'_>);

/// How objects of one kind are written.
#[derive(Debug)]
pub struct Strategy {
    group: &'static str,
    kind: &'static str,
    name: NameRule,
    generation: Generation,
    status: Status,
    status_meta: StatusMeta,
    create_on_update: bool,
    unconditional_update: bool,
    on_create: Option<CreateHook>,
    on_update: Option<UpdateHook>,
}

/// The rules of a kind that is not in the table.
static PLAIN: Strategy = Strategy::new("", "");

impl Strategy {
    const fn new(group: &'static str, kind: &'static str) -> Self {
        Strategy {
            group,
            kind,
            name: name_is_dns_subdomain,
            generation: Generation::None,
            status: Status::None,
            status_meta: StatusMeta::Open,
            create_on_update: false,
            unconditional_update: true,
            on_create: None,
            on_update: None,
        }
    }

    /// The rules of a kind, those of any version.
    #[must_use]
    pub fn of<'a>(kind: impl Into<KindRef<'a>>) -> &'static Strategy {
        let wanted = kind.into();
        let fits = |row: &&Strategy| row.kind == wanted.kind && row.group == wanted.group;
        rows::TABLE.iter().find(fits).unwrap_or(&PLAIN)
    }

    /// Which names objects may have.
    #[must_use]
    pub fn name_rule(&self) -> NameRule {
        self.name
    }

    /// Whether a PUT to a name that does not exist creates the object.
    #[must_use]
    pub fn allows_create_on_update(&self) -> bool {
        self.create_on_update
    }

    /// Whether a PUT may leave out `metadata.resourceVersion`.
    #[must_use]
    pub fn allows_unconditional_update(&self) -> bool {
        self.unconditional_update
    }
}
