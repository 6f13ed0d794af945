//! From a key to the server that has it, also while slots go from one to another.
//!
//! A server that has not the key's slot says where it is (MOVED), and one that is giving it away and has not the
//! key says who may (ASK). Either is followed once, and to no server but one that is followed already: an answer of another could
//! become untrue with nobody hearing of it. What is sent elsewhere a second time is a fault, as is a slot that nobody has; an
//! absent key is only what a server that has its slot says is absent.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Pipeline, Value};

use super::view::Place;
use super::{Cluster, Map, slot};
use crate::store::redis::node::Node;
use crate::store::redis::script::Call;
use crate::store::{Replicas, StoreError};

/// Where a server sends a command.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Elsewhere {
    /// This slot is there.
    Moved(u16, Place),
    /// The slot is on its way there, and the key is if it is at all.
    Ask(Place),
}

impl Elsewhere {
    /// Reads `MOVED SLOT HOST:PORT` or the same with ASK; without a host it is that of the server that `said` so.
    fn read(answer: &Value, said: &Place) -> Option<Self> {
        let Value::ServerError(error) = answer else {
            return None;
        };
        let (slot, address) = error.details()?.split_once(' ')?;
        let (host, port) = address.rsplit_once(':')?;
        let host = match host {
            "" | "?" => &said.host,
            host => host,
        };
        let place = Place {
            host: host.to_owned(),
            port: port.parse().ok()?,
        };
        match error.code() {
            "MOVED" => Some(Self::Moved(slot.parse().ok()?, place)),
            "ASK" => Some(Self::Ask(place)),
            _ => None,
        }
    }
}

impl Map {
    /// Gives the index of the server that has a key.
    fn index(&self, key: &str) -> Result<usize, StoreError> {
        let slot = slot::slot(key);
        let owner = self.layout.owner(slot);
        owner.ok_or_else(|| {
            StoreError::Unavailable(format!("no server of its cluster has slot {slot}"))
        })
    }

    pub(super) fn node(&self, index: usize) -> Result<(&Place, &Arc<Node>), StoreError> {
        let found = self.layout.places.get(index).zip(self.nodes.get(index));
        found.ok_or_else(|| StoreError::Unavailable("its primaries have changed".to_owned()))
    }
}

impl Cluster {
    /// Sends a command or script to where its key is; as [`Call::make`].
    pub(in super::super) async fn make(&self, key: &str, call: &Call) -> Result<Value, StoreError> {
        let map = self.map().await?;
        let (place, node) = map.node(map.index(key)?)?;
        let answer = self.heed_failure(call.make(&node.link).await)?;
        self.follow(place, call, answer).await
    }

    /// Reads keys, from all their servers at once, and gives one answer to each, which may be an error of the server.
    pub(in super::super) async fn get(&self, keys: &[String]) -> Result<Vec<Value>, StoreError> {
        let map = self.map().await?;
        let mut by_node: Vec<Vec<usize>> = vec![Vec::new(); map.nodes.len()];
        for (number, key) in keys.iter().enumerate() {
            if let Some(numbers) = by_node.get_mut(map.index(key)?) {
                numbers.push(number);
            }
        }
        let asked = by_node.iter().enumerate();
        let asked = asked.filter(|(_, numbers)| !numbers.is_empty());
        let asked = asked.map(|(index, numbers)| self.get_from(&map, index, keys, numbers));
        let mut answers = vec![Value::Nil; keys.len()];
        let mut answered = 0;
        for group in join_all(asked).await {
            for (number, answer) in group? {
                answers[number] = answer;
                answered += 1;
            }
        }
        match answered == keys.len() {
            true => Ok(answers),
            false => Err(StoreError::Unavailable("no answer".to_owned())),
        }
    }

    async fn get_from(
        &self,
        map: &Map,
        index: usize,
        keys: &[String],
        numbers: &[usize],
    ) -> Result<Vec<(usize, Value)>, StoreError> {
        let (place, node) = map.node(index)?;
        let wanted = numbers.iter().map(|number| &keys[*number]);
        let answers = self.heed_failure(node.link.get(wanted).await)?;
        let answers = numbers.iter().zip(answers).map(async |(number, answer)| {
            // Made only where it is needed, which is seldom.
            let answer = match Elsewhere::read(&answer, place) {
                None => answer,
                Some(_) => {
                    let get = Call::command("GET").arg(&keys[*number]);
                    self.follow(place, &get, answer).await?
                }
            };
            Ok((*number, answer))
        });
        join_all(answers).await.into_iter().collect()
    }

