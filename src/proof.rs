//! Proofs: "this secret matches that stored verifier", "this token is signed by that key". Pure
//! mathematics, so never stale.
//!
//! Apart from the outcome cache because nothing ever invalidates a proof: it spares Argon2id its
//! 20 ms and 19 MiB when every outcome has expired or was flushed. A proof admits nobody by
//! itself: whoever asks for one has just read the verifier from its record.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier, password_hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use crate::credential::{Fingerprint, Fingerprinter, Secret};
use crate::decision::{Dependency, Fault};

/// How many password hashes may wait for a core before further ones are refused with a fault: at
/// 20 ms each, what waits longer has missed its deadline anyway.
const QUEUE_PER_CORE: usize = 8;

/// The dearest Argon2id parameters that an imported hash may ask for; anything above would let one
/// record occupy the machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;

/// Proves secrets against stored verifiers, remembers what it proved, and bounds what proving costs.
#[derive(Clone, Debug)]
pub struct Prover(Arc<Inner>);

struct Inner {
    fingerprinter: Fingerprinter,
    proofs: Cache<u128, ()>,
    at_once: usize,
    cores: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// What an unknown user's password is compared with, so that it takes as long as a known one's.
    decoy: String,
    #[cfg(test)]
    computed: std::sync::atomic::AtomicU64,
}

/// What to do where the queue is full.
#[derive(Clone, Copy, Debug)]
enum Patience {
    Refuse,
    Wait,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover")
            .field("proofs", &self.proofs.entry_count())
            .finish_non_exhaustive()
    }
}

impl Prover {
    /// Remembers up to `capacity` proofs and hashes on at most `cores` threads at once.
    ///
    /// # Errors
    /// A fault where the operating system gives no randomness.
    pub fn new(fingerprinter: Fingerprinter, capacity: u64, cores: usize) -> Result<Self, Fault> {
        let at_once = cores.max(1);
        Ok(Self(Arc::new(Inner {
            fingerprinter,
            proofs: Cache::new(capacity),
            at_once,
            cores: Arc::new(Semaphore::new(at_once)),
            queue: Arc::new(Semaphore::new(at_once * (QUEUE_PER_CORE + 1))),
            decoy: decoy()?,
            #[cfg(test)]
            computed: Default::default(),
        })))
    }

