//! What takes several requests, each with what came of the one before: on a server with its memory, one by one, and on
//! two servers with one Redis (`redis.rs`), all of them.

/// Makes [`all`], and the tests in memory. A flow that is not named here is unused code, which clippy denies.
macro_rules! flows {
    ($($module:ident { $($flow:ident)+ })+) => {
        /// Runs every flow in a world whose servers share a store.
        pub(crate) async fn all(world: &crate::envoy::table::World) {
            $($(crate::envoy::$module::$flow(world).await;)+)+
        }

        mod in_memory {
            $(mod $module {
                $(#[tokio::test]
                async fn $flow() {
                    crate::envoy::$module::$flow(crate::envoy::tables::memory()).await;
                })+
            })+
        }
    };
}

flows! {
    door {
        a_context_opens_the_request_that_it_was_made_for_and_no_other
    }
    security {
        what_is_set_for_logins_is_inherited_down_from_a_reseller
        attempts_are_told_without_secrets_newest_first
    }
    factors {
        a_second_factor_is_asked_for_and_taken_once
    }
    facebook {
        a_token_of_facebook_is_exchanged_for_one_of_ours
        what_graph_does_not_say_plainly_is_a_fault
        junk_from_one_address_is_asked_about_so_often_and_no_more
    }
    limits {
        logins_at_once_from_one_address_empty_its_bucket_and_no_other
        who_fails_from_elsewhere_delays_nobody_and_is_stopped_everywhere
    }
    keys {
        a_managers_whole_day
    }
    lives {
        a_token_is_good_everywhere_until_it_is_revoked_everywhere
        a_token_is_told_of_to_whoever_presents_it
        a_token_verifies_under_the_published_key_of_its_platform
        a_token_is_renewed_and_both_are_good
        a_token_opens_the_accounts_below_its_own
    }
    sessions {
        a_user_has_one_session_until_it_is_destroyed
        a_session_is_bound_to_the_clients_address_unless_it_is_unsafe
        of_a_hundred_logins_at_once_one_gets_a_session
        logins_at_once_from_one_address_are_told_to_wait
        a_session_ends_with_what_it_stands_on
    }
    oauth2 {
        a_token_says_what_is_documented_and_stands_for_its_user
        tokens_of_a_user_end_when_it_is_revoked_or_disabled
    }
    ends {
        tokens_end_all_at_once_by_a_reset_and_by_a_command
        a_command_ends_the_tokens_of_a_platform
    }
}
