//! Claims that are granted once, over all processes: a one-time password that was taken is taken.

use std::time::Duration;

use crate::decision::Fault;
use crate::directory::{Directory, store_fault};
use crate::store::PutIf;

impl Directory {
    /// Claims what the parts name, for `ttl`: true for the first who does, and for nobody else until
    /// then. The parts stand nowhere; they may be secret.
    ///
    /// # Errors
    /// A fault when the store does not answer: nobody may count on it then, and it may be claimed.
    pub async fn claim_once(
        &self,
        platform: &str,
        parts: &[&[u8]],
        ttl: Duration,
    ) -> Result<bool, Fault> {
        let mut all = vec![platform.as_bytes(), b"once"];
        all.extend_from_slice(parts);
        // Under every pepper, oldest first: while peppers are changed, processes that have only one
        // in common still meet there.
        for digest in self.0.peppers.digests(&all).iter().rev() {
            let key = format!("pcu:o:{platform}:{digest}");
            let put = self.store().put(&key, b"1", PutIf::Absent, Some(ttl));
            if !put.await.map_err(store_fault)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::clock::Clock;
    use crate::credential::{Fingerprinter, Secret};
    use crate::directory::bench::Bench;
    use crate::directory::pepper::{MIN_PEPPER_BYTES, Peppers};
    use crate::proof::Prover;
    use crate::store::Store;
    use crate::store::embedded::Embedded;

    const TTL: Duration = Duration::from_secs(90);

    /// Processes with these peppers each, on one store.
    fn processes(peppers: &[&[u8]]) -> Vec<Directory> {
        let store: Arc<dyn Store> = Arc::new(Embedded::memory(Clock::system()).unwrap());
        let process = |fills: &&[u8]| {
            let keys = fills.iter().map(|it| Secret::new([*it; MIN_PEPPER_BYTES]));
            let peppers = Peppers::new(keys.collect()).unwrap();
            let prover = Prover::new(Fingerprinter::random().unwrap(), 1, 1).unwrap();
            Directory::new(Arc::clone(&store), peppers, prover, Clock::system())
        };
        peppers.iter().map(process).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_who_claim_the_same_at_once_in_two_processes_one_is_granted_it() {
        let of_two = processes(&[&[1], &[1]]);
        let mut racers = JoinSet::new();
        for racer in 0..100 {
            let directory = of_two[racer % 2].clone();
            racers.spawn(async move {
                let parts: [&[u8]; 2] = [b"totp", b"u 123456"];
                directory.claim_once("p", &parts, TTL).await.unwrap()
            });
        }
        let granted = racers.join_all().await.into_iter().filter(|it| *it);
        assert_eq!(granted.count(), 1);
    }

    #[tokio::test]
    async fn a_claim_is_for_its_platform_its_parts_and_its_time() {
        let bench = Bench::new();
        let claim = async |platform: &str, parts: &[&[u8]]| {
            let claimed = bench.directory.claim_once(platform, parts, TTL);
            claimed.await.unwrap()
        };
        assert!(claim("p", &[b"totp", b"u"]).await);
        assert!(!claim("p", &[b"totp", b"u"]).await);
        assert!(claim("q", &[b"totp", b"u"]).await);
        assert!(claim("p", &[b"totpu"]).await);
        bench.pass(TTL - Duration::from_secs(1));
        assert!(!claim("p", &[b"totp", b"u"]).await);
        bench.pass(Duration::from_secs(1));
        assert!(claim("p", &[b"totp", b"u"]).await);
    }

    #[tokio::test]
    async fn while_peppers_are_changed_it_is_still_granted_once() {
        for (one, other) in [
            (&[1][..], &[2, 1][..]),
            (&[2, 1], &[1]),
            (&[2, 1], &[2]),
            (&[2], &[2, 1]),
        ] {
            let processes = processes(&[one, other]);
            let mut granted = Vec::new();
            for process in &processes {
                granted.push(process.claim_once("p", &[b"x"], TTL).await.unwrap());
            }
            assert_eq!(granted, [true, false], "{one:?} {other:?}");
        }
    }
}
