//! What a plugin may hand over, and how it is told that something is too much.

use crate::domain::jid::ChatId;
use crate::domain::outgoing::{EMOJI_CHARS_MAX, TEXT_CHARS_MAX};
use crate::plugins::bindings::types;
use crate::plugins::instance::cut;
use serde_json::Value;

/// Bytes of a content that is not text, as JSON.
pub(super) const CONTENT_BYTES_MAX: usize = 256 << 10;
/// Levels of JSON from a plugin. A document that holds it is read again by parsers that stop at 128.
const JSON_LEVELS_MAX: usize = 32;
/// Characters of a place's name or address, or a contact's name.
pub(super) const NAME_CHARS_MAX: usize = 1_000;
pub(super) const VCARD_CHARS_MAX: usize = 65_536;
const MESSAGE_ID_CHARS_MAX: usize = 128;

/// What a patch or effect asks for cannot be done; the text is for the plugin's author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::plugins) struct Unusable(pub(in crate::plugins) String);

pub(super) fn unusable(why: impl Into<String>) -> Unusable {
    // It may quote what the plugin said.
    Unusable(cut(&why.into()))
}

pub(super) fn limited(text: &str) -> Result<String, Unusable> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(unusable(format!("a text has more than {TEXT_CHARS_MAX} characters")));
    }
    Ok(text.to_owned())
}

/// At most so many characters, and, when it has to say something, at least one.
pub(super) fn short(what: &str, text: &str, chars_min: usize, chars_max: usize) -> Result<String, Unusable> {
    let count = text.chars().take(chars_max + 1).count();
    if !(chars_min..=chars_max).contains(&count) {
        return Err(unusable(format!("{what} must have {chars_min} to {chars_max} characters")));
    }
    Ok(text.to_owned())
}

/// A reaction's emoji; empty takes the reaction back.
pub(in crate::plugins) fn emoji(text: &str) -> Result<String, Unusable> {
    short("an emoji", text, 0, EMOJI_CHARS_MAX)
}

/// The id of the message that a message answers.
pub(in crate::plugins) fn quoted(new: &types::NewMessage) -> Result<Option<String>, Unusable> {
    new.reply_to.as_deref().map(message_id).transpose()
}

pub(super) fn message_id(text: &str) -> Result<String, Unusable> {
    short("the id of a message", text, 1, MESSAGE_ID_CHARS_MAX)
}

pub(super) fn on_earth(at: &types::Location) -> Result<(), Unusable> {
    // Neither holds of a number that is none.
    if !(-90.0..=90.0).contains(&at.latitude) || !(-180.0..=180.0).contains(&at.longitude) {
        return Err(unusable("a location lies outside of -90..90, -180..180"));
    }
    for text in [&at.name, &at.address].into_iter().flatten() {
        short("a location's name or address", text, 0, NAME_CHARS_MAX)?;
    }
    Ok(())
}

/// A JSON text of a plugin.
pub(super) fn parsed(what: &str, text: &str, bytes_max: usize) -> Result<Value, Unusable> {
    if text.len() > bytes_max {
        return Err(unusable(format!("{what} has more than {bytes_max} bytes")));
    }
    let value: Value = serde_json::from_str(text).map_err(|_| unusable(format!("{what} is no JSON")))?;
    if deeper_than(&value, JSON_LEVELS_MAX) {
        return Err(unusable(format!("{what} has more than {JSON_LEVELS_MAX} levels")));
    }
    Ok(value)
}

/// The parser's own limit bounds the recursion.
fn deeper_than(value: &Value, levels: usize) -> bool {
    let below = |value: &Value| levels == 0 || deeper_than(value, levels - 1);
    match value {
        Value::Array(items) => items.iter().any(below),
        Value::Object(members) => members.values().any(below),
        _ => false,
    }
}

/// A recipient as a plugin writes it: a phone number, a contact id or a JID.
pub(in crate::plugins) fn recipient(to: &str) -> Result<ChatId, Unusable> {
    ChatId::parse_written(to).map_err(|error| unusable(format!("the recipient {to:?} {error}")))
}
