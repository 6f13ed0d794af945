//! What a configuration as a whole has wrong, put together.

use crate::document::Problem;

/// Gives problems in the order of the lines, without what else is wrong with settings whose variables, of
/// which the first `unset` problems tell, could not be replaced.
pub(super) fn told_once(mut problems: Vec<Problem>, unset: usize) -> Vec<Problem> {
    let later = problems.split_off(unset);
    let is_new = |it: &Problem| !problems[..unset].iter().any(|unset| unset.key == it.key);
    let later: Vec<_> = later.into_iter().filter(is_new).collect();
    problems.extend(later);
    problems.sort_by_key(|it| it.line);
    problems
}

/// That a file cannot be read at all.
pub(super) fn unreadable(source: &str, error: &std::io::Error) -> Problem {
    Problem {
        source: source.to_owned(),
        line: None,
        key: String::new(),
        message: format!("cannot be read: {error}"),
    }
}
