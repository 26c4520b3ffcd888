//! The words of the gateway and the decisions that need no I/O: everything here is pure and synchronous.
//!
//! Glossary. One word, one thing; a new noun goes here first.
//!
//! - **tenant**: a business or integrator; owns everything below and sees nothing of another tenant.
//! - **device**: one linked WhatsApp account of a tenant, as WhatsApp's "linked devices" names it.
//! - **session**: a device's keys and protocol state; lives encrypted in the store.
//! - **chat**: a conversation of a device, with one contact or a group; named by its JID.
//! - **line**: a message as its chat shows it, whichever way it came.
//! - **contact**: a person on WhatsApp; may be known by phone number, by lid, or by both.
//! - **message**: one WhatsApp message, coming in (inbox) or going out (outbox).
//! - **media**: a file of a tenant: uploaded, sent, or received with a message.
//! - **event**: one thing that happened, a row of the append-only event log.
//! - **webhook**: a tenant's HTTP endpoint and the event types it wants.
//! - **delivery**: one event to one webhook; **attempt**: one HTTP request of a delivery.
//! - **plugin**, **pipeline**: a WASM component of a tenant; the tenant's ordered plugins.
//! - **hook**: a point at which a plugin is called; **verdict**: what it decides; **effect**: what it wants done.
//! - **aftermath**: what hooks leave behind (values, log lines, traces, messages), committed with their decision.
//! - **poll**, **vote**, **tally**: a question with options; what one person chose last; who chose an option.
//! - **template**: a tenant's named text or file with places to fill.
//! - **status post**: what an account shows to people for a day; its **audience**: whom it is for.
//! - **label**: an account's own mark on its chats.
//! - **trial**: a version of a plugin on live traffic before it serves. A **candidate** is that version beside the one that
//!   serves; a **shadow** only watches, a **canary** has a share of the chats.
//! - **allowance**: what a tenant may do how often, where its file says so.
//! - **lease**: the right of one running gateway to drive one device, with an epoch that fences the past.

pub mod aftermath;
pub mod allowance;
pub mod backoff;
pub mod chat;
pub mod clock;
pub mod correction;
pub mod delivery;
pub mod device;
pub mod event;
pub mod group;
pub mod ids;
pub mod interactive;
pub mod jid;
pub mod label;
pub mod media;
pub mod moment;
pub mod outgoing;
pub mod poll;
pub mod presence;
pub mod privacy;
pub mod secret;
pub mod status_post;
pub mod template;
pub mod trial;
pub mod webhook;
