//! Media: its kinds, what WhatsApp takes of each, and whether a file is what somebody says it is.

use serde::{Deserialize, Serialize};

/// Characters of a file's name; of a longer one the beginning is kept.
pub const FILE_NAME_CHARS_MAX: usize = 255;
/// Characters of a caption, as WhatsApp's own clients allow.
pub const CAPTION_CHARS_MAX: usize = 4_096;

const MIB: u64 = 1 << 20;

/// As what a message shows a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Video,
    Audio,
    Document,
    Sticker,
}

impl MediaKind {
    pub const ALL: [Self; 5] = [Self::Image, Self::Video, Self::Audio, Self::Document, Self::Sticker];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Bytes of a file of this kind. WhatsApp publishes no figures; these are what its phones take, and beyond them a
    /// message may be accepted and never shown.
    pub fn bytes_max(self) -> u64 {
        match self {
            Self::Sticker => MIB,
            Self::Image => 16 * MIB,
            Self::Video | Self::Audio => 100 * MIB,
            Self::Document => 2_048 * MIB,
        }
    }
}

/// What a tenant's file says of its media; what is left out is as the gateway's configuration says. The store reads both by
/// these names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantMedia {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Received>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
}

/// When a received file is fetched from WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// When somebody asks for it.
    Lazy,
    /// When its event is committed.
    Eager,
}

impl Received {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "lazy" => Ok(Self::Lazy),
            "eager" => Ok(Self::Eager),
            _ => Err("must be lazy or eager"),
        }
    }
}

/// Where a received file lies at WhatsApp and what opens it, with what it takes to ask its phone for it again. Kept sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteMedia {
    pub kind: MediaKind,
    pub direct_path: String,
    pub key: Vec<u8>,
    /// Of the file.
    pub sha256: Vec<u8>,
    /// Of the file as WhatsApp keeps it.
    pub sealed_sha256: Vec<u8>,
    /// As the message says.
    pub size: u64,
    pub chat: String,
    pub sender: String,
    pub wa_id: String,
    pub from_me: bool,
    pub is_group: bool,
}

/// Where WhatsApp keeps what we uploaded, and what opens it. Kept sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedMedia {
    pub url: String,
    pub direct_path: String,
    pub key: Vec<u8>,
    pub sha256: Vec<u8>,
    pub sealed_sha256: Vec<u8>,
    pub size: u64,
    /// Unix seconds at which the key was made.
    pub key_at: i64,
    pub sidecar: Option<Vec<u8>>,
}

/// What a message can say of a file beside its bytes; what its headers do not tell is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dimensions {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub seconds: Option<u32>,
}

/// Why a received file is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaFailure {
    /// WhatsApp has it no more, and the phone gave it no second time.
    Expired,
    /// What came was not what the message describes.
    Corrupt,
    /// Larger than the gateway takes.
    TooLarge,
    /// The tenant stores as much as it may.
    TenantFull,
    /// WhatsApp's hosts did not give it, several times.
    Unreachable,
}

impl MediaFailure {
    pub const ALL: [Self; 5] = [Self::Expired, Self::Corrupt, Self::TooLarge, Self::TenantFull, Self::Unreachable];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too_large",
            Self::TenantFull => "tenant_full",
            Self::Unreachable => "unreachable",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.as_str() == text)
    }
}

/// The file is not what it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("the file is said to be {claimed} and is {found}")]
    Claim { claimed: String, found: String },
    #[error("the file is said to be {0}, and its beginning is not of that kind")]
    Unrecognised(String),
    #[error("{kind} takes {takes}, and the file is {found}")]
    Kind { kind: &'static str, takes: &'static str, found: String },
    #[error("the type must read like image/png")]
    Syntax,
}

