//! Doing the same thing many times, carefully at first.

use futures_util::future::join_all;

use crate::limits::FIRST_BATCH;

/// Calls `one` up to `count` times: one call first, then two at a time, then four and so on, until a batch has a
/// failure. Whatever makes all of them fail (a quota, say) is then asked once, not `count` times. Returns how many
/// succeeded and the first error; calls that were not made are the rest.
pub(crate) async fn slow_start<E, W>(count: usize, one: impl Fn() -> W) -> (usize, usize, Option<E>)
where
    W: Future<Output = Result<(), E>>,
{
    let mut succeeded = 0;
    let mut tried = 0;
    let mut batch = FIRST_BATCH.min(count);
    while batch > 0 {
        let answers = join_all((0..batch).map(|_| one())).await;
        tried += batch;
        let mut error = None;
        for answer in answers {
            match answer {
                Ok(()) => succeeded += 1,
                Err(e) => error = error.or(Some(e)),
            }
        }
        if error.is_some() {
            return (succeeded, tried, error);
        }
        batch = (2 * batch).min(count - tried);
    }
    (succeeded, tried, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn batches_double_and_the_first_that_fails_is_the_last() {
        // Calls, calls that succeed, expected: succeeded, tried.
        for (count, good, succeeded, tried) in [
            (0, 0, 0, 0),
            (1, 1, 1, 1),
            (10, 10, 10, 10),
            (10, 0, 0, 1),
            (10, 2, 2, 3),
            (500, 6, 6, 7),
        ] {
            let calls = Cell::new(0);
            let one = || {
                calls.set(calls.get() + 1);
                std::future::ready(if calls.get() <= good {
                    Ok(())
                } else {
                    Err("no")
                })
            };
            let (s, t, error) = slow_start(count, one).await;
            assert_eq!((s, t), (succeeded, tried), "{count} with {good} good ones");
            assert_eq!(error.is_some(), good < count);
        }
    }
}
