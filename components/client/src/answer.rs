//! Answers that are no failures to who decides from what was seen a moment ago.

/// Whether an answer says that there is no such object.
#[must_use]
pub fn is_gone(error: &kube::Error) -> bool {
    has_code(error, 404)
}

/// Whether an answer says that what was seen is no longer so: an event about it is on its way.
#[must_use]
pub fn is_stale(error: &kube::Error) -> bool {
    has_code(error, 404) || is_conflict(error)
}

/// Whether an answer says that a name is taken, or that what was seen is another one by now.
#[must_use]
pub fn is_conflict(error: &kube::Error) -> bool {
    has_code(error, 409)
}

/// Whether a creation failed because there is an object of that name.
#[must_use]
pub fn already_exists(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == "AlreadyExists")
}

/// `None` when there is no such object any more.
///
/// # Errors
/// Any other answer.
pub fn unless_gone<T>(answer: kube::Result<T>) -> kube::Result<Option<T>> {
    unless(answer, is_gone)
}

/// `None` when what was seen is no longer so.
///
/// # Errors
/// Any other answer.
pub fn unless_stale<T>(answer: kube::Result<T>) -> kube::Result<Option<T>> {
    unless(answer, is_stale)
}

fn unless<T>(
    answer: kube::Result<T>,
    is_fine: impl Fn(&kube::Error) -> bool,
) -> kube::Result<Option<T>> {
    match answer {
        Err(error) if is_fine(&error) => Ok(None),
        answer => answer.map(Some),
    }
}

fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