/// The type of a file whose beginning was recognised as `found`, or as nothing, when it is said to be `claimed`. Types whose
/// first half agrees count as one: what was found is the better word for it.
pub fn settle_type(claimed: Option<&str>, found: Option<&str>) -> Result<String, Mismatch> {
    const UNKNOWN: &str = "application/octet-stream";
    /// What servers and programs say that do not know either.
    const SAY_NOTHING: [&str; 4] =
        [UNKNOWN, "binary/octet-stream", "application/force-download", "application/x-download"];
    let claimed = claimed.map(str::trim).filter(|claimed| !claimed.is_empty());
    let claimed = claimed.map(|claimed| plausible(claimed).then_some(claimed).ok_or(Mismatch::Syntax)).transpose()?;
    let claimed = claimed.filter(|claimed| !SAY_NOTHING.contains(&essence(claimed).as_str()));
    let (claimed, found) = match (claimed, found) {
        (None, found) => return Ok(found.unwrap_or(UNKNOWN).to_owned()),
        (Some(claimed), Some(found)) => (claimed, found),
        (Some(claimed), None) if ["image", "video", "audio"].contains(&family(claimed)) => {
            // An SVG is text: no phone shows it as an image, and as a document it may go.
            let is_text = essence(claimed) == "image/svg+xml";
            return if is_text { Ok(claimed.to_owned()) } else { Err(Mismatch::Unrecognised(claimed.to_owned())) };
        }
        (Some(claimed), None) => return Ok(claimed.to_owned()),
    };
    if essence(claimed) == essence(found) || is_container_of(found, claimed) {
        return Ok(claimed.to_owned());
    }
    if family(claimed) == family(found) && family(claimed) != "application" {
        return Ok(found.to_owned());
    }
    Err(Mismatch::Claim { claimed: claimed.to_owned(), found: found.to_owned() })
}

/// As what a file of this type goes out: as `wanted` when it can, or as what phones show such files as.
pub fn settle_kind(wanted: Option<MediaKind>, mime: &str) -> Result<MediaKind, Mismatch> {
    let type_ = essence(mime);
    let takes = |kind: MediaKind| match kind {
        MediaKind::Image => ["image/jpeg", "image/png", "image/webp"].contains(&type_.as_str()),
        MediaKind::Video => ["video/mp4", "video/3gpp", "video/quicktime"].contains(&type_.as_str()),
        MediaKind::Audio => family(&type_) == "audio" || type_ == "video/mp4",
        MediaKind::Sticker => type_ == "image/webp",
        MediaKind::Document => true,
    };
    let named = |kind: MediaKind| match kind {
        MediaKind::Image => "a JPEG, PNG or WebP picture",
        MediaKind::Video => "an MP4, 3GPP or QuickTime film",
        MediaKind::Audio => "a sound file",
        MediaKind::Sticker => "a WebP picture",
        MediaKind::Document => "any file",
    };
    match wanted {
        Some(kind) if takes(kind) => Ok(kind),
        Some(kind) => Err(Mismatch::Kind { kind: kind.as_str(), takes: named(kind), found: mime.to_owned() }),
        None if takes(MediaKind::Image) => Ok(MediaKind::Image),
        None if takes(MediaKind::Video) => Ok(MediaKind::Video),
        None if family(&type_) == "audio" => Ok(MediaKind::Audio),
        None => Ok(MediaKind::Document),
    }
}

