//! Status posts: what is shown for a day to a list of people, and in no chat.

use super::jid::ChatId;
use super::outgoing::Content;
use serde::{Deserialize, Serialize};

/// Characters of a text, as WhatsApp's own clients allow.
pub const TEXT_CHARS_MAX: usize = 700;
/// People whom one post is for. It is encrypted for every device of each; more are refused.
pub const RECIPIENTS_MAX: usize = 1_000;
/// Behind a text whose colour nobody chose.
pub const BACKGROUND_DEFAULT: Background = Background(0xFF1E_6E4F);

/// A post on its way out. Stored with the outbox row, as [`Content`] is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusPost {
    /// A text, an image or a film.
    pub shown: Box<Content>,
    /// Behind a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<Font>,
    pub audience: Audience,
}

/// Whom a post is for, as it was when the post was accepted: it is taken back from the same people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    pub people: Vec<ChatId>,
    /// Whether the client named them; otherwise they are those of the address book.
    pub named: bool,
}

/// A colour, 0xAARRGGBB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Background(pub u32);

impl Background {
    /// `#RRGGBB`, or `#AARRGGBB`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be a colour such as #1E6E4F";
        let digits =
            text.strip_prefix('#').filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(WRONG)?;
        let value = u32::from_str_radix(digits, 16).map_err(|_| WRONG)?;
        match digits.len() {
            6 => Ok(Self(0xFF00_0000 | value)),
            8 => Ok(Self(value)),
            _ => Err(WRONG),
        }
    }
}

/// How a text is written, by WhatsApp's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Font {
    System,
    SystemText,
    SystemBold,
    Script,
    Morningbreeze,
    Calistoga,
    Exo2,
    Courierprime,
}

impl Font {
    pub const ALL: [Self; 8] = [
        Self::System,
        Self::SystemText,
        Self::SystemBold,
        Self::Script,
        Self::Morningbreeze,
        Self::Calistoga,
        Self::Exo2,
        Self::Courierprime,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::SystemText => "system_text",
            Self::SystemBold => "system_bold",
            Self::Script => "script",
            Self::Morningbreeze => "morningbreeze",
            Self::Calistoga => "calistoga",
            Self::Exo2 => "exo2",
            Self::Courierprime => "courierprime",
        }
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|font| font.as_str() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_read_with_and_without_its_alpha() {
        assert_eq!(Background::parse("#1e6E4f"), Ok(Background(0xFF1E_6E4F)));
        assert_eq!(Background::parse("#801E6E4F"), Ok(Background(0x801E_6E4F)));
        for text in ["1E6E4F", "#", "#1E6E4", "#1E6E4G", "#+1E6E4", "#1E6E4F0", "red"] {
            assert!(Background::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_font_is_read_by_its_name_and_stored_under_it() {
        for font in Font::ALL {
            assert_eq!(Font::parse(font.as_str()), Ok(font));
            assert_eq!(serde_json::to_value(font).ok(), Some(font.as_str().into()));
        }
        assert!(Font::parse("comic").is_err_and(|why| why.contains("courierprime")));
    }
}