    /// As [`crate::store::Store::confirm`]: of each primary's replicas, and the least of all, since what was written is on
    /// one of them.
    pub(in super::super) async fn confirm(&self, key: &str) -> Result<Replicas, StoreError> {
        let map = self.map().await?;
        let all = map.places().map(async |(tag, node)| {
            let key = format!("{key}{tag}");
            node.confirm(&key).await
        });
        let mut least: Option<Replicas> = None;
        for found in join_all(all).await {
            let found = self.heed_failure(found)?;
            least = Some(least.map_or(found, |it| Replicas {
                connected: it.connected.min(found.connected),
                confirmed: it.confirmed.min(found.confirmed),
            }));
        }
        Ok(least.unwrap_or_default())
    }

    /// Where a server was not reached, another may have taken its place.
    pub(super) fn heed_failure<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(done, Err(StoreError::Unavailable(_))) {
            self.wake.notify_one();
        }
        done
    }

    /// Goes where the answer of the server at `said` says, if it does.
    async fn follow(
        &self,
        said: &Place,
        call: &Call,
        mut answer: Value,
    ) -> Result<Value, StoreError> {
        let mut said = said.clone();
        let (mut moved, mut asked) = (false, false);
        while let Some(elsewhere) = Elsewhere::read(&answer, &said) {
            let (place, is_again) = match &elsewhere {
                Elsewhere::Moved(_, place) => (place, std::mem::replace(&mut moved, true)),
                Elsewhere::Ask(place) => (place, std::mem::replace(&mut asked, true)),
            };
            if is_again {
                break;
            }
            let node = self.known(&said, &elsewhere).await?;
            answer = self.heed_failure(match elsewhere {
                Elsewhere::Moved(..) => call.make(&node.link).await,
                Elsewhere::Ask(_) => call.make_asking(&node.link).await,
            })?;
            said = place.clone();
        }
        Ok(answer)
    }

    /// Gives the server that another sends a command to, after that one was asked who has which slots where it knows better.
    async fn known(&self, said: &Place, elsewhere: &Elsewhere) -> Result<Arc<Node>, StoreError> {
        let is_news = |map: &Map| match elsewhere {
            Elsewhere::Moved(slot, place) => {
                let index = map.layout.index(place);
                index.is_none() || map.layout.owner(*slot) != index
            }
            Elsewhere::Ask(place) => map.at(place).is_none(),
        };
        if is_news(&*self.map().await?) {
            self.learn(said).await;
        }
        let (Elsewhere::Moved(_, place) | Elsewhere::Ask(place)) = elsewhere;
        let map = self.map().await?;
        map.at(place).cloned().ok_or_else(|| {
            StoreError::Unavailable(format!(
                "{said}: it sends commands to {place}, which it does not tell of as a primary"
            ))
        })
    }

    /// Asks a server who has which slots, unless others have it asked meanwhile.
    pub(super) async fn learn(&self, from: &Place) {
        let ask = async {
            let map = self.status.borrow().map.clone();
            let Some(node) = map.as_ref().and_then(|it| it.at(from)) else {
                return;
            };
            let mut nodes = Pipeline::with_capacity(1);
            nodes.cmd("CLUSTER").arg("NODES");
            if let Ok(answer) = node.link.ask_one(&nodes).await {
                self.heed(from, &answer);
            }
        };
        self.learning.take(from, ask).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_command_is_sent_is_read_from_the_error_alone() {
        let place = |host: &str| Place {
            host: host.to_owned(),
            port: 6381,
        };
        let said = place("said");
        for (answer, want) in [
            (
                "-MOVED 3999 10.0.0.1:6381",
                Some(Elsewhere::Moved(3999, place("10.0.0.1"))),
            ),
            (
                "-MOVED 3999 ::1:6381",
                Some(Elsewhere::Moved(3999, place("::1"))),
            ),
            (
                "-MOVED 3999 :6381",
                Some(Elsewhere::Moved(3999, said.clone())),
            ),
            ("-ASK 3999 ?:6381", Some(Elsewhere::Ask(said.clone()))),
            ("-ASK 3999 host:6381", Some(Elsewhere::Ask(place("host")))),
            ("-MOVED 3999", None),
            ("-MOVED 3999 host:none", None),
            ("-TRYAGAIN in a 7:7", None),
            ("-CLUSTERDOWN Hash slot not served", None),
            ("+MOVED 3999 host:6381", None),
            ("$-1", None),
        ] {
            let value = redis::parse_redis_value(format!("{answer}\r\n").as_bytes());
            let value = value.expect("an answer");
            assert_eq!(Elsewhere::read(&value, &said), want, "{answer}");
        }
    }
}
