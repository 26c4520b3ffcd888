//! Messages with buttons or a list to choose from.

use serde::{Deserialize, Serialize};

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
/// Characters of the id that an answer brings back.
pub const CHOICE_ID_CHARS_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interactive {
    pub body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    pub choices: Choices,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choices {
    Buttons(Vec<Button>),
    List {
        /// What stands on the button that opens the list.
        label: String,
        sections: Vec<Section>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// The answer names `id`.
    Reply { id: String, text: String },
    /// Opens an address.
    Link { text: String, url: String },
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
