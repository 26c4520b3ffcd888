//! Who is there, and what they do in a chat.

/// What one can show of oneself, and see of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Available,
    Unavailable,
    Composing,
    Recording,
    Paused,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be available, unavailable, composing, recording or paused")]
pub struct UnknownPresence;

impl Presence {
    pub fn parse(text: &str) -> Result<Self, UnknownPresence> {
        let all = [Self::Available, Self::Unavailable, Self::Composing, Self::Recording, Self::Paused];
        all.into_iter().find(|one| one.as_str() == text).ok_or(UnknownPresence)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Composing => "composing",
            Self::Recording => "recording",
            Self::Paused => "paused",
        }
    }
}
