//! The product as its users meet it: a client, a real Envoy, `portcullis serve`, and an application behind.
//!
//! Nearly every test is a table of requests, each with all that the application must see of it or all that the client
//! must be answered: `envoy/table.rs` explains how to read one, and `envoy/tables.rs` lists them with the stores that
//! they are tried on. The configuration and the directory are in `tests/support/sample/`. What only a broken or a
//! hostile Envoy could send is in `tests/check.rs`.

mod support;

/// In `tests/envoy/`.
mod envoy {
    mod advisories;
    mod assertions;
    mod attacks;
    mod bad_logins;
    mod crossbar;
    mod deployment;
    mod door;
    mod ends;
    mod facebook;
    mod factors;
    mod flows;
    mod forged;
    mod infobip;
    mod issuing;
    mod key_names;
    mod keys;
    mod limits;
    mod lives;
    mod logins;
    mod mesh;
    mod mine;
    mod oauth2;
    mod opentact;
    mod opentact_auth;
    mod paths;
    mod readings;
    mod redis;
    mod security;
    mod sessions;
    mod spoofs;
    mod table;
    mod tables;
    mod tokens;
    mod twins;
    mod vectors;
}
