//! Every table, and the stores on which it is tried: one by one in memory, where a failure names its table, and all of
//! them on a file and (`redis.rs`) on a Redis.

use std::sync::OnceLock;

use crate::envoy::table::{Row, World};
use crate::support::sample::{CONFIG, DIRECTORY, on_store, start};

/// A table's name and what makes its rows.
pub(crate) type Table = (&'static str, fn() -> Vec<Row>);

/// Makes [`TABLES`], and the tests in memory. A table that is not named here is unused code, which clippy denies.
macro_rules! tables {
    ($($module:ident { $($table:ident)+ })+) => {
        pub(crate) const TABLES: &[Table] = &[
            $($((stringify!($table), crate::envoy::$module::$table),)+)+
        ];

        mod in_memory {
            $(mod $module {
                $(#[tokio::test]
                async fn $table() {
                    let rows = crate::envoy::$module::$table();
                    crate::envoy::tables::memory().check(stringify!($table), rows).await;
                })+
            })+
        }
    };
}

tables! {
    bad_logins {
        bodies_that_are_not_what_is_asked_for
        values_that_a_login_cannot_have
        what_cannot_be_set_or_done
    }
    crossbar {
        basic_credentials_are_an_account_and_the_configured_hash
        accounts_and_users_that_are_shut_do_not_get_in
        a_user_reaches_its_own_account_and_no_other
        what_is_public_needs_no_credential_and_takes_no_bad_one
    }
    door {
        a_context_of_a_clients_own_goes_nowhere
    }
    facebook {
        facebooks_tokens_stand_for_the_user_who_is_linked_and_nobody_else
    }
    infobip {
        basic_credentials_are_a_name_and_a_password_in_strict_base64
        lenient_base64_is_a_setting_and_never_takes_garbage
        api_keys_stand_behind_app_or_in_the_query
        operations_ask_for_a_scope_or_a_role_that_grants_it
        answers_come_as_xml_to_who_asks_for_it
    }
    keys {
        keys_of_another_account_are_not_there
    }
    lives {
        handles_say_nothing_and_stand_for_a_user_or_an_account
    }
    logins {
        users_log_in_to_an_account_by_whatever_names_it
        users_log_in_by_either_hash
        accounts_log_in_by_their_key
        who_does_not_get_in_is_told_nothing
        who_gets_in_is_told_what_is_shut_and_who_it_is
    }
    mine {
        its_rules_say_who_may_what
        its_public_paths_are_open_to_nobody_and_closed_to_bad_credentials
        a_platform_is_found_by_its_host_or_its_route_and_otherwise_nobody_answers
    }
    oauth2 {
        what_is_no_grant_is_a_bad_request
        who_gets_no_token_is_told_nothing
    }
    opentact {
        basic_credentials_are_an_address_and_a_password
        an_ha1b_is_a_credential_of_its_own_and_agrees_with_others_or_is_refused
        users_do_all_that_is_under_rest_and_nothing_else
        plain_http_is_sent_to_https_before_any_credential_is_looked_at
    }
    paths {
        what_has_two_readings_is_refused_and_what_has_one_goes_through_as_it_came
    }
    sessions {
        what_is_no_login_is_a_bad_request
        who_gets_no_session_is_told_nothing
    }
    spoofs {
        identity_headers_and_credential_places_are_the_servers_own_in_every_spelling
        what_is_spelt_only_nearly_alike_is_the_clients_own_business
    }
    forged {
        crossbar_takes_no_token_that_is_not_honest
        opentact_takes_no_token_that_is_not_honest
        infobip_takes_no_token_that_is_not_honest
    }
    tokens {
        crossbars_tokens_stand_in_a_header_or_the_query_and_name_an_account
        opentacts_tokens_stand_in_a_header_or_the_query_and_agree_with_others
        infobips_tokens_stand_behind_bearer_and_do_what_their_users_may
    }
    twins {
        two_crossbars_share_nothing
        two_opentacts_share_nothing
        two_infobips_share_nothing
    }
    vectors {
        every_vector_of_opentacts_contract_is_decided_as_it_says
    }
}

/// The world that the tests in memory share: it starts with the first of them and ends with the process.
pub(crate) fn memory() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::of("memory", vec![start(CONFIG)]))
}

#[tokio::test]
async fn a_server_on_a_file_answers_every_table_alike() {
    let server = start(&on_store("embedded:store.redb"));
    server.command("import -", DIRECTORY);
    check_all(&World::of("a file", vec![server])).await;
}

/// Tries every table; panics with all that came out otherwise than it should.
pub(crate) async fn check_all(world: &World) {
    let mut failures = String::new();
    for (table, rows) in TABLES {
        failures += &world.failures(table, rows()).await;
    }
    assert!(failures.is_empty(), "\n{failures}{}", world.log());
}
