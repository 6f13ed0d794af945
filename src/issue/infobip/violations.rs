//! What is wrong with a request, field by field, as the newer family of Infobip's errors tells it
//! (`ApiErrorViolation` of its published schema).

use serde_json::json;

use crate::decision::Denial;
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::core::Core;
use crate::platform::body::escape::Escape;

/// The most that are told.
const MAX_TOLD: usize = 50;

/// The longest name of a property that is told, in characters.
const MAX_NAME_CHARS: usize = 64;

/// What is wrong with a request. No value that was sent is in it.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Violations(Vec<(String, String)>);

impl Violations {
    /// Of one property.
    pub(super) fn of(property: &str, violation: impl Into<String>) -> Self {
        let mut violations = Self::default();
        violations.add(property, violation);
        violations
    }

    /// Adds that something is wrong with a property, by its path such as `platform[0].entityId`. A name
    /// may be a client's own, and is cut to what one is.
    pub(super) fn add(&mut self, property: &str, violation: impl Into<String>) {
        if self.0.len() == MAX_TOLD {
            return;
        }
        let plain = |it: char| match it {
            '[' | ']' | '.' | '_' | '-' => it,
            it if it.is_ascii_alphanumeric() => it,
            _ => '?',
        };
        let name = property.chars().take(MAX_NAME_CHARS).map(plain);
        self.0.push((name.collect(), violation.into()));
    }

    /// Passes on where there is none.
    ///
    /// # Errors
    /// All of them.
    pub(super) fn none(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Answers 400 in the platform's words, with what is wrong in the place that they have for it.
    pub(super) fn answer(&self, core: &Core, asked: &Asked) -> Answer {
        let denial = Denial::bad_request("the request says what it must not say");
        let told = self.0.iter();
        let told = told.map(|it| json!({ "property": it.0, "violation": it.1 }));
        let list = json!(told.collect::<Vec<_>>());
        let list = format!(r#""violations":{list}"#);
        core.refuse(asked, &denial.into())
            .filled(r#""violations":[]"#, &list)
            .filled("<violations/>", &self.xml())
    }

    fn xml(&self) -> String {
        let mut xml = "<violations>".to_owned();
        for (property, violation) in &self.0 {
            xml.push_str("<violation><property>");
            Escape::Xml.push(property, &mut xml);
            xml.push_str("</property><violation>");
            Escape::Xml.push(violation, &mut xml);
            xml.push_str("</violation></violation>");
        }
        xml + "</violations>"
    }
}
