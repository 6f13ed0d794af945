//! Every step of one decision, made for whoever asks why.
//!
//! It puts the very gate of the RPC before the directory in use, asks it once and listens. Nothing
//! that was decided before counts, and nothing that it decides is remembered or changes anything:
//! its store only reads. It decides nothing itself, and what is shown as the answer is read out of
//! the message that Envoy would get. A credential is known here by its place and its length.

pub mod report;

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::assertion::Assertions;
use crate::authenticator::Authenticator;
use crate::cache::{Cache, Limits};
use crate::credential::Fingerprinter;
use crate::directory::Directory;
use crate::envoy::OnFault;
use crate::envoy::view;
use crate::explain::report::{Report, Setting};
use crate::gate::{Decision, Gate};
use crate::keys::asserting::AssertionKeys;
use crate::platform::Platforms;
use crate::request::{ClientAddress, RequestView};
use crate::store::recorded::{Read, Recorded};
use crate::trace::{Step, Trace};

/// A decision that is explained stands on no other.
const KEEP_NOTHING: Limits = Limits {
    capacity: 0,
    ttl: Duration::ZERO,
    denial_capacity: 0,
    denial_ttl: Duration::ZERO,
    stale_if_fault: Duration::ZERO,
};

/// Explains decisions about a directory, also one that a server has in use.
#[derive(Clone, Debug)]
pub struct Explainer {
    /// The directory, as those who decide have it.
    pub directory: Directory,
    /// The platforms.
    pub platforms: Platforms,
    /// Makes fingerprints.
    pub fingerprinter: Fingerprinter,
    /// How the client's address is known.
    pub client_address: Option<ClientAddress>,
    /// What assertions are signed with.
    pub assertion_keys: AssertionKeys,
    /// What a fault becomes.
    pub on_fault: OnFault,
}

impl Explainer {
    /// Decides the `CheckRequest` as the Check RPC does, but for its deadline: whoever asks why can
    /// wait.
    pub async fn explain(&self, message: Bytes) -> Report {
        let (gate, minutes) = self.open();
        let (decision, request) = match view::view(&message) {
            Ok(request) => (gate.decide(&request, &minutes).await, Some(request)),
            Err(denial) => (Decision::early(None, denial), None),
        };
        let setting = Setting {
            client_address: self.client_address,
            on_fault: self.on_fault,
            now: self.directory.clock().now(),
        };
        let nothing = RequestView::default();
        let request = request.as_ref().ok_or(&nothing);
        Report::of(request, &minutes.close(), decision, setting)
    }

    /// Opens a gate for one decision, and the minutes of it.
    fn open(&self) -> (Gate, Minutes) {
        let store = Arc::new(Recorded::new(self.directory.shared_store()));
        let directory = self.directory.over(store.clone());
        let cache = Cache::new(KEEP_NOTHING, directory.clone());
        let fingerprinter = self.fingerprinter.clone();
        let keys = self.assertion_keys.clone();
        let platforms = self.platforms.clone();
        let assertions = Assertions::new(keys, fingerprinter.clone(), &platforms, 0);
        let authenticator =
            Authenticator::new(directory, cache, fingerprinter, (&platforms, 0), None);
        let gate = Gate::new(platforms, authenticator, self.client_address, assertions);
        let written = Mutex::default();
        (gate, Minutes { store, written })
    }
}

/// A step, with the records that were read since the one before.
pub type Minute = (Step, Vec<Read>);

/// Writes down what is done, in order.
#[derive(Debug)]
struct Minutes {
    store: Arc<Recorded>,
    written: Mutex<Vec<Minute>>,
}

impl Minutes {
    fn close(&self) -> Vec<Minute> {
        mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Trace for Minutes {
    fn step(&self, step: impl FnOnce() -> Step) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push((step(), self.store.take()));
    }
}
