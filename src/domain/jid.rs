//! WhatsApp addresses. Parsed once at the edge; afterwards a [`ChatId`] is trusted.
//!
//! Accepted spellings: digits with `+`, spaces, dashes, dots and parentheses; `NUMBER@s.whatsapp.net`,
//! `NUMBER@c.us` (the older web spelling), `NUMBER@lid`, `ID@g.us`, each with an optional `:device` that is dropped; and
//! `ID@newsletter`, where a newsletter can be meant.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Digits of a phone number in international form (ITU-T E.164 allows 15).
pub const PHONE_DIGITS_MIN: usize = 7;
pub const PHONE_DIGITS_MAX: usize = 15;
/// Characters of an address before its `@`.
const USER_CHARS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    #[error("is empty; give a phone number such as 6281234567890 or a JID")]
    Empty,
    #[error("is not a phone number of {PHONE_DIGITS_MIN} to {PHONE_DIGITS_MAX} digits in international form")]
    Phone,
    #[error(
        "begins with 0; write the number in international form, for example 6281234567890 in place of 081234567890"
    )]
    National,
    #[error("has an unknown server after \"@\"; use s.whatsapp.net, lid or g.us")]
    Server,
    #[error("is a newsletter, which takes texts alone; name a person or a group")]
    Newsletter,
    #[error("is not the id of a newsletter")]
    NotNewsletter,
    #[error("is not a group id")]
    Group,
    #[error("is a group; name a person")]
    Person,
}

/// Where status posts go, as WhatsApp addresses them all.
const STATUS: &str = "status@broadcast";

/// A chat's address without a device part: `6281234567890@s.whatsapp.net`, `…@lid`, `…@g.us`, `…@newsletter`; or the list of status
/// posts, which nobody names as a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct ChatId(String);

impl ChatId {
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidAddress::Empty);
        }
        let Some((user, server)) = text.split_once('@') else {
            return PhoneNumber::parse(text).map(|phone| phone.chat());
        };
        let user = user.split(':').next().unwrap_or(user);
        match server {
            "s.whatsapp.net" | "c.us" => PhoneNumber::parse(user).map(|phone| phone.chat()),
            "lid" if is_number(user) => Ok(Self(format!("{user}@lid"))),
            "lid" => Err(InvalidAddress::Phone),
            "g.us" if is_group(user) => Ok(Self(format!("{user}@g.us"))),
            "g.us" => Err(InvalidAddress::Group),
            "newsletter" => NewsletterId::parse(user).map(|newsletter| newsletter.chat()),
            _ => Err(InvalidAddress::Server),
        }
    }

    /// As a person writes it: a number in its national form is refused, because WhatsApp would take it for another one. So is
    /// a newsletter, in which little can be done of what is done in a chat.
    pub fn parse_written(text: &str) -> Result<Self, InvalidAddress> {
        let chat = Self::parse_written_anywhere(text)?;
        if chat.is_newsletter() { Err(InvalidAddress::Newsletter) } else { Ok(chat) }
    }

    /// The same, where a newsletter may be meant.
    pub fn parse_written_anywhere(text: &str) -> Result<Self, InvalidAddress> {
        let chat = Self::parse(text)?;
        if chat.phone().is_some_and(|phone| phone.starts_with('0')) {
            return Err(InvalidAddress::National);
        }
        Ok(chat)
    }

    /// The list of status posts.
    pub fn status() -> Self {
        Self(STATUS.to_owned())
    }

    /// As it was stored: what [`ChatId::parse`] takes, or the list of status posts.
    pub fn stored(text: &str) -> Result<Self, InvalidAddress> {
        if text == STATUS { Ok(Self::status()) } else { Self::parse(text) }
    }

    pub fn is_status(&self) -> bool {
        self.0 == STATUS
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_group(&self) -> bool {
        self.0.ends_with("@g.us")
    }

    pub fn is_newsletter(&self) -> bool {
        self.0.ends_with("@newsletter")
    }

    /// The phone number, when the address carries one (a lid, a group and a newsletter do not).
    pub fn phone(&self) -> Option<&str> {
        self.0.strip_suffix("@s.whatsapp.net")
    }
}

fn is_number(user: &str) -> bool {
    !user.is_empty() && user.len() <= USER_CHARS_MAX && user.bytes().all(|b| b.is_ascii_digit())
}

fn is_group(user: &str) -> bool {
    !user.is_empty() && user.len() <= USER_CHARS_MAX && user.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ChatId {
    type Error = InvalidAddress;
    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        Self::parse(&text)
    }
}

impl From<ChatId> for String {
    fn from(chat: ChatId) -> Self {
        chat.0
    }
}

/// A group's address: `120363000000000001@g.us`. Its `@g.us` may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupId(String);

