//! What is asked about groups and pictures, checked at the edge.

use serde::Serialize;
use utoipa::ToSchema;

/// WhatsApp's own limits.
pub const SUBJECT_CHARS_MAX: usize = 100;
pub const DESCRIPTION_CHARS_MAX: usize = 2_048;
/// People in one request; WhatsApp takes about as many at once.
pub const PEOPLE_MAX: usize = 256;
pub const INVITE_CHARS_MAX: usize = 256;
/// After how many seconds messages may disappear: never, a day, a week, 90 days. Other times phones do not offer.
pub const EPHEMERAL_SECONDS: [u32; 4] = [0, 86_400, 604_800, 7_776_000];

/// What happens to people and their place in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    Add,
    Remove,
    Promote,
    Demote,
    /// Of those who wait to be let in.
    Approve,
    Reject,
}

/// Who may add members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberAdds {
    Admins,
    Everyone,
}

/// Settings of a group to change; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub announce: Option<bool>,
    pub locked: Option<bool>,
    pub join_approval: Option<bool>,
    pub ephemeral_seconds: Option<u32>,
    pub member_add: Option<MemberAdds>,
}

impl Settings {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A picture of a group or an account: a JPEG of a size that WhatsApp takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture(Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPicture {
    #[error("must have 1 to {} bytes", Picture::BYTES_MAX)]
    Size,
    #[error("must be a JPEG")]
    Kind,
}

impl Picture {
    /// With base64 it fits a JSON body of the default size.
    pub const BYTES_MAX: usize = 512 * 1_024;
    /// Every JPEG begins with it (ITU-T T.81, start of image).
    const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

    pub fn parse(bytes: Vec<u8>) -> Result<Self, InvalidPicture> {
        if bytes.is_empty() || bytes.len() > Self::BYTES_MAX {
            return Err(InvalidPicture::Size);
        }
        if bytes.starts_with(&Self::JPEG) { Ok(Self(bytes)) } else { Err(InvalidPicture::Kind) }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_jpeg_of_a_size_that_whatsapp_takes() {
        assert!(Picture::parse(vec![0xff, 0xd8, 0xff, 0xe0]).is_ok());
        assert_eq!(Picture::parse(b"\x89PNG\r\n".to_vec()), Err(InvalidPicture::Kind));
        assert_eq!(Picture::parse(Vec::new()), Err(InvalidPicture::Size));
        let mut large = vec![0; Picture::BYTES_MAX + 1];
        large[..3].copy_from_slice(&[0xff, 0xd8, 0xff]);
        assert_eq!(Picture::parse(large), Err(InvalidPicture::Size));
    }
}
