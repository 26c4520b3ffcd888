//! What arrives from WhatsApp on a device's connection, for looking into trouble: the newest stanzas, while the operator has
//! it switched on.
//!
//! Only what comes in: the client library reports no stanza that it sends. What a stanza holds is never kept, only how
//! long it is, and neither are attributes that open something.

use crate::domain::clock::UnixMs;
use crate::telemetry::redact::{MASK, is_secret_field};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use wacore_binary::{NodeContentRef, NodeRef};

/// Stanzas of one device; the oldest makes room.
const STANZAS_KEPT_MAX: usize = 200;
/// Bytes of a stanza's preview; the rest is cut off.
const PREVIEW_BYTES_MAX: usize = 2_048;
/// Characters of an attribute's value.
const VALUE_CHARS_MAX: usize = 120;
/// Stanzas within stanzas that are shown.
const DEPTH_MAX: usize = 8;
/// Attributes that open something, beside those that their name tells.
const SECRET_ATTRIBUTES: [&str; 4] = ["auth", "code", "nonce", "ref"];

/// A stanza that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapped {
    pub at: UnixMs,
    pub tag: String,
    pub preview: String,
    /// Bytes of the stanza as it travels within the encryption.
    pub raw_size: usize,
}

#[derive(Default)]
pub(super) struct Tap(Mutex<VecDeque<Tapped>>);

impl Tap {
    pub(super) fn arrived(&self, stanza: &NodeRef<'_>, at: UnixMs) {
        let mut preview = String::new();
        write_stanza(&mut preview, stanza, 0);
        cut(&mut preview, PREVIEW_BYTES_MAX);
        let raw_size = wacore_binary::marshal::marshal_ref(stanza).map_or(0, |bytes| bytes.len());
        let tapped = Tapped { at, tag: stanza.tag.to_string(), preview, raw_size };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= STANZAS_KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(tapped);
    }

    /// The newest first.
    pub(super) fn newest(&self, count: usize) -> Vec<Tapped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().take(count).cloned().collect()
    }
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

fn write_stanza(text: &mut String, stanza: &NodeRef<'_>, depth: usize) {
    // Writing to a text does not fail.
    let _ = write!(text, "<{}", stanza.tag);
    for (name, value) in stanza.attrs_iter() {
        let name = name.to_string();
        let secret = is_secret_field(&name) || SECRET_ATTRIBUTES.contains(&name.as_str());
        let value: String =
            if secret { MASK.to_owned() } else { value.as_str().chars().take(VALUE_CHARS_MAX).collect() };
        let _ = write!(text, " {name}={value:?}");
    }
    let held = match &stanza.content {
        None => {
            text.push_str("/>");
            return;
        }
        Some(NodeContentRef::Nodes(inner)) if depth < DEPTH_MAX && text.len() < PREVIEW_BYTES_MAX => {
            text.push('>');
            inner.iter().for_each(|one| write_stanza(text, one, depth + 1));
            None
        }
        Some(NodeContentRef::Nodes(inner)) => Some(format!("[{} within]", inner.len())),
        Some(NodeContentRef::Bytes(bytes)) => Some(format!("[{} bytes]", bytes.len())),
        Some(NodeContentRef::String(held)) => Some(format!("[{} characters]", held.chars().count())),
    };
    if let Some(held) = held {
        let _ = write!(text, ">{held}");
    }
    let _ = write!(text, "</{}>", stanza.tag);
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    fn kept(tap: &Tap) -> Vec<Tapped> {
        tap.newest(usize::MAX)
    }

    #[test]
    fn a_preview_has_names_and_lengths_and_nothing_that_opens_something() {
        let tap = Tap::default();
        let inner = NodeBuilder::new("enc").attr("v", "2").bytes(vec![7; 40]).build();
        let stanza = NodeBuilder::new("message").attr("id", "A1").attr("auth", "open sesame").children([inner]).build();

        tap.arrived(&stanza.as_node_ref(), 5);

        let [one] = kept(&tap).try_into().expect("one stanza");
        assert_eq!((one.at, one.tag.as_str()), (5, "message"));
        assert_eq!(one.preview, "<message id=\"A1\" auth=\"[redacted]\"><enc v=\"2\">[40 bytes]</enc></message>");
        assert!(one.raw_size > 40);
    }

    #[test]
    fn the_newest_are_kept_and_a_long_one_is_cut() {
        let tap = Tap::default();
        let long = (0..100).map(|n| NodeBuilder::new("item").attr("n", "ä".repeat(100 + n)).build());
        tap.arrived(&NodeBuilder::new("iq").children(long.collect::<Vec<_>>()).build().as_node_ref(), 0);
        assert!(kept(&tap)[0].preview.len() <= PREVIEW_BYTES_MAX);

        for at in 1..=250 {
            tap.arrived(&NodeBuilder::new("ack").build().as_node_ref(), at);
        }

        let kept = kept(&tap);
        assert_eq!((kept.len(), kept[0].at, kept[199].at), (200, 250, 51));
        assert_eq!(tap.newest(2).len(), 2);
    }
}