    /// On how many threads it hashes at once, for whoever has many passwords to hash.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.0.at_once
    }

    /// Tells whether the password matches the stored Argon2 hash (PHC string). With no hash at all
    /// it works as hard and says no, so that time does not tell who exists.
    ///
    /// # Errors
    /// A fault when too many hashes wait already, or the stored hash cannot be read.
    pub async fn password(&self, password: &Secret, phc: Option<&str>) -> Result<bool, Fault> {
        let known = phc.is_some();
        let phc = phc.unwrap_or(&self.0.decoy);
        Ok(self.prove(password, phc, Patience::Refuse).await? && known)
    }

    /// Tells the same without memory: it is computed each time, and not remembered.
    ///
    /// # Errors
    /// As there.
    pub async fn password_afresh(
        &self,
        password: &Secret,
        phc: Option<&str>,
    ) -> Result<bool, Fault> {
        let known = phc.is_some();
        let phc = phc.unwrap_or(&self.0.decoy).to_owned();
        Ok(self.compute(password, phc, Patience::Refuse).await? && known)
    }

    /// Tells the same for provisioning, which waits for its turn however long.
    ///
    /// # Errors
    /// A fault when the stored hash cannot be read.
    pub async fn password_in_turn(&self, password: &Secret, phc: &str) -> Result<bool, Fault> {
        self.prove(password, phc, Patience::Wait).await
    }

    async fn prove(&self, password: &Secret, phc: &str, patience: Patience) -> Result<bool, Fault> {
        let phc = phc.to_owned();
        let key = self.key(password, &phc);
        if self.0.proofs.contains_key(&key.as_u128()) {
            return Ok(true);
        }
        let proven = self.compute(password, phc, patience).await?;
        // What did not match is not remembered: guesses would push out what did.
        if proven {
            self.0.proofs.insert(key.as_u128(), ());
        }
        Ok(proven)
    }

    async fn compute(
        &self,
        password: &Secret,
        phc: String,
        patience: Patience,
    ) -> Result<bool, Fault> {
        let password = password.clone();
        let verify = move || {
            let parsed = PasswordHash::new(&phc).map_err(|_| pool("a stored hash is not PHC"))?;
            match Argon2::default().verify_password(password.expose(), &parsed) {
                Ok(()) => Ok(true),
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(_) => Err(pool("a stored hash cannot be computed")),
            }
        };
        self.on_the_pool(patience, verify).await
    }

    /// How many hashes were computed.
    #[cfg(test)]
    pub(crate) fn computed(&self) -> u64 {
        self.0.computed.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Leaves no place for anybody to wait in, as long as what it gives is held.
    #[cfg(test)]
    pub(crate) fn fill(&self) -> impl Drop + '_ {
        let all = u32::try_from(self.0.queue.available_permits()).unwrap();
        self.0.queue.try_acquire_many(all).unwrap()
    }

    /// Hashes a password for the store: Argon2id with the OWASP minimum (19 MiB, 2 passes), as PHC.
    /// It waits for its turn however long.
    ///
    /// # Errors
    /// A fault when the machine fails.
    pub async fn hash_password(&self, password: &Secret) -> Result<String, Fault> {
        let password = password.clone();
        self.on_the_pool(Patience::Wait, move || hash(password.expose()))
            .await
    }

    /// Tells whether what `prove` proves holds, by memory where it was proven before. `parts` begin
    /// with the kind of statement and name everything else that it depends on.
    pub fn remembered(&self, parts: &[&[u8]], prove: impl FnOnce() -> bool) -> bool {
        let key = self.0.fingerprinter.of(parts).as_u128();
        if self.0.proofs.contains_key(&key) {
            return true;
        }
        let proven = prove();
        if proven {
            self.0.proofs.insert(key, ());
        }
        proven
    }

    fn key(&self, secret: &Secret, verifier: &str) -> Fingerprint {
        self.0
            .fingerprinter
            .of(&[b"proof", secret.expose(), verifier.as_bytes()])
    }

    async fn on_the_pool<T: Send + 'static>(
        &self,
        patience: Patience,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let queue = Arc::clone(&self.0.queue);
        let place = match patience {
            Patience::Refuse => queue
                .try_acquire_owned()
                .map_err(|_| pool("too many hashes are waiting"))?,
            Patience::Wait => queue
                .acquire_owned()
                .await
                .map_err(|_| pool("the pool is closed"))?,
        };
        let core = Arc::clone(&self.0.cores)
            .acquire_owned()
            .await
            .map_err(|_| pool("the pool is closed"))?;
        #[cfg(test)]
        self.0
            .computed
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let work = move || {
            // Until it is done, also where whoever asked has gone: nothing stops it, and it has its memory.
            let _held = (place, core);
            work()
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| pool("a hash was aborted"))?
    }
}

/// Tells why an imported Argon2 hash cannot be taken; `Ok` where it can.
///
/// # Errors
/// What is wrong with it, without the hash.
pub fn check_phc(phc: &str) -> Result<(), &'static str> {
    let parsed = PasswordHash::new(phc).map_err(|_| "not a PHC string")?;
    if parsed.algorithm.as_str() != "argon2id" || parsed.salt.is_none() || parsed.hash.is_none() {
        return Err("not a complete argon2id hash");
    }
    let params = Params::try_from(&parsed).map_err(|_| "unreadable Argon2 parameters")?;
    if params.m_cost() > MAX_MEMORY_KIB
        || params.t_cost() > MAX_PASSES
        || params.p_cost() > MAX_LANES
    {
        return Err("Argon2 parameters above 256 MiB, 16 passes or 16 lanes");
    }
    Ok(())
}

fn hash(password: &[u8]) -> Result<String, Fault> {
    let hashed = Argon2::default()
        .hash_password(password)
        .map_err(|_| pool("hashing failed"))?;
    Ok(hashed.to_string())
}

/// Makes what looks like a hash that is made here, and is nobody's: the salt and the hash are random. Nothing is computed
/// for it, since every start would wait for that and keep its memory.
fn decoy() -> Result<String, Fault> {
    let (mut salt, mut output) = ([0; 16], [0; Params::DEFAULT_OUTPUT_LEN]);
    for bytes in [&mut salt[..], &mut output[..]] {
        getrandom::fill(bytes).map_err(|_| pool("no randomness"))?;
    }
    let params = Params::DEFAULT;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    let [salt, output] = [&salt[..], &output[..]].map(|it| STANDARD_NO_PAD.encode(it));
    Ok(format!(
        "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}"
    ))
}

