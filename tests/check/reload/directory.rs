//! A directory file in the place of another.

use super::{
    DIRECTORY, KEY, OIDC, RULE, SHOP, STAFF, answer, await_reloads, by_key, by_password, config,
    reload, reloads, start, start_as, status, whole,
};
use crate::support::check::CheckClient;
use crate::support::issuers::Issuer;

#[tokio::test]
async fn who_is_removed_is_refused_at_the_next_check_and_a_password_that_changed_counts() {
    let server = start(&Issuer::rsa(""), DIRECTORY);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let (shop, staff) = (by_key("a", SHOP), by_key("a", STAFF));
    let (old, new) = (
        by_password("ada", "m32c6NfqYEt"),
        by_password("ada", "another"),
    );
    let all = [&shop, &staff, &old, &new];
    let staff_row =
        "    - { id: staff, account: acme, secret: the-key-of-the-staff-0123456789abcde }\n";
    let user_row = "[{ id: ada, account: acme, username: ada, password: m32c6NfqYEt }]";
    let steps = [
        (DIRECTORY.replace(staff_row, ""), [200, 401, 200, 401]),
        (
            DIRECTORY.replace("m32c6NfqYEt", "another"),
            [200, 200, 401, 200],
        ),
        (DIRECTORY.replace(user_row, "[]"), [200, 200, 401, 401]),
        (
            DIRECTORY.replace("id: shop, account: acme, ", "id: renamed, account: acme, "),
            [200, 200, 200, 401],
        ),
        (
            DIRECTORY.replace("{ id: acme }", "{ id: acme, enabled: false }"),
            [423, 423, 423, 401],
        ),
        ("{}".to_owned(), [401, 401, 401, 401]),
        (DIRECTORY.to_owned(), [200, 200, 200, 401]),
    ];
    for (directory, want) in steps {
        server.write("directory.yaml", &directory);
        reload(&server, "ok").await;
        for (asked, want) in all.into_iter().zip(want) {
            let answer = answer(client, asked).await;
            assert_eq!(answer.status, want, "{directory}: {asked:?} {answer:?}");
        }
    }
}

#[tokio::test]
async fn what_commands_did_stays_until_the_row_itself_changes_and_a_revocation_in_any_case() {
    let server = start(&Issuer::rsa(""), DIRECTORY);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let (shop, staff) = (by_key("a", SHOP), by_key("a", STAFF));
    let ada = by_password("ada", "m32c6NfqYEt");
    server.command("user disable ada --platform a", "");
    server.command("user revoke ada --platform a", "");
    server.command("key revoke staff --platform a", "");
    let added = "added-by-a-command-0123456789abcdef01";
    server.command(
        "key add added --platform a --account acme --secret-stdin",
        added,
    );
    let generation = || {
        let shown = server.command("user show ada --platform a --json", "");
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown["generation"].as_u64()
    };
    let revoked = generation();
    let cases = [
        (
            DIRECTORY.replace("id: acme }", "id: acme, name: ACME }"),
            401,
        ),
        // Its own row says so.
        (
            DIRECTORY.replace("username: ada", "username: ada, roles: [admin]"),
            200,
        ),
        (
            DIRECTORY.replace("    - { id: staff, ", "    - { id: staff, name: staff, "),
            200,
        ),
    ];
    for (directory, want) in cases {
        server.write("directory.yaml", &directory);
        reload(&server, "ok").await;
        assert_eq!(status(client, &ada).await, want, "{directory}");
        assert_eq!(status(client, &shop).await, 200);
        assert_eq!(status(client, &staff).await, 401, "it was revoked for good");
        assert_eq!(status(client, &by_key("a", added)).await, 200);
        assert_eq!(generation(), revoked);
    }
    // Away and back again: nothing is forgotten meanwhile.
    for directory in ["{}", DIRECTORY] {
        server.write("directory.yaml", directory);
        reload(&server, "ok").await;
    }
    assert_eq!(status(client, &staff).await, 401, "it was revoked for good");
    assert_eq!(status(client, &ada).await, 200);
    assert_eq!(generation(), revoked);
}

/// A scheme that wants passwords in another form is no change of anybody's row.
#[tokio::test]
async fn who_was_disabled_stays_so_when_the_schemes_change() {
    let without_login = config(&[KEY, OIDC], RULE);
    let server = start_as(&without_login, &Issuer::rsa(""), DIRECTORY);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let (shop, staff) = (by_key("a", SHOP), by_key("a", STAFF));
    let ada = by_password("ada", "m32c6NfqYEt");
    server.command("user disable ada --platform a", "");
    server.command("key disable staff --platform a", "");
    for (config, known) in [(whole(), 200), (without_login, 401), (whole(), 200)] {
        server.configure(&config);
        reload(&server, "ok").await;
        assert_eq!(status(client, &ada).await, 401, "it is disabled");
        assert_eq!(status(client, &staff).await, 401, "it is disabled");
        assert_eq!(status(client, &shop).await, 200);
        server.command("user enable ada --platform a", "");
        assert_eq!(status(client, &ada).await, known, "its password is known");
        server.command("user disable ada --platform a", "");
    }
}

#[tokio::test]
async fn a_directory_file_with_problems_stays_out_and_the_configuration_beside_it() {
    let server = start(&Issuer::rsa(""), DIRECTORY);
    let client = &mut CheckClient::connect(server.grpc()).await;
    let shop = by_key("a", SHOP);
    let broken = DIRECTORY
        .replace(SHOP, "another-key-of-the-shop-0123456789abc")
        .replace("username: ada", "usrname: ada");
    server.write("directory.yaml", &broken);
    await_reloads(&server, "invalid", 1).await;
    let told = "directory.yaml:4: a.users[0].usrname";
    server.await_log(told, super::PATIENCE);
    assert_eq!(status(client, &shop).await, 200);
    server.write("directory.yaml", &broken.replace("usrname", "username"));
    await_reloads(&server, "ok", 1).await;
    assert_eq!(status(client, &shop).await, 401);
    assert_eq!(server.log().matches(told).count(), 1);
    assert_eq!(reloads(&server, "invalid"), 1);
}
