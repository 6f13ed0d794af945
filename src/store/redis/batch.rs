//! Reads that are sent together.
//!
//! Many verdicts read at one time, and much of what they read is the same: each asks for the platform's record and for the
//! check values. So whoever reads waits until its thread has nothing else to do (or has done a few dozen things), or enough
//! others do the same; then one pipeline asks for it all. What is wanted later does not wait for those answers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, Pipeline, Value};
use tokio::sync::oneshot;
use tokio::task;

use super::link::Link;
use crate::store::StoreError;

/// How many readers go together: their answers come in one piece, or are late in one.
const READERS_MAX: usize = 16;
/// Who wants more keys goes alone, so that others need not wait for so many answers.
const KEYS_MAX: usize = 8;

/// Those who are about to read.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Reader>>);

struct Reader {
    keys: Vec<String>,
    told: oneshot::Sender<Result<Vec<Value>, StoreError>>,
}

impl Readers {
    fn waiting(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Reads keys together with whoever else reads now, and gives one answer to each, which may be an error of the server. A
    /// key is read no sooner than those before it.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub(super) async fn get<'k>(
        self: &Arc<Self>,
        keys: impl ExactSizeIterator<Item = &'k String>,
    ) -> Result<Vec<Value>, StoreError> {
        if keys.len() > KEYS_MAX {
            return self.ask(&gets(keys)).await;
        }
        let _place = self.place()?;
        let (told, answers) = oneshot::channel();
        let keys = keys.cloned().collect();
        let readers = {
            let mut waiting = self.readers.waiting();
            waiting.push(Reader { keys, told });
            waiting.len()
        };
        if readers == 1 || readers == READERS_MAX {
            let departure = Departure(Some(Arc::clone(self)));
            task::spawn(async move {
                if readers == 1 {
                    task::yield_now().await;
                }
                departure.leave().await;
            });
        }
        let cut_off = |_| Err(self.unavailable("a read was cut off"));
        answers.await.unwrap_or_else(cut_off)
    }

    async fn get_together(&self, readers: Vec<Reader>) {
        let (wanted, places) = order(&readers);
        let askers = u32::try_from(readers.len()).unwrap_or(u32::MAX);
        let gets = gets(wanted.iter().rev().copied());
        let mut answers = match self.ask_for(askers, &gets).await {
            Ok(answers) if answers.len() == wanted.len() => answers,
            // Nobody can tell whose they are: all are cut off.
            Ok(_) => return,
            Err(cause) => {
                for reader in readers {
                    let _ = reader.told.send(Err(cause.clone()));
                }
                return;
            }
        };
        answers.reverse();
        let mut times = vec![0; answers.len()];
        for place in &places {
            times[*place] += 1;
        }
        let mut given = places.into_iter().rev().map(|place| {
            times[place] -= 1;
            match times[place] {
                0 => mem::replace(&mut answers[place], Value::Nil),
                _ => answers[place].clone(),
            }
        });
        for Reader { keys, told } in readers {
            // Whoever has gone needs none.
            let _ = told.send(Ok(given.by_ref().take(keys.len()).collect()));
        }
    }
}

/// What all who are about to read wait for. Where it does not come about, since a runtime has ended, they are cut off.
struct Departure(Option<Arc<Link>>);

impl Departure {
    async fn leave(mut self) {
        let Some(link) = self.0.take() else { return };
        let mut readers = mem::take(&mut *link.readers.waiting());
        readers.retain(|it| !it.told.is_closed());
        if !readers.is_empty() {
            link.get_together(readers).await;
        }
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            link.readers.waiting().clear();
        }
    }
}

/// Gives the keys to read, from the last to the first, and where among these the keys of each reader stand, from the last
/// reader's last. A key is read once for all, but where one of them wants it before another that is read earlier: then again.
fn order(readers: &[Reader]) -> (Vec<&String>, Vec<usize>) {
    let most = readers.iter().map(|it| it.keys.len()).sum();
    let (mut wanted, mut places) = (Vec::with_capacity(most), Vec::with_capacity(most));
    let mut known = HashMap::with_capacity(most);
    for reader in readers.iter().rev() {
        let mut after = 0;
        for key in reader.keys.iter().rev() {
            after = match known.entry(key) {
                Entry::Occupied(it) if *it.get() >= after => *it.get(),
                it => {
                    wanted.push(key);
                    *it.insert_entry(wanted.len() - 1).get()
                }
            };
            places.push(after);
        }
    }
    (wanted, places)
}

fn gets<'k>(keys: impl ExactSizeIterator<Item = &'k String>) -> Pipeline {
    // Not MGET, which a Cluster refuses for keys that live apart, and which takes a key of another type for an absent one.
    const GET: &str = "GET";
    let mut gets = Pipeline::with_capacity(keys.len());
    for key in keys {
        let mut get = Cmd::with_capacity(2, GET.len() + key.len());
        get.arg(GET).arg(key);
        gets.add_command(get);
    }
    gets
}
