//! Until when what was read counts although nobody asks again: as long as word of changes comes.
//!
//! Whoever follows a store extends it; whoever remembers what was read looks at it. Apart from both,
//! and from the reports themselves, since a report that does not come says nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

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
    /// What it is a part of.
    joint: Option<Weak<Parts>>,
}

/// A lease that holds while each of its parts does: word comes from several places.
#[derive(Debug)]
pub(super) struct JointLease(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    whole: Lease,
    parts: Mutex<Vec<Lease>>,
}

impl JointLease {
    /// One that does not hold, because of this; it has no parts yet.
    pub(super) fn ended(trouble: &str) -> Self {
        let (whole, parts) = (Lease::ended(trouble), Mutex::default());
        Self(Arc::new(Parts { whole, parts }))
    }

    /// The lease itself, which is looked at like any other.
    pub(super) fn whole(&self) -> &Lease {
        &self.0.whole
    }

    /// Makes a part, which does not hold and does not count yet.
    pub(super) fn part(&self, trouble: &str) -> Lease {
        Lease::until(0, Some(trouble.to_owned()), Some(Arc::downgrade(&self.0)))
    }

    /// Has it hold while these do, and says so at once.
    pub(super) fn consist_of(&self, parts: Vec<Lease>) {
        *self.0.parts() = parts;
        self.0.combine();
    }
}

impl Parts {
    fn parts(&self) -> std::sync::MutexGuard<'_, Vec<Lease>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the whole up to date. Whoever changes a part calls it after, and one does it at a time, so that the last has
    /// seen all.
    fn combine(&self) {
        let parts = self.parts();
        let least = |of: fn(&Inner) -> &AtomicU64| {
            let all = parts.iter().map(|it| of(&it.0).load(Ordering::Acquire));
            all.min().unwrap_or(0)
        };
        let whole = &self.whole.0;
        let (until, relied_on) = (least(|it| &it.until), least(|it| &it.relied_on));
        whole.relied_on.store(relied_on, Ordering::Release);
        whole.until.store(until, Ordering::Release);
        let trouble = parts.iter().find_map(Lease::trouble);
        if !parts.is_empty() && self.whole.trouble() != trouble {
            self.whole.say(trouble.as_deref());
        }
    }
}

impl Lease {
    /// One that always holds: every change is made by this very process.
    #[must_use]
    pub fn endless() -> Self {
        Self::until(u64::MAX, None, None)
    }

    /// One that does not hold, because of this.
    #[must_use]
    pub fn ended(trouble: &str) -> Self {
        Self::until(0, Some(trouble.to_owned()), None)
    }

    fn until(until: u64, trouble: Option<String>, joint: Option<Weak<Parts>>) -> Self {
        Self(Arc::new(Inner {
            until: AtomicU64::new(until),
            relied_on: AtomicU64::new(until),
            trouble: RwLock::new(trouble),
            joint,
        }))
    }

    /// Tells whether it holds at a time, in Unix milliseconds.
    #[must_use]
    pub fn holds(&self, now: u64) -> bool {
        now < self.0.until.load(Ordering::Acquire)
    }

    /// Tells whether it holds at a time, in Unix milliseconds, and word comes at present, as far as that is known.
    #[must_use]
    pub fn is_told(&self, now: u64) -> bool {
        let trouble = self.0.trouble.read();
        self.holds(now) && trouble.unwrap_or_else(PoisonError::into_inner).is_none()
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
    pub(crate) fn run_out(&self, trouble: &str) {
        self.say(Some(trouble));
    }

    /// Says that it has run out: it holds no more, whatever becomes of the clock.
    pub(super) fn ran_out(&self) {
        self.0.until.store(0, Ordering::Release);
        self.combine();
    }

    /// Takes it back, as if it had never held.
    pub(super) fn take_back(&self, trouble: &str) {
        self.0.relied_on.store(0, Ordering::Release);
        self.0.until.store(0, Ordering::Release);
        self.say(Some(trouble));
    }

    fn say(&self, trouble: Option<&str>) {
        let said = self.0.trouble.write();
        *said.unwrap_or_else(PoisonError::into_inner) = trouble.map(str::to_owned);
        self.combine();
    }

    /// Tells what it is a part of.
    fn combine(&self) {
        if let Some(joint) = self.0.joint.as_ref().and_then(Weak::upgrade) {
            joint.combine();
        }
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
        assert!(lease.is_told(99) && !lease.is_told(100));
        assert_eq!(lease.trouble(), None);
        lease.run_out("lost");
        assert!(lease.holds(99), "it runs out by itself");
        assert!(!lease.is_told(99));
        assert_eq!(lease.trouble().as_deref(), Some("lost"));
        lease.ran_out();
        assert!(!lease.holds(0), "wherever a clock is set back to");
        assert_eq!(lease.end(), 100, "until then it was relied on");
        lease.extend(200);
        assert!(lease.holds(199));
        lease.take_back("another server");
        assert!(!lease.holds(99));
        assert_eq!(lease.end(), 0);
    }

    #[test]
    fn one_of_parts_holds_while_each_of_them_does() {
        let joint = JointLease::ended("not reached");
        let (a, b) = (joint.part("a is new"), joint.part("b is new"));
        a.extend(100);
        assert_eq!(joint.whole().trouble().as_deref(), Some("not reached"));
        joint.consist_of(vec![a.clone(), b.clone()]);
        let whole = joint.whole().clone();
        assert!(!whole.holds(0));
        assert_eq!(whole.trouble().as_deref(), Some("b is new"));
        b.extend(200);
        assert!(whole.holds(99) && !whole.holds(100));
        assert_eq!((whole.end(), whole.trouble()), (100, None));
        a.extend(300);
        assert!(whole.holds(199) && !whole.holds(200));
        b.ran_out();
        assert!(!whole.holds(0));
        assert_eq!(whole.end(), 200, "until then it was relied on");
        b.take_back("b is a replica");
        assert_eq!(whole.end(), 0);
        // What is no part any more does not count.
        let c = joint.part("c is new");
        joint.consist_of(vec![a, c.clone()]);
        b.extend(400);
        assert!(!whole.holds(0));
        c.extend(400);
        assert!(whole.holds(299) && !whole.holds(300));
        assert_eq!(whole.trouble(), None);
    }
}
