//! How an outcome was come by.

/// How an outcome was come by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CacheUse {
    /// From the cache.
    Hit,
    /// By verifying.
    Miss,
    /// From the cache, after its time, as the store fails.
    Stale,
    /// There was no credential to look up.
    None,
}

impl CacheUse {
    /// All of them, by their numbers.
    pub const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Stale, Self::None];

    /// Gives the name used in metrics and metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::None => "none",
        }
    }
}
