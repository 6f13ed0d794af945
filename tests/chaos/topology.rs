//! How a store is laid out, and what may befall it where it is laid out so.

use std::fmt;

use super::plan::Fault;

/// How a store is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Topology {
    /// One Redis.
    Single,
    /// A Redis with a replica, and three sentinels.
    Sentinel,
    /// A Redis Cluster of three primaries with a replica each.
    Cluster,
}

impl Topology {
    pub(crate) const ALL: [Self; 3] = [Self::Single, Self::Sentinel, Self::Cluster];

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.to_string() == name)
    }

    /// What may befall it.
    pub(crate) fn faults(self) -> Vec<Fault> {
        let may = |fault: &Fault| match fault {
            Fault::FailedOver | Fault::Lost => self != Self::Single,
            // A node of a cluster does not take REPLICAOF.
            Fault::ReadOnly => self != Self::Cluster,
            _ => true,
        };
        Fault::ALL.into_iter().filter(may).collect()
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        })
    }
}
