//! A platform's answer bodies: configuration values compiled once into pieces that are ready to
//! send, so that an answer is a few copies and the format's writer, not the author of a text
//! template, sees to the escaping.
//!
//! Apart from [`errors`](super::errors), which chooses the body, since an issuing endpoint writes
//! bodies too. It does not negotiate, know reasons, or read configuration files.

pub mod escape;
pub mod template;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use escape::Escape;
use template::{Scalar, Template, UnknownPlaceholder, Values};

/// What a body is written as: `json`, `text`, or `{ xml: RootElement }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Compact JSON, keys in the order of the configuration.
    #[default]
    Json,
    /// A string, or a list of scalars set side by side.
    Text,
    /// XML 1.0 under a root element of this name. A mapping gives child elements; a list repeats the
    /// element that it is the value of; nothing (`null`, `{}`) gives an empty element.
    Xml(String),
}

/// A compiled body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    template: Template,
    content_type: &'static str,
}

impl Body {
    /// Compiles a configuration value.
    ///
    /// # Errors
    ///
    /// A placeholder that is unknown or stands as a key, a value that the format has no form for, or
    /// a name that is no XML element's. The error says where, as a JSON pointer (RFC 6901).
    pub fn compile(format: &Format, value: &Value) -> Result<Self, BodyError> {
        let mut template = Template::default();
        let content_type = match format {
            Format::Json => {
                push_json(value, &mut template)?;
                "application/json"
            }
            Format::Text => {
                push_text(value, &mut template)?;
                "text/plain; charset=utf-8"
            }
            Format::Xml(root) => {
                push_document(root, value, &mut template)?;
                "application/xml"
            }
        };
        Ok(Self {
            template,
            content_type,
        })
    }

    /// Writes the body out.
    pub fn render(&self, values: &Values<'_>) -> String {
        self.template.render(values)
    }

    /// The value of the `content-type` header that goes with it.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }
}

/// Why a configuration value is not a body, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError {
    /// A JSON pointer into the value; empty for the value itself.
    pub pointer: String,
    /// What stands there.
    pub problem: BodyProblem,
}

/// What is wrong at one place of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyProblem {
    /// A name that an XML element cannot have.
    #[error("{0:?} is no name for an XML element")]
    ElementName(String),
    /// A placeholder where a key stands.
    #[error("the placeholder {0} cannot be a key")]
    PlaceholderKey(String),
    /// A value that the format cannot write there.
    #[error("expected {0}")]
    Shape(&'static str),
    /// Braces around something unknown.
    #[error(transparent)]
    Unknown(#[from] UnknownPlaceholder),
}

impl BodyError {
    fn within(mut self, token: &str) -> Self {
        let token = token.replace('~', "~0").replace('/', "~1");
        self.pointer.insert_str(0, &format!("/{token}"));
        self
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "body{}: {}", self.pointer, self.problem)
    }
}

impl std::error::Error for BodyError {}

impl<P: Into<BodyProblem>> From<P> for BodyError {
    fn from(problem: P) -> Self {
        Self {
            pointer: String::new(),
            problem: problem.into(),
        }
    }
}

fn push_json(value: &Value, out: &mut Template) -> Result<(), BodyError> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_raw(&value.to_string()),
        Value::String(text) => push_json_scalar(text, out)?,
        Value::Array(items) => {
            out.push_raw("[");
            for (index, item) in items.iter().enumerate() {
                out.push_raw(if index == 0 { "" } else { "," });
                push_json(item, out).map_err(|error| error.within(&index.to_string()))?;
            }
            out.push_raw("]");
        }
        Value::Object(entries) => {
            out.push_raw("{");
            for (index, (key, item)) in entries.iter().enumerate() {
                out.push_raw(if index == 0 { "" } else { "," });
                push_json_entry(key, item, out).map_err(|error| error.within(key))?;
            }
            out.push_raw("}");
        }
    }
    Ok(())
}

