//! Messages with buttons or a list to choose from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub const BODY_CHARS_MAX: usize = 1_024;
/// Characters of a header or a footer.
pub const EDGE_CHARS_MAX: usize = 60;
/// Buttons of one message; phones show no more than this many for sure.
pub const BUTTONS_MAX: usize = 3;
/// Characters of a button's text, or of the text that opens a list.
pub const LABEL_CHARS_MAX: usize = 20;
pub const SECTIONS_MAX: usize = 10;
/// Rows of a list, of all its sections together.
pub const ROWS_MAX: usize = 10;
/// Characters of the title of a section or a row.
pub const TITLE_CHARS_MAX: usize = 24;
pub const DESCRIPTION_CHARS_MAX: usize = 72;
/// Characters of the address that a button opens.
pub const URL_CHARS_MAX: usize = 2_048;
/// Characters of the id that an answer brings back.
pub const CHOICE_ID_CHARS_MAX: usize = 200;

/// Reads and writes as the body of the API's route does, without who it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interactive {
    pub body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    #[serde(flatten)]
    pub choices: Choices,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choices {
    Buttons {
        buttons: Vec<Button>,
    },
    List {
        /// What stands on the button that opens the list.
        #[serde(rename = "buttonText")]
        label: String,
        sections: Vec<Section>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Button {
    /// The answer names `id`.
    Reply { id: String, text: String },
    /// Opens an address.
    Link { url: String, text: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub rows: Vec<ListRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRow {
    pub id: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Interactive {
    /// Whether it is within the limits; for one that did not come through the API, which names every field. The error is
    /// the first limit that it does not keep.
    pub fn check(&self) -> Result<(), String> {
        let within = |what: &str, text: &str, chars_max: usize| match text.chars().count() {
            0 => Err(format!("{what} must not be empty")),
            count if count > chars_max => Err(format!("{what} must have at most {chars_max} characters")),
            _ => Ok(()),
        };
        let mut ids = BTreeSet::new();
        let mut choice_id = |id: &String| {
            within("an id", id, CHOICE_ID_CHARS_MAX)?;
            if ids.insert(id.clone()) { Ok(()) } else { Err(format!("the id {id:?} is there twice")) }
        };
        within("the body", &self.body, BODY_CHARS_MAX)?;
        for edge in [&self.header, &self.footer].into_iter().flatten() {
            within("a header or footer", edge, EDGE_CHARS_MAX)?;
        }
        match &self.choices {
            Choices::Buttons { buttons } => {
                counted("buttons", buttons.len(), BUTTONS_MAX)?;
                for button in buttons {
                    match button {
                        Button::Reply { id, text } => {
                            choice_id(id)?;
                            within("a button", text, LABEL_CHARS_MAX)?;
                        }
                        Button::Link { url, text } => {
                            let is_web = url.starts_with("https://") || url.starts_with("http://");
                            if !is_web || url.len() > URL_CHARS_MAX {
                                return Err("a link must begin with https:// or http://".to_owned());
                            }
                            within("a button", text, LABEL_CHARS_MAX)?;
                        }
                    }
                }
            }
            Choices::List { label, sections } => {
                within("the button's text", label, LABEL_CHARS_MAX)?;
                counted("sections", sections.len(), SECTIONS_MAX)?;
                counted("rows", sections.iter().map(|section| section.rows.len()).sum(), ROWS_MAX)?;
                for section in sections {
                    match &section.title {
                        Some(title) => within("a section's title", title, TITLE_CHARS_MAX)?,
                        None if sections.len() > 1 => return Err("each of several sections needs a title".to_owned()),
                        None => {}
                    }
                    counted("rows of a section", section.rows.len(), ROWS_MAX)?;
                    for row in &section.rows {
                        choice_id(&row.id)?;
                        within("a row's title", &row.title, TITLE_CHARS_MAX)?;
                        if let Some(description) = &row.description {
                            within("a row's description", description, DESCRIPTION_CHARS_MAX)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn counted(what: &str, count: usize, most: usize) -> Result<(), String> {
    if (1..=most).contains(&count) { Ok(()) } else { Err(format!("there must be 1 to {most} {what}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: &Value) -> Interactive {
        serde_json::from_value(value.clone()).expect("reads")
    }

    #[test]
    fn it_reads_and_writes_as_the_route_has_it() {
        let buttons = json!({ "body": "b", "footer": "f", "buttons": [
            { "id": "1", "text": "Yes" }, { "url": "https://a.id", "text": "See" }] });
        let list = json!({ "body": "b", "buttonText": "Open", "sections": [
            { "rows": [{ "id": "1", "title": "One", "description": "first" }] }] });
        for body in [buttons, list] {
            assert_eq!(json!(read(&body)), body);
            assert_eq!(read(&body).check(), Ok(()));
        }
    }

    #[test]
    fn what_is_beyond_a_limit_is_refused_with_its_name() {
        let row = |id: &str| json!({ "id": id, "title": "t" });
        for (body, why) in [
            (json!({ "body": "", "buttons": [{ "id": "1", "text": "Yes" }] }), "body"),
            (json!({ "body": "b", "buttons": [] }), "1 to 3 buttons"),
            (json!({ "body": "b", "buttons": [{ "url": "ftp://a", "text": "x" }] }), "https://"),
            (json!({ "body": "b", "buttonText": "o", "sections": [{ "rows": [row("1"), row("1")] }] }), "twice"),
            (
                json!({ "body": "b", "buttonText": "o", "sections": [{ "rows": [row("1")] }, { "rows": [row("2")] }] }),
                "title",
            ),
        ] {
            let refused = read(&body).check().expect_err("refused");
            assert!(refused.contains(why), "{refused}");
        }
    }
}
