//! What a platform may not say is told at its key, and what it may say is not.

use std::path::Path;

use portcullis::config::Config;

/// Gives the keys of all problems, within a platform that is good but for what `key` says.
fn told(key: &str, value: &str) -> Vec<String> {
    let scheme = "{ key: { kind: api_key, from: [{ header: x-key }] } }";
    let mut said = vec![
        ("name", "p"),
        ("hosts", "[h]"),
        ("schemes", scheme),
        ("rules", r#"[{ paths: ["/**"] }]"#),
    ];
    match said.iter_mut().find(|it| it.0 == key) {
        Some(it) => it.1 = value,
        None => said.push((key, value)),
    }
    let mut text =
        "listen: { grpc: [\"127.0.0.1:0\"] }\nclient_address: { from: peer }\nplatforms:\n  -\n"
            .to_owned();
    for (key, value) in said {
        text.push_str(&format!("    {key}: {value}\n"));
    }
    let parsed = Config::parse("c.yaml", &text, Path::new("/"), |_| None);
    let problems = parsed.map_or_else(|it| it, |_| Vec::new());
    let within = |it: &str| it.replace("platforms[0].", "");
    problems.iter().map(|it| within(&it.key)).collect()
}

#[test]
fn names_of_a_platform_of_hosts_and_of_headers_are_told_where_they_are_none() {
    let long = "a".repeat(65);
    for (key, value, at) in [
        ("name", r#""""#, "name"),
        ("name", "a b", "name"),
        ("name", &long, "name"),
        ("hosts", r#"["h."]"#, "hosts[0]"),
        ("hosts", r#"[".h"]"#, "hosts[0]"),
        ("hosts", r#"["*.h."]"#, "hosts[0]"),
        ("hosts", r#"["*."]"#, "hosts[0]"),
        ("hosts", r#"[""]"#, "hosts[0]"),
        ("hosts", r#"[h, "h:80"]"#, "hosts[1]"),
        ("hosts", r#"["a b"]"#, "hosts[0]"),
        ("prefix", "api", "prefix"),
        ("prefix", r#""/a%2f""#, "prefix"),
        ("prefix", r#""/a b""#, "prefix"),
        ("prefix", r#""/a;b""#, "prefix"),
        (
            "identity_headers",
            r#"{ user: "" }"#,
            "identity_headers.user",
        ),
        ("identity_headers", "{ user: x y }", "identity_headers.user"),
        (
            "identity_headers",
            "{ user: host }",
            "identity_headers.user",
        ),
        (
            "identity_headers",
            "{ account: x-a, scopes: x-a }",
            "identity_headers.scopes",
        ),
        (
            "identity_headers",
            "{ account: x-a, scopes: X-A }",
            "identity_headers.scopes",
        ),
        (
            "identity_headers",
            "{ account: x-a, scopes: x_a }",
            "identity_headers.scopes",
        ),
    ] {
        assert_eq!(told(key, value), [at], "{key}: {value}");
    }
    for (key, value) in [
        ("name", "a-B_9"),
        ("name", &long[..64]),
        ("hosts", r#"[h, "*.h", "h-1.x_y"]"#),
        ("hosts", r#"["*"]"#),
        ("hosts", r#"["::1", "2001:db8::1"]"#),
        ("prefix", "/api/v-1._~"),
        ("identity_headers", "{ account: x-a, scopes: x-b }"),
    ] {
        assert!(told(key, value).is_empty(), "{key}: {value}");
    }
}

#[test]
fn a_rule_that_contradicts_itself_is_told_at_what_does() {
    for (rule, at) in [
        (r#"paths: []"#, "paths"),
        (r#"paths: [/a], issue: true"#, "issue"),
        (r#"paths: [/a], schemes: [key, none]"#, "schemes[1]"),
        (r#"paths: [/a], schemes: []"#, "schemes"),
        (r#"paths: [/a], methods: []"#, "methods"),
        (r#"paths: [/a], scopes_any: []"#, "scopes_any"),
        (r#"paths: [/a], roles_any: []"#, "roles_any"),
        (r#"paths: [/a], claims: {}"#, "claims"),
        (r#"paths: [/a], claims: { a: { equals: b } }"#, "claims"),
        (
            r#"paths: [/a], claims: { a: { one_of: [] } }"#,
            "claims.a.one_of",
        ),
        (r#"paths: [/a], allow: public, schemes: [key]"#, "allow"),
        (r#"paths: [/a], allow: public, scopes_any: [a]"#, "allow"),
        (r#"paths: [/a], allow: public, roles_any: [a]"#, "allow"),
        (
            r#"paths: [/a], allow: public, claims: { a: { equals: b } }"#,
            "allow",
        ),
        (
            r#"paths: ["/{account}"], allow: public, relation: own_account"#,
            "allow",
        ),
        (
            r#"paths: ["/{account}", "/a"], relation: own_account"#,
            "relation",
        ),
        (
            r#"paths: ["/b/**", "/a"], rest_without: [c]"#,
            "rest_without",
        ),
        (
            r#"paths: ["/b/**", "/a"], rest_unclear: true"#,
            "rest_unclear",
        ),
        (
            r#"paths: ["/b/**"], rest_unclear: true, rest_without: [c]"#,
            "rest_unclear",
        ),
        (
            r#"paths: ["/b/**"], rest_unclear: true, issue: true"#,
            "rest_unclear",
        ),
    ] {
        let keys = told("rules", &format!("[{{ {rule} }}]"));
        assert!(keys.contains(&format!("rules[0].{at}")), "{rule}: {keys:?}");
    }
    for rule in [
        r#"paths: [/a], allow: public, methods: [GET]"#,
        r#"paths: ["/{account}/**"], relation: own_account, rest_without: [c]"#,
        r#"paths: ["/b/**"], schemes: [key], scopes_any: [a], rest_unclear: true"#,
    ] {
        let keys = told("rules", &format!("[{{ {rule} }}]"));
        assert!(keys.is_empty(), "{rule}: {keys:?}");
    }
}
