//! The plugins in order.

use std::sync::Arc;

use mainstay_apistore::Failure;
use mainstay_auth::Authorizer;
use mainstay_auth::rbac::RbacAuthorizer;
use mainstay_machinery::status::StatusError;
use serde_json::Value;

use super::{Attempt, Lookup, Operation};
use super::{
    lifecycle, limits, pods, priority, references, resize, service_account, storage, tolerations,
};
use crate::services::Allocators;

/// All of them.
pub(crate) struct Admission {
    pub(crate) lookup: Lookup,
    pub(crate) allocators: Allocators,
    pub(crate) rbac: Arc<RbacAuthorizer>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
}

/// What was taken for an object on its way (an address, a port): given back unless the object is written.
#[derive(Debug, Default)]
pub(crate) struct Claims(Vec<crate::services::Claim>);

impl Claims {
    pub(crate) fn new(claims: Vec<crate::services::Claim>) -> Self {
        Self(claims)
    }

    /// The object is being written: from now on its claims are only given back by who knows that it was not.
    pub(crate) fn send(self) -> SentClaims {
        SentClaims(
            self.0
                .into_iter()
                .map(crate::services::Claim::send)
                .collect(),
        )
    }

    /// The object is not written. Waits until what was taken is free, since another attempt may follow.
    pub(crate) async fn give_back(self) {
        self.send().give_back().await;
    }
}

/// Claims of an object that may be written by now.
#[must_use]
pub(crate) struct SentClaims(Vec<crate::services::Sent>);

impl SentClaims {
    /// After a write: gives them back if it certainly had no effect.
    pub(crate) async fn settle<T>(self, written: &Result<T, Failure>, done: impl Fn(&T) -> bool) {
        let failed = match written {
            Ok(outcome) => !done(outcome),
            Err(e) => !e.is_unknown(),
        };
        if failed {
            self.give_back().await;
        }
    }

    async fn give_back(self) {
        for claim in self.0 {
            claim.give_back().await;
        }
    }
}

impl Admission {
    /// Fills in what depends on other objects.
    pub(crate) async fn mutate(
        &self,
        attempt: &mut Attempt<'_>,
        object: &mut Value,
    ) -> Result<Claims, StatusError> {
        lifecycle::check(&self.lookup, attempt).await?;
        if attempt.is("", "pods") && attempt.operation == Operation::Create {
            service_account::admit(&self.lookup, attempt, object).await?;
            priority::admit(&self.lookup, attempt, object).await?;
            pods::runtime_class(&self.lookup, attempt, object).await?;
        }
        if attempt.is("", "pods") {
            tolerations::admit(object);
        }
        if attempt.is("", "nodes") && attempt.operation == Operation::Create {
            pods::taint_new_node(object);
        }
        limits::set_defaults(&self.lookup, attempt, object)?;
        storage::admit(&self.lookup, attempt, object)?;
        self.allocators.admit(attempt, object).await
    }

    /// Refuses what may not be, now that the object is complete. A deletion has no object.
    pub(crate) async fn validate(
        &self,
        attempt: &mut Attempt<'_>,
        object: &Value,
    ) -> Result<(), StatusError> {
        if attempt.operation == Operation::Delete {
            lifecycle::check_delete(attempt)?;
        }
        self.secure(attempt, object).await?;
        if attempt.operation == Operation::Delete {
            return Ok(());
        }
        limits::check_ranges(&self.lookup, attempt, object)?;
        resize::check(&self.lookup, attempt, object).await?;
        references::check(&self.lookup, attempt, object).await?;
        priority::check(&self.lookup, attempt, object).await?;
        limits::charge(&self.lookup, attempt, object).await
    }
}