impl GroupId {
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let user = text.trim();
        let user = user.strip_suffix("@g.us").unwrap_or(user);
        if is_group(user) { Ok(Self(format!("{user}@g.us"))) } else { Err(InvalidAddress::Group) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn chat(&self) -> ChatId {
        ChatId(self.0.clone())
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of a newsletter, which people call a channel: `120363400000000001@newsletter`. Its `@newsletter` may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NewsletterId(String);

impl NewsletterId {
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let user = text.trim();
        let user = user.strip_suffix("@newsletter").unwrap_or(user);
        if is_number(user) { Ok(Self(format!("{user}@newsletter"))) } else { Err(InvalidAddress::NotNewsletter) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn chat(&self) -> ChatId {
        ChatId(self.0.clone())
    }
}

impl fmt::Display for NewsletterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person's address, by phone number or by lid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PersonId(String);

impl PersonId {
    /// As [`ChatId::parse_written`], and no group.
    pub fn parse_written(text: &str) -> Result<Self, InvalidAddress> {
        let chat = ChatId::parse_written(text)?;
        if chat.is_group() { Err(InvalidAddress::Person) } else { Ok(Self(chat.0)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn chat(&self) -> ChatId {
        ChatId(self.0.clone())
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A phone number in international form, digits only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Drops what people write between digits and refuses the rest.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let mut digits = String::with_capacity(text.len());
        for (at, c) in text.trim().chars().enumerate() {
            match c {
                '0'..='9' => digits.push(c),
                '+' if at == 0 => {}
                ' ' | '-' | '.' | '(' | ')' => {}
                _ => return Err(InvalidAddress::Phone),
            }
        }
        let length_fits = (PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&digits.len());
        if length_fits { Ok(Self(digits)) } else { Err(InvalidAddress::Phone) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn chat(&self) -> ChatId {
        ChatId(format!("{}@s.whatsapp.net", self.0))
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = InvalidAddress;
    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        Self::parse(&text)
    }
}

impl From<PhoneNumber> for String {
    fn from(phone: PhoneNumber) -> Self {
        phone.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_number_means_the_same_chat() {
        for text in [
            "6281234567890",
            "+62 812-3456-7890",
            " (62) 812.3456.7890 ",
            "6281234567890@s.whatsapp.net",
            "6281234567890@c.us",
            "6281234567890:12@s.whatsapp.net",
        ] {
            assert_eq!(ChatId::parse(text).as_ref().map(ChatId::as_str), Ok("6281234567890@s.whatsapp.net"), "{text}");
        }
    }

    #[test]
    fn groups_and_lids_keep_their_server() {
        assert!(ChatId::parse("120363000000000001@g.us").is_ok_and(|c| c.is_group()));
        assert!(ChatId::parse("628123-1600000000@g.us").is_ok_and(|c| c.is_group()));
        assert_eq!(ChatId::parse("123456789012345@lid").map(|c| c.phone().map(str::to_owned)), Ok(None));
    }

    #[test]
    fn the_list_of_status_posts_is_read_from_the_store_and_never_from_a_request() {
        assert!(ChatId::stored("status@broadcast").is_ok_and(|chat| chat.is_status()));
        assert!(ChatId::stored("6281234567890").is_ok_and(|chat| !chat.is_status()));
        assert_eq!(ChatId::parse("status@broadcast"), Err(InvalidAddress::Server));
        assert_eq!(ChatId::parse_written("status@broadcast"), Err(InvalidAddress::Server));
    }

    #[test]
    fn a_group_is_no_person_and_a_person_no_group() {
        for text in ["120363000000000001@g.us", "120363000000000001", " 628123-1600000000 "] {
            assert!(GroupId::parse(text).is_ok_and(|group| group.as_str().ends_with("@g.us")), "{text}");
        }
        assert_eq!(GroupId::parse("6281234567890@s.whatsapp.net"), Err(InvalidAddress::Group));
        assert_eq!(GroupId::parse(""), Err(InvalidAddress::Group));
        assert_eq!(PersonId::parse_written("120363000000000001@g.us"), Err(InvalidAddress::Person));
        assert_eq!(PersonId::parse_written("0812 3456 7890"), Err(InvalidAddress::National));
        assert!(PersonId::parse_written("+62 812-3456-7890").is_ok());
    }

    #[test]
    fn a_newsletter_is_meant_only_where_it_can_be() {
        let text = "120363400000000001@newsletter";
        for spelling in [text, " 120363400000000001 "] {
            assert_eq!(NewsletterId::parse(spelling).as_ref().map(NewsletterId::as_str), Ok(text), "{spelling}");
        }
        assert!(
            ChatId::parse(text).is_ok_and(|chat| chat.is_newsletter() && !chat.is_group() && chat.phone().is_none())
        );
        assert!(ChatId::parse_written_anywhere(text).is_ok_and(|chat| chat.as_str() == text));
        assert_eq!(ChatId::parse_written(text), Err(InvalidAddress::Newsletter));
        assert_eq!(PersonId::parse_written(text), Err(InvalidAddress::Newsletter));
        assert_eq!(NewsletterId::parse("120363000000000001@g.us"), Err(InvalidAddress::NotNewsletter));
        assert_eq!(ChatId::parse("x@newsletter"), Err(InvalidAddress::NotNewsletter));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        assert_eq!(ChatId::parse("  "), Err(InvalidAddress::Empty));
        assert_eq!(ChatId::parse("abc"), Err(InvalidAddress::Phone));
        assert_eq!(ChatId::parse("123"), Err(InvalidAddress::Phone));
        assert_eq!(ChatId::parse_written("0812 3456 7890"), Err(InvalidAddress::National));
        assert_eq!(ChatId::parse("6281234567890@example.com"), Err(InvalidAddress::Server));
        assert_eq!(ChatId::parse("x@g.us"), Err(InvalidAddress::Group));
        assert_eq!(ChatId::parse("6281234567890\u{0}@s.whatsapp.net"), Err(InvalidAddress::Phone));
    }
}
