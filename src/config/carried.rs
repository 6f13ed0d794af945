//! What goes on from one configuration to the next: what was made for this run, and who is asked.
//!
//! A key that no file holds must not be another after a reload, or what it signed would be nobody's.

use crate::config::Config;
use crate::credential::Secret;
use crate::directory::pepper::Peppers;
use crate::keys::asserting::AssertionKeys;
use crate::keys::sets::KeySets;
use crate::keys::signing::SigningKeys;
use crate::outbound::Outbound;

/// What goes on. A configuration that is the first takes nothing over.
#[derive(Clone, Debug, Default)]
pub(super) struct Carried {
    /// What the store is written under, where no files are named.
    pub(super) peppers: Option<Peppers>,
    /// What tokens are signed with, likewise.
    pub(super) signing: Option<SigningKeys>,
    /// What assertions are signed with, likewise.
    pub(super) assertion_keys: Option<AssertionKeys>,
    /// How others are asked.
    pub(super) asking: Option<Asking>,
    /// What issuers said, as they were asked.
    pub(super) key_sets: KeySets,
}

/// How others are asked, and by what settings.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) in_flight: usize,
    pub(super) ca: Option<Secret>,
    pub(super) outbound: Outbound,
}

impl Config {
    /// The key sets of issuers that are fetched.
    #[must_use]
    pub fn issuers(&self) -> KeySets {
        self.carried.key_sets.clone()
    }
}

impl Carried {
    /// Takes what asks others, unless there is one by the same settings. What was said to one that
    /// trusts others counts no more.
    pub(super) fn ask_by(
        &mut self,
        in_flight: usize,
        ca: Option<Secret>,
    ) -> Result<Outbound, String> {
        if let Some(it) = &self.asking
            && (it.in_flight, &it.ca) == (in_flight, &ca)
        {
            return Ok(it.outbound.clone());
        }
        let outbound = Outbound::new(in_flight, ca.as_ref().map(Secret::expose))?;
        self.key_sets = KeySets::default();
        self.asking = Some(Asking {
            in_flight,
            ca,
            outbound: outbound.clone(),
        });
        Ok(outbound)
    }
}