fn pool(detail: &'static str) -> Fault {
    Fault::new(Dependency::PasswordHash, detail)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn prover() -> Prover {
        Prover::new(Fingerprinter::random().unwrap(), 100, 1).unwrap()
    }

    #[test]
    fn what_stands_for_an_unknown_users_hash_looks_like_one_and_takes_as_long() {
        let [decoy, hash] = [decoy().unwrap(), hash(b"a password").unwrap()];
        assert_eq!(decoy.len(), hash.len());
        let parameters = |it: &str| it.rsplitn(3, '$').nth(2).map(str::to_owned);
        assert_eq!(parameters(&decoy), parameters(&hash));
        assert_eq!(check_phc(&decoy), Ok(()));
        assert_ne!(decoy, super::decoy().unwrap());
    }

    #[tokio::test]
    async fn the_right_password_is_proven_and_no_other() {
        let prover = prover();
        let phc = prover
            .hash_password(&Secret::new(*b"openSesame"))
            .await
            .unwrap();
        for _ in ["computed", "remembered"] {
            assert!(
                prover
                    .password(&Secret::new(*b"openSesame"), Some(&phc))
                    .await
                    .unwrap()
            );
            assert!(
                !prover
                    .password(&Secret::new(*b"opensesame"), Some(&phc))
                    .await
                    .unwrap()
            );
            assert!(
                !prover
                    .password(&Secret::new(*b"openSesame"), None)
                    .await
                    .unwrap()
            );
        }
    }

    #[tokio::test]
    async fn a_hash_that_nobody_waits_for_any_more_has_its_core_until_it_is_done() {
        let prover = prover();
        let free = || {
            let Inner { cores, queue, .. } = &*prover.0;
            (cores.available_permits(), queue.available_permits())
        };
        let before = free();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let hash = prover.on_the_pool(Patience::Refuse, move || {
            begun.send(()).unwrap();
            ended.recv().unwrap();
            Ok(())
        });
        let mut hash = Box::pin(hash);
        let polled = std::future::poll_fn(|it| Poll::Ready(hash.as_mut().poll(it).is_pending()));
        assert!(polled.await);
        has_begun.recv().unwrap();
        drop(hash);
        assert_eq!(free(), (before.0 - 1, before.1 - 1));
        end.send(()).unwrap();
        prover.on_the_pool(Patience::Wait, || Ok(())).await.unwrap();
    }

    #[test]
    fn only_what_was_proven_is_remembered_and_only_for_the_same_parts() {
        let prover = prover();
        let never = || panic!("proven before");
        assert!(!prover.remembered(&[b"kind", b"ab"], || false));
        assert!(prover.remembered(&[b"kind", b"ab"], || true));
        assert!(prover.remembered(&[b"kind", b"ab"], never));
        assert!(!prover.remembered(&[b"kind", b"a", b"b"], || false));
        assert!(!prover.remembered(&[b"other", b"ab"], || false));
    }

    #[tokio::test]
    async fn a_full_queue_is_a_fault_not_a_verdict() {
        let prover = prover();
        let _all = prover
            .0
            .queue
            .acquire_many(QUEUE_PER_CORE as u32 + 1)
            .await
            .unwrap();
        let fault = prover
            .password(&Secret::new(*b"x"), None)
            .await
            .unwrap_err();
        assert_eq!(fault.dependency(), Dependency::PasswordHash);
    }

    #[test]
    fn imported_hashes_are_bounded() {
        let phc = |params: &str| {
            format!(
                "$argon2id$v=19${params}$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
            )
        };
        assert_eq!(check_phc(&phc("m=19456,t=2,p=1")), Ok(()));
        assert!(check_phc(&phc("m=4194304,t=2,p=1")).is_err());
        assert!(check_phc(&phc("m=19456,t=999,p=1")).is_err());
        assert!(check_phc(&phc("m=19456,t=2,p=1").replace("argon2id", "argon2d")).is_err());
        assert!(check_phc("$2y$10$abc").is_err());
        assert!(check_phc("hunter2").is_err());
    }
}
