//! Where a command goes: to the one server, or to that of a cluster which has the key.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use redis::{Pipeline, Value};

use super::cluster::{self, Cluster};
use super::node::Node;
use super::script::{self, Call};
use super::{listing, reply};
use crate::store::{Cursor, Page, Replicas, StoreError};

/// All servers of a store. Clones share them.
#[derive(Clone)]
pub(super) enum Servers {
    One(Arc<Node>),
    Many(Arc<Cluster>),
}

impl Servers {
    /// Sends a command or script that is about one key; as [`Call::make`].
    pub(super) async fn make(&self, key: &str, call: &Call) -> Result<Value, StoreError> {
        match self {
            Self::One(node) => call.make(&node.link).await,
            Self::Many(cluster) => cluster.make(key, call).await,
        }
    }

    pub(super) async fn get(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let answers = match self {
            Self::One(node) => node.link.get(keys.iter()).await?,
            // Boxed, so that where there is one server nobody carries what many need.
            Self::Many(cluster) => Box::pin(cluster.get(keys)).await?,
        };
        let values = keys.iter().zip(answers);
        values.map(|(key, it)| reply::value(key, it)).collect()
    }

    /// Writes values with this lifetime in milliseconds, those of one server together.
    pub(super) async fn set_all(
        &self,
        values: &[(String, Bytes)],
        ttl: Option<u64>,
    ) -> Result<(), StoreError> {
        let written = |key: &str, answer| reply::done(key, answer).map(drop);
        match self {
            Self::One(node) => {
                let mut sets = Pipeline::with_capacity(values.len());
                for (key, value) in values {
                    sets.add_command(script::set(key, value, ttl));
                }
                let answers = node.link.ask(&sets).await?;
                let mut answers = values.iter().zip(answers);
                answers.try_for_each(|((key, _), answer)| written(key, answer))
            }
            Self::Many(cluster) => {
                let sets = values.iter().map(async |(key, value)| {
                    let set = Call::set(key, value, ttl);
                    written(key, cluster.make(key, &set).await?)
                });
                join_all(sets).await.into_iter().collect()
            }
        }
    }

    pub(super) async fn scan(
        &self,
        prefix: &str,
        cursor: Option<Cursor>,
    ) -> Result<Page, StoreError> {
        match self {
            Self::One(node) => {
                let cursor = cursor.map_or_else(|| "0".to_owned(), |Cursor(place)| place);
                reply::page(listing(prefix, &cursor).make(&node.link).await?)
            }
            Self::Many(cluster) => cluster.scan(prefix, cursor).await,
        }
    }

    pub(super) async fn confirm(&self, key: &str) -> Result<Replicas, StoreError> {
        match self {
            Self::One(node) => node.confirm(key).await,
            Self::Many(cluster) => cluster.confirm(key).await,
        }
    }

    pub(super) fn places(&self) -> Vec<String> {
        match self {
            Self::One(_) => vec![String::new()],
            Self::Many(cluster) => cluster.tags(),
        }
    }

    pub(super) fn share(&self, key: &str) -> &'static str {
        match self {
            Self::One(_) => "",
            Self::Many(_) => cluster::share(key),
        }
    }

    pub(super) fn shares(&self) -> Vec<&'static str> {
        match self {
            Self::One(_) => vec![""],
            Self::Many(_) => cluster::shares().collect(),
        }
    }

    pub(super) fn was_reached(&self) -> bool {
        match self {
            Self::One(node) => node.link.was_reached(),
            Self::Many(cluster) => cluster.was_reached(),
        }
    }

    pub(super) fn address(&self) -> String {
        match self {
            Self::One(node) => node.login.address(),
            Self::Many(cluster) => cluster.address(),
        }
    }
}
