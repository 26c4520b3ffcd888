//! Labels: an account's own marks on its chats, which its devices share.

use super::clock::UnixMs;
use serde::{Deserialize, Serialize};

/// Characters of a label's name.
pub const NAME_CHARS_MAX: usize = 100;
/// Labels of one device that are made here. WhatsApp's business app makes 20 and shows what others make.
pub const LABELS_MAX: u32 = 100;
/// Labels of one device that are kept, wherever they were made; a new one beyond them is not.
pub const LABELS_KEPT_MAX: u32 = 1_000;
/// Labels of one chat that are kept; one more is not put on it.
pub const LABELS_OF_CHAT_MAX: u32 = 100;
/// The last of WhatsApp's colours; the first is 0.
pub const COLOR_MAX: u32 = 19;
/// Characters of a label's id.
pub const ID_CHARS_MAX: usize = 64;

/// A label as its chat shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LabelOfChat {
    pub id: String,
    pub name: String,
    /// One of WhatsApp's colours, 0 to 19.
    pub color: i32,
}

/// What became of a label, here or on another device of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelChange {
    /// WhatsApp's id of it, unique within an account.
    pub id: String,
    pub edit: LabelEdit,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelEdit {
    /// Made, or named otherwise; without a colour it keeps the one it has.
    Named { name: String, color: Option<i32>, at: UnixMs },
    /// Gone, and from every chat that had it.
    Deleted,
}
