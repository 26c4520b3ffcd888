//! Between the gateway's own forms and those of `wit/`: events and messages on their way in, patches and effects on
//! their way out. What a plugin hands over is bounded here, and refused in words for its author.

mod bounds;
mod event;
mod patch;
mod sendable;
mod sent;

pub(super) use bounds::{Unusable, emoji, quoted, recipient};
pub(super) use event::{event, forwardable};
pub(super) use patch::{add_tags, patched, replaces_content};
pub(super) use sendable::{sendable, template_media};
pub(super) use sent::{Sent, patched_content, sent};