fn push_json_entry(key: &str, item: &Value, out: &mut Template) -> Result<(), BodyError> {
    if let Scalar::Fill(_) = Scalar::parse(key)? {
        return Err(BodyProblem::PlaceholderKey(key.to_owned()).into());
    }
    push_json_scalar(key, out)?;
    out.push_raw(":");
    push_json(item, out)
}

fn push_json_scalar(text: &str, out: &mut Template) -> Result<(), BodyError> {
    if let Scalar::Fill(placeholder) = Scalar::parse(text)?
        && placeholder.is_number()
    {
        out.push_fill(placeholder, Escape::Json);
        return Ok(());
    }
    out.push_raw("\"");
    out.push_scalar(text, Escape::Json)?;
    out.push_raw("\"");
    Ok(())
}

fn push_text(value: &Value, out: &mut Template) -> Result<(), BodyError> {
    let Value::Array(items) = value else {
        return push_plain(value, Escape::Text, out);
    };
    for (index, item) in items.iter().enumerate() {
        push_plain(item, Escape::Text, out).map_err(|error| error.within(&index.to_string()))?;
    }
    Ok(())
}

fn push_plain(value: &Value, escape: Escape, out: &mut Template) -> Result<(), BodyError> {
    match value {
        Value::String(text) => out.push_scalar(text, escape)?,
        Value::Bool(_) | Value::Number(_) => out.push_raw(&value.to_string()),
        Value::Array(_) | Value::Null | Value::Object(_) => {
            return Err(BodyProblem::Shape("a scalar").into());
        }
    }
    Ok(())
}

fn push_document(root: &str, value: &Value, out: &mut Template) -> Result<(), BodyError> {
    if !value.is_object() {
        return Err(BodyProblem::Shape("a mapping of elements").into());
    }
    out.push_raw(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
    push_element(root, value, out)
}

fn push_element(name: &str, value: &Value, out: &mut Template) -> Result<(), BodyError> {
    check_element_name(name)?;
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                push_item(name, item, out).map_err(|error| error.within(&index.to_string()))?;
            }
        }
        Value::Null => out.push_raw(&format!("<{name}/>")),
        Value::Object(children) if children.is_empty() => out.push_raw(&format!("<{name}/>")),
        Value::Object(children) => {
            out.push_raw(&format!("<{name}>"));
            push_children(children, out)?;
            out.push_raw(&format!("</{name}>"));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_raw(&format!("<{name}>"));
            push_plain(value, Escape::Xml, out)?;
            out.push_raw(&format!("</{name}>"));
        }
    }
    Ok(())
}

fn push_item(name: &str, item: &Value, out: &mut Template) -> Result<(), BodyError> {
    if item.is_array() {
        return Err(BodyProblem::Shape("no list inside a list, which XML has no name for").into());
    }
    push_element(name, item, out)
}

fn push_children(children: &Map<String, Value>, out: &mut Template) -> Result<(), BodyError> {
    for (name, child) in children {
        push_element(name, child, out).map_err(|error| error.within(name))?;
    }
    Ok(())
}

