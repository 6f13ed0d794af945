//! Portcullis: the authorization service that Envoy asks.