/// A type without its parameters, in lower case.
pub fn essence(mime: &str) -> String {
    mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn family(mime: &str) -> &str {
    mime.split('/').next().unwrap_or_default()
}

/// `a/b` with parameters of plain characters: it is written into headers and messages as it stands.
fn plausible(mime: &str) -> bool {
    const MIME_CHARS_MAX: usize = 127;
    let token =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    let parameters = mime.split_once(';').map_or("", |(_, rest)| rest);
    mime.len() <= MIME_CHARS_MAX
        && parameters.bytes().all(|b| (b' '..=b'~').contains(&b))
        && essence(mime).split_once('/').is_some_and(|(a, b)| token(a) && token(b))
}

/// Formats that are made of others: a beginning tells the outer one only.
fn is_container_of(found: &str, claimed: &str) -> bool {
    let claimed = essence(claimed);
    match found {
        // Office files, archives of applications; older office files; text in its many dresses.
        "application/zip" | "application/x-ole-storage" | "application/gzip" => family(&claimed) == "application",
        "text/xml" | "text/html" | "text/plain" | "text/x-shellscript" | "application/xml" => {
            ["text", "application"].contains(&family(&claimed)) || claimed == "image/svg+xml"
        }
        // One container for sound alone and for film.
        "video/mp4" | "audio/m4a" | "video/webm" | "video/x-matroska" | "audio/ogg" | "video/ogg"
        | "application/ogg" => {
            ["video", "audio"].contains(&family(&claimed))
                && essence(found).rsplit('/').next().is_some_and(|name| {
                    let same = |other: &str| claimed.ends_with(other);
                    same(name)
                        || (["mp4", "m4a"].contains(&name) && (same("mp4") || same("m4a") || same("aac")))
                        || (name == "ogg" && same("opus"))
                })
        }
        _ => false,
    }
}

/// A name that is nothing but a name: no folders, no control characters, not too long.
pub fn file_name(written: &str) -> Option<String> {
    let last = written.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control()).take(FILE_NAME_CHARS_MAX).collect();
    let plain = plain.trim().trim_matches('.').trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_the_content_contradicts_is_refused() {
        for (claimed, found) in [
            ("image/jpeg", "application/pdf"),
            ("application/pdf", "image/png"),
            ("audio/mpeg", "application/zip"),
            ("application/pdf", "application/vnd.microsoft.portable-executable"),
        ] {
            assert!(
                matches!(settle_type(Some(claimed), Some(found)), Err(Mismatch::Claim { .. })),
                "{claimed} {found}"
            );
        }
        assert!(matches!(settle_type(Some("image/png"), None), Err(Mismatch::Unrecognised(_))));
        assert_eq!(settle_type(Some("image/png\r\nx: y"), Some("image/png")), Err(Mismatch::Syntax));
        assert_eq!(settle_type(Some("png"), None), Err(Mismatch::Syntax));
    }

    #[test]
    fn what_was_found_names_a_file_better_than_what_was_said_of_it() {
        for (claimed, found, settled) in [
            (None, Some("image/png"), "image/png"),
            (None, None, "application/octet-stream"),
            (Some("application/octet-stream"), Some("video/mp4"), "video/mp4"),
            (Some("image/jpeg"), Some("image/png"), "image/png"),
            (Some("audio/ogg; codecs=opus"), Some("audio/ogg"), "audio/ogg; codecs=opus"),
            (Some("audio/mp4"), Some("video/mp4"), "audio/mp4"),
            (Some("text/csv"), None, "text/csv"),
            (
                Some("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
                Some("application/zip"),
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
            (Some("image/svg+xml"), Some("text/xml"), "image/svg+xml"),
        ] {
            assert_eq!(settle_type(claimed, found).as_deref(), Ok(settled), "{claimed:?} {found:?}");
        }
    }

    #[test]
    fn a_kind_is_found_from_the_type_and_takes_only_what_phones_show() {
        for (mime, kind) in [
            ("image/png", MediaKind::Image),
            ("video/mp4", MediaKind::Video),
            ("audio/ogg; codecs=opus", MediaKind::Audio),
            ("application/pdf", MediaKind::Document),
            ("image/gif", MediaKind::Document),
            ("image/svg+xml", MediaKind::Document),
        ] {
            assert_eq!(settle_kind(None, mime), Ok(kind), "{mime}");
            assert_eq!(settle_kind(Some(MediaKind::Document), mime), Ok(MediaKind::Document));
        }
        assert!(settle_kind(Some(MediaKind::Image), "application/pdf").is_err());
        assert!(settle_kind(Some(MediaKind::Sticker), "image/png").is_err());
    }

    #[test]
    fn a_file_name_leads_nowhere() {
        assert_eq!(file_name("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(file_name("C:\\temp\\plan.pdf").as_deref(), Some("plan.pdf"));
        assert_eq!(file_name("a\r\nb.txt").as_deref(), Some("ab.txt"));
        assert_eq!(file_name(".."), None);
        assert_eq!(file_name("a/").as_deref(), None);
    }
}
