//! Until when what was read counts although nobody asks again: as long as word of changes comes.
//!
//! Whoever follows a store extends it; whoever remembers what was read looks at it. Apart from both,
//! and from the reports themselves, since a report that does not come says nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Until when word of every change can be relied on. Clones share it.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The first millisecond in which it holds no more, in Unix milliseconds.
    until: AtomicU64,
    /// The same, and it stays so when it has ended.
    relied_on: AtomicU64,
    trouble: RwLock<Option<String>>,
}

impl Lease {
    /// One that always holds: every change is made by this very process.
    #[must_use]
    pub fn endless() -> Self {
        Self::until(u64::MAX, None)
    }

    /// One that does not hold, because of this.
    #[must_use]
    pub fn ended(trouble: &str) -> Self {
        Self::until(0, Some(trouble.to_owned()))
    }

    fn until(until: u64, trouble: Option<String>) -> Self {
        Self(Arc::new(Inner {
            until: AtomicU64::new(until),
            relied_on: AtomicU64::new(until),
            trouble: RwLock::new(trouble),
        }))
    }

    /// Tells whether it holds at a time, in Unix milliseconds.
    #[must_use]
    pub fn holds(&self, now: u64) -> bool {
        now < self.0.until.load(Ordering::Acquire)
    }

    /// The first millisecond in which it holds no more or held no more, in Unix milliseconds; 0 where it
    /// never did or was taken back.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.0.relied_on.load(Ordering::Acquire)
    }

    /// Why word does not come now, in words for operators; `None` where it does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.0.trouble.read();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets it hold until then: word came.
    pub(crate) fn extend(&self, until: u64) {
        self.0.relied_on.store(until, Ordering::Release);
        self.0.until.store(until, Ordering::Release);
        self.say(None);
    }

    /// Says why word does not come, and lets it run out.
    pub(super) fn run_out(&self, trouble: &str) {
        self.say(Some(trouble));
    }

    /// Says why word does not come, and that it has run out: it holds no more, whatever becomes of the
    /// clock.
    pub(super) fn ran_out(&self, trouble: &str) {
        self.0.until.store(0, Ordering::Release);
        self.say(Some(trouble));
    }

    /// Takes it back, as if it had never held.
    pub(super) fn take_back(&self, trouble: &str) {
        self.0.relied_on.store(0, Ordering::Release);
        self.ran_out(trouble);
    }

    fn say(&self, trouble: Option<&str>) {
        let said = self.0.trouble.write();
        *said.unwrap_or_else(PoisonError::into_inner) = trouble.map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_until_its_end_and_tells_why_it_may_not_go_on() {
        assert!(Lease::endless().holds(u64::MAX - 1));
        let lease = Lease::ended("not yet");
        assert!(!lease.holds(0));
        assert_eq!(lease.trouble().as_deref(), Some("not yet"));
        lease.extend(100);
        assert!(lease.holds(99) && !lease.holds(100));
        assert_eq!(lease.trouble(), None);
        lease.run_out("lost");
        assert!(lease.holds(99), "it runs out by itself");
        assert_eq!(lease.trouble().as_deref(), Some("lost"));
        lease.ran_out("lost for long");
        assert!(!lease.holds(0), "wherever a clock is set back to");
        assert_eq!(lease.end(), 100, "until then it was relied on");
        lease.extend(200);
        assert!(lease.holds(199));
        lease.take_back("another server");
        assert!(!lease.holds(99));
        assert_eq!(lease.end(), 0);
    }
}
