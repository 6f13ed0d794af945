//! `account`, `user`, `key`: what is changed counts with the next Check.

use serde_json::json;

use super::running::{ALADDIN, bare, check, run, start};

/// Abu with a-long-password.
const ABU: (&str, &str) = ("authorization", "Basic QWJ1OmEtbG9uZy1wYXNzd29yZA==");

#[tokio::test]
async fn a_user_who_is_added_is_admitted_and_one_who_is_disabled_is_not_at_once() {
    let server = start();
    assert_eq!(check(&server, ABU).await, "unknown");
    let add = "user add u-2 --username Abu --account acc-1 --role reader --password-stdin";
    let added = run(&server, add, "a-long-password\n").done();
    assert_eq!(added, "user u-2 of mine is added\n");
    assert_eq!(check(&server, ABU).await, "allow", "the denial was cached");

    run(&server, "user disable u-2", "").done();
    assert_eq!(check(&server, ABU).await, "disabled");
    run(&server, "user enable u-2", "").done();
    assert_eq!(check(&server, ABU).await, "allow");

    run(&server, "account disable acc-1", "").done();
    assert_eq!(check(&server, ABU).await, "locked");
    assert_eq!(check(&server, ALADDIN).await, "locked");
    run(&server, "account enable acc-1", "").done();
    assert_eq!(check(&server, ALADDIN).await, "allow");

    run(&server, add, "another-password\n").failed(1, "user u-2 of mine is there already");
    assert_eq!(
        check(&server, ABU).await,
        "allow",
        "the password is as it was"
    );
    for secret in ["a-long-password", "another-password"] {
        assert!(!server.log().contains(secret));
    }
}

#[tokio::test]
async fn the_secret_of_a_key_is_shown_once_and_opens() {
    let server = start();
    let added = run(&server, "key add k-2 --account acc-1 --scope read", "");
    assert!(
        added
            .err
            .contains("k-2 of mine is added; its secret is shown this once"),
        "{added:?}"
    );
    let out = added.done();
    let secret = out.strip_suffix('\n').expect("a line");
    assert_eq!(secret.len(), 64, "nothing but the secret is printed");
    assert_eq!(check(&server, ("x-key", secret)).await, "allow");
    for words in [
        "key show k-2",
        "key show k-2 --json",
        "key list --json",
        "export",
    ] {
        let shown = run(&server, words, "").done();
        assert!(
            shown.contains("k-2") && !shown.contains(secret),
            "{words}: {shown}"
        );
    }
    assert!(!server.log().contains(secret));
}

#[tokio::test]
async fn a_rotated_key_opens_with_both_secrets_during_the_overlap_and_a_revoked_one_with_none() {
    let server = start();
    let first = "a-key-from-the-file";
    assert_eq!(check(&server, ("x-key", first)).await, "allow");
    let second = run(&server, "key rotate k-1 --overlap 24h", "").done();
    let second = second.trim_end();
    assert_eq!(check(&server, ("x-key", first)).await, "allow");
    assert_eq!(check(&server, ("x-key", second)).await, "allow");

    let third = "a-secret-that-was-brought";
    let rotated = run(&server, "key rotate k-1 --secret-stdin", third).done();
    assert_eq!(
        rotated,
        "key k-1 of mine has a new secret; the former one is refused by the running server at once\n"
    );
    for (secret, want) in [(first, "expired"), (second, "expired"), (third, "allow")] {
        assert_eq!(check(&server, ("x-key", secret)).await, want, "{secret}");
    }
    let file = server.path("directory.yaml");
    let file = file.to_str().expect("a path in UTF-8");
    run(&server, &format!("import {file}"), "").done();
    assert_eq!(
        check(&server, ("x-key", first)).await,
        "expired",
        "a file undoes no rotation"
    );

    run(&server, "key revoke k-1", "").done();
    assert_eq!(check(&server, ("x-key", third)).await, "revoked");
    run(&server, "key enable k-1", "").failed(1, "key k-1 was revoked for good");
    run(&server, &format!("import {file}"), "").done();
    assert_eq!(
        check(&server, ("x-key", third)).await,
        "revoked",
        "after an import"
    );
}

#[test]
fn records_are_shown_to_people_in_columns_and_to_machines_in_json() {
    let server = start();
    run(&server, "user add u-22 --email abu@example.com", "").done();
    run(&server, "user disable u-22", "").done();
    let want = "\
ID    STATE  USERNAME  EMAIL            ACCOUNT  ROLES   CREDENTIALS
u-1   on     Aladdin   -                acc-1    reader  argon2
u-22  off    -         abu@example.com  -        -       -
";
    assert_eq!(run(&server, "user list", "").done(), want);
    let want = "\
id           u-1
account      acc-1
username     Aladdin
roles        reader
enabled      true
credentials  argon2
generation   0
";
    assert_eq!(run(&server, "user show u-1", "").done(), want);
    let want = json!({
        "id": "u-22", "email": "abu@example.com", "enabled": false, "credentials": [], "generation": 0,
    });
    assert_eq!(run(&server, "user show u-22 --json", "").json(), want);
    let listed = run(&server, "user list --json --account acc-1", "").json();
    assert_eq!(listed["id"], "u-1");
    let revoked = run(&server, "user revoke u-1 --json", "").json();
    assert_eq!(revoked["generation"], 1);
    let link = "user link u-1 --issuer google --subject 109 --json";
    let linked = run(&server, link, "").json();
    assert_eq!(
        linked["links"],
        json!([{ "issuer": "google", "subject": "109" }])
    );
    let unlinked = run(&server, &format!("{link} --remove"), "").json();
    assert_eq!(unlinked.get("links"), None);
    let added = run(&server, "key add k-9 --json", "").json();
    assert_eq!(
        (&added["record"]["id"], added["secret"].is_string()),
        (&json!("k-9"), true)
    );
    let account = "account add acc-2 --name Two --parent acc-1 --attribute level=7 --json";
    let account = run(&server, account, "").json();
    assert_eq!(account["attributes"], json!({ "level": 7 }));
}