/// The ASCII part of `NCName` (Namespaces in XML 1.0 §3), without names that begin with `xml`,
/// which XML 1.0 §2.3 reserves.
fn check_element_name(name: &str) -> Result<(), BodyError> {
    let starts = name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
    let continues = name
        .bytes()
        .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.'));
    let reserved = name
        .get(..3)
        .is_some_and(|it| it.eq_ignore_ascii_case("xml"));
    if starts && continues && !reserved {
        return Ok(());
    }
    Err(BodyProblem::ElementName(name.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::{Body, Format};
    use crate::platform::body::template::Values;
    use jiff::Timestamp;
    use proptest::collection::vec;
    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };
    use serde_json::{Value, json};

    const VALUES: Values<'static> = Values {
        instance: "node-1",
        location: "",
        message: "a \"quoted\" <text> & more",
        path: "/",
        reason: "wrong",
        request_id: "r-1",
        retry_after: 7,
        since: 0,
        status: 401,
        timestamp: Timestamp::UNIX_EPOCH,
    };

    fn xml() -> Format {
        Format::Xml("Root".to_owned())
    }

    #[test]
    fn values_become_bodies_in_their_order() {
        let rows = [
            (
                "json scalars and nesting",
                Format::Json,
                json!({"z": null, "a": [true, 1, 1.5, "x\n"], "m": {}, "e": []}),
                r#"{"z":null,"a":[true,1,1.5,"x\n"],"m":{},"e":[]}"#,
            ),
            (
                "json numbers are bare, strings quoted",
                Format::Json,
                json!(["{status}", "{retry_after}", "{request_id}", "{message}"]),
                r#"[401,7,"r-1","a \"quoted\" <text> & more"]"#,
            ),
            (
                "json braces escaped or inside text",
                Format::Json,
                json!({"{{k}}": "{{status}}", "t": "is {status}"}),
                r#"{"{k}":"{status}","t":"is {status}"}"#,
            ),
            (
                "text from one scalar",
                Format::Text,
                json!("{reason}"),
                "wrong",
            ),
            (
                "text from several",
                Format::Text,
                json!(["denied: ", "{reason}", " ", 1, "\n"]),
                "denied: wrong 1\n",
            ),
            (
                "xml elements, repeated and empty",
                xml(),
                json!({"a": {"b": ["{reason}", 2]}, "none": null, "empty": {}, "gone": [], "t": "<&>"}),
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Root><a><b>wrong</b><b>2</b></a>\
                 <none/><empty/><t>&lt;&amp;&gt;</t></Root>",
            ),
            (
                "xml escapes values",
                xml(),
                json!({"m": "{message}"}),
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Root><m>a \"quoted\" &lt;text&gt; &amp; more</m></Root>",
            ),
        ];
        for (name, format, value, want) in rows {
            let body = Body::compile(&format, &value).expect(name);
            assert_eq!(body.render(&VALUES), want, "{name}");
        }
    }

    #[test]
    fn what_is_no_body_is_refused_with_its_place() {
        let rows = [
            (
                "unknown",
                Format::Json,
                json!({"a/b": [0, "{nope}"]}),
                "body/a~1b/1: unknown placeholder {nope}; ",
            ),
            (
                "key",
                Format::Json,
                json!({"a": {"{status}": 1}}),
                "body/a/{status}: the placeholder {status} cannot",
            ),
            (
                "unknown key",
                Format::Json,
                json!({"{nope}": 1}),
                "body/{nope}: unknown placeholder",
            ),
            (
                "text of a mapping",
                Format::Text,
                json!({}),
                "body: expected a scalar",
            ),
            (
                "text of nothing",
                Format::Text,
                json!(null),
                "body: expected a scalar",
            ),
            (
                "text of a list in a list",
                Format::Text,
                json!(["a", []]),
                "body/1: expected a scalar",
            ),
            (
                "xml of a scalar",
                xml(),
                json!("a"),
                "body: expected a mapping",
            ),
            (
                "xml list in a list",
                xml(),
                json!({"a": [[]]}),
                "body/a/0: expected no list",
            ),
            (
                "xml name",
                xml(),
                json!({"a": {"b c": 1}}),
                "body/a/b c: \"b c\" is no name",
            ),
            (
                "xml placeholder name",
                xml(),
                json!({"{status}": 1}),
                "body/{status}: \"{status}\" is no name",
            ),
            (
                "xml reserved name",
                xml(),
                json!({"XmlThing": 1}),
                "body/XmlThing: \"XmlThing\" is no name",
            ),
            (
                "xml name with prefix",
                xml(),
                json!({"a:b": 1}),
                "body/a:b: ",
            ),
            ("xml name from digit", xml(), json!({"1a": 1}), "body/1a: "),
            ("xml empty name", xml(), json!({"": 1}), "body/: "),
            (
                "xml root",
                Format::Xml("a>b".to_owned()),
                json!({}),
                "body: \"a>b\" is no name",
            ),
        ];
        for (name, format, value, want) in rows {
            let error = Body::compile(&format, &value).expect_err(name).to_string();
            assert!(error.starts_with(want), "{name}: {error}");
        }
    }

    #[test]
    fn a_format_reads_as_configuration_writes_it() {
        let rows = [
            ("json", Some(Format::Json)),
            ("text", Some(Format::Text)),
            ("{ xml: Root }", Some(xml())),
            ("xml", None),
            ("yaml", None),
        ];
        for (input, want) in rows {
            assert_eq!(
                serde_saphyr::from_str::<Format>(input).ok(),
                want,
                "{input}"
            );
        }
    }

    #[test]
    fn the_content_type_follows_the_format() {
        let rows = [
            (Format::Json, json!({}), "application/json"),
            (Format::Text, json!(""), "text/plain; charset=utf-8"),
            (xml(), json!({}), "application/xml"),
        ];
        for (format, value, want) in rows {
            assert_eq!(
                Body::compile(&format, &value)
                    .expect("a body")
                    .content_type(),
                want
            );
        }
    }

    /// Unlike `any::<String>()`, with control characters.
    fn strings() -> impl Strategy<Value = String> {
        vec(any::<char>(), 0..24).prop_map(String::from_iter)
    }

    /// Any JSON value, its strings written so that none of them is a placeholder.
    fn literal_values() -> impl Strategy<Value = Value> {
        let scalars = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            strings().prop_map(Value::from),
        ];
        scalars.prop_recursive(3, 24, 4, |inner| {
            let list = vec(inner.clone(), 0..4).prop_map(Value::from);
            let entries = vec((strings(), inner), 0..4);
            prop_oneof![
                list,
                entries.prop_map(|it| Value::Object(it.into_iter().collect()))
            ]
        })
    }

    fn protect(value: &Value) -> Value {
        let protected = |text: &String| match text.starts_with('{') && text.ends_with('}') {
            true => format!("{{{text}}}"),
            false => text.clone(),
        };
        match value {
            Value::String(text) => protected(text).into(),
            Value::Array(items) => items.iter().map(protect).collect(),
            Value::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, item)| (protected(key), protect(item)))
                    .collect(),
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    proptest! {
        #[test]
        fn a_json_reader_gets_the_literal_value_back(value in literal_values()) {
            let body = Body::compile(&Format::Json, &protect(&value)).expect("only literals");
            let back: Value = serde_json::from_str(&body.render(&VALUES)).expect("valid JSON");
            prop_assert_eq!(back, value);
        }

        #[test]
        fn a_json_reader_gets_the_filled_values_back(
            message in strings(), path in strings(), status in any::<u16>(), retry_after in any::<u32>(),
        ) {
            let value = json!({"m": "{message}", "p": ["{path}"], "s": "{status}", "r": "{retry_after}"});
            let body = Body::compile(&Format::Json, &value).expect("known placeholders");
            let values = Values { message: &message, path: &path, status, retry_after, ..VALUES };
            let back: Value = serde_json::from_str(&body.render(&values)).expect("valid JSON");
            prop_assert_eq!(back, json!({"m": message, "p": [path], "s": status, "r": retry_after}));
        }

        #[test]
        fn a_value_adds_no_markup_to_xml(message in strings(), literal in strings()) {
            let value = protect(&json!({"l": literal}));
            let mut value = value.as_object().expect("a mapping").clone();
            value.insert("m".to_owned(), json!("{message}"));
            let body = Body::compile(&xml(), &value.into()).expect("known placeholders");
            let out = body.render(&Values { message: &message, ..VALUES });
            // The declaration, and a start and an end of Root, l and m.
            prop_assert_eq!(out.matches('<').count(), 7);
            prop_assert_eq!(out.matches('>').count(), 7);
            for reference in out.split('&').skip(1) {
                prop_assert!(["lt;", "gt;", "amp;", "#13;"].iter().any(|it| reference.starts_with(it)));
            }
        }
    }
}
