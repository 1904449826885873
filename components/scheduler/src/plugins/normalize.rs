//! Scores of different plugins, brought to the same range.

use crate::limits::SCORE_MAX;

/// The highest becomes 100, the others their share of it.
pub(crate) fn normalize(scores: &mut [i64]) {
    let most = scores.iter().copied().max().unwrap_or(0);
    if most > 0 {
        for score in scores {
            *score = SCORE_MAX * *score / most;
        }
    }
}

/// The highest becomes 0; if all are zero, all become 100.
pub(crate) fn normalize_reversed(scores: &mut [i64]) {
    normalize(scores);
    for score in scores {
        *score = SCORE_MAX - *score;
    }
}