#[tokio::test]
async fn a_key_that_acts_for_a_user_ends_with_its_tokens_until_it_is_rotated() {
    let server = start();
    let first = run(&server, "key add k-2 --user u-1", "").done();
    let key = ("x-key", first.trim_end());
    assert_eq!(check(&server, key).await, "allow");
    run(&server, "user revoke u-1", "").done();
    assert_eq!(
        check(&server, key).await,
        "revoked",
        "the verdict was cached"
    );
    let second = run(&server, "key rotate k-2 --overlap 24h", "").done();
    assert_eq!(check(&server, ("x-key", second.trim_end())).await, "allow");
    assert_eq!(check(&server, key).await, "revoked");
    let of_no_user = ("x-key", "a-key-from-the-file");
    assert_eq!(check(&server, of_no_user).await, "allow");
}

#[test]
fn a_second_factor_is_set_and_its_seed_is_shown_once() {
    let server = start();
    let set = run(&server, "user totp u-1 --set", "");
    assert!(set.err.contains("its seed is shown this once"), "{set:?}");
    let out = set.done();
    let (seed, uri) = out.split_once('\n').expect("two lines");
    assert_eq!(seed.len(), 32, "20 bytes in base32");
    let want = format!("otpauth://totp/mine:Aladdin?secret={seed}&issuer=mine\n");
    assert_eq!(uri, want);
    let shown = run(&server, "user show u-1 --json", "").json();
    assert_eq!(shown["totp"], true);
    assert!(!shown.to_string().contains(seed) && !server.log().contains(seed));

    let given = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let set = run(&server, "user totp u-1 --set --secret-stdin", given).done();
    assert_eq!(set, "user u-1 of mine has this second factor\n");
    let made = run(&server, "user totp u-1 --set --json", "").json();
    let seed = made["secret"].as_str().expect("a seed");
    assert!(made["uri"].as_str().is_some_and(|it| it.contains(seed)));
    assert_eq!(made["record"]["totp"], true);
    let removed = run(&server, "user totp u-1 --remove", "").done();
    assert_eq!(removed, "user u-1 of mine has no second factor any more\n");
    let shown = run(&server, "user show u-1 --json", "").json();
    assert_eq!(shown.get("totp"), None);

    for (words, code, says) in [
        ("user totp u-1", 2, "--set"),
        ("user totp u-1 --set --remove", 2, "cannot be used with"),
        (
            "user totp u-1 --remove --secret-stdin",
            2,
            "cannot be used with",
        ),
        ("user totp u-1 --set --secret-stdin", 2, "a seed is base32"),
        ("user totp nobody --set", 1, "there is no user nobody"),
    ] {
        run(&server, words, "hunter2").failed(code, says);
    }
}

#[test]
fn failed_attempts_are_listed_and_lifted_through_the_running_server() {
    let server = start();
    let listed = run(&server, "throttle list", "");
    assert!(
        listed.err.contains("no attempt has failed lately"),
        "{listed:?}"
    );
    assert_eq!(listed.done(), "");
    let lift = "throttle lift --address 192.0.2.1 --target acc-1";
    assert_eq!(
        run(&server, lift, "").done(),
        "no attempt was counted there\n"
    );
    let all = run(&server, "throttle lift --all --json", "").json();
    assert_eq!(all, json!({ "lifted": 0 }));
    for (words, says) in [
        ("throttle lift", "--address"),
        ("throttle lift --target acc-1", "--address"),
        ("throttle lift --address 192.0.2.1", "--target"),
        (
            "throttle lift --address here --target acc-1",
            "an IP, or `unknown`",
        ),
        (
            "throttle lift --all --address unknown --target acc-1",
            "cannot be used with",
        ),
    ] {
        run(&server, words, "").failed(2, says);
    }
}

#[test]
fn no_argument_takes_a_secret() {
    for words in [
        "user add u --username u --password hunter2 --config x",
        "user add u --username u --password=hunter2 --config x",
        "key add k --secret hunter2-hunter2-hunter2 --config x",
        "key rotate k --secret=hunter2-hunter2-hunter2 --config x",
    ] {
        let ran = bare(words.split(' '), "");
        ran.failed(2, "unexpected argument");
    }
}

#[test]
fn a_platform_is_revoked_as_a_whole_and_shown() {
    let server = start();
    let want = "platform    mine\ngeneration  0\n";
    assert_eq!(run(&server, "platform show", "").done(), want);
    let revoked = run(&server, "platform revoke", "").done();
    assert_eq!(
        revoked,
        "platform mine has no valid token or session any more; refused by the running server at once\n"
    );
    let revoked = run(&server, "platform revoke --json", "").json();
    let everywhere = json!({
        "processes": 1, "heard": 1, "milliseconds": 0.0, "replicas": 0, "confirmed": 0,
    });
    let want = json!({ "platform": "mine", "generation": 2, "revocation": everywhere });
    assert_eq!(revoked, want);
    let shown = run(&server, "platform show --json", "").json();
    assert_eq!(shown, json!({ "platform": "mine", "generation": 2 }));
    run(&server, "platform revoke --platform no", "").failed(2, "no such platform");
}
