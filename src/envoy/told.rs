//! Which faults are logged: some of them, so that an outage is told and does not flood.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::decision::Dependency;

/// When faults were last logged.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashMap<Dependency, (u64, u64)>>);

impl Told {
    /// Takes note of a fault. Gives how many were not logged before it, if it is to be logged.
    pub(super) fn another(&self, dependency: Dependency, second: u64) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.get_mut(&dependency) {
            Some((last, left_out)) if *last == second => {
                *left_out += 1;
                None
            }
            _ => Some(told.insert(dependency, (second, 0)).map_or(0, |it| it.1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_a_second_with_how_many_there_were() {
        let told = Told::default();
        assert_eq!(told.another(Dependency::Store, 1), Some(0));
        assert_eq!(told.another(Dependency::Store, 1), None);
        assert_eq!(told.another(Dependency::Deadline, 1), Some(0));
        assert_eq!(told.another(Dependency::Store, 1), None);
        assert_eq!(told.another(Dependency::Store, 2), Some(2));
    }
}
