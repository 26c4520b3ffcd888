//! What a person sees of a message: its kind, its text, and the details of what is not text.

use crate::account::lid_of;
use crate::attachment::{self, Kind};
use crate::book::Known;
use crate::message::{self, content};
use crate::poll::{self, Ballot};
use crate::wa;
use axum::body::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) kind: &'static str,
    pub(crate) text: Option<String>,
    /// Stands in the inbox entry under the name of the kind.
    pub(crate) details: Option<Value>,
    pub(crate) quote: Option<Value>,
    /// How often it was forwarded before, when it is marked so.
    pub(crate) forwarded: Option<u32>,
    /// What is shown of a link in the text.
    pub(crate) preview: Option<Value>,
    /// How a text is shown that stands on a colour.
    pub(crate) style: Option<Value>,
}

/// Whose phone looks at a message, and at whose.
pub(crate) struct Reader<'a> {
    /// What the phone remembers under an id.
    pub(crate) known: &'a dyn Fn(&str) -> Option<Arc<Known>>,
    /// The sender's phone number.
    pub(crate) sender: &'a str,
    /// What the media host gives for a path.
    pub(crate) file: &'a dyn Fn(&str) -> Option<Bytes>,
}

impl Reader<'_> {
    /// `None` for what no phone displays.
    pub(crate) fn shown(&self, message: &wa::Message) -> Option<Shown> {
        let inside = content(message);
        let quote = message::context(message).filter(|context| context.stanza_id.is_some()).map(|context| {
            let quoted = context.quoted_message.as_deref().and_then(|quoted| self.shown(quoted));
            json!({ "id": context.stanza_id, "participant": context.participant, "text": quoted.and_then(|q| q.text) })
        });
        let forwarded =
            message::context(message).filter(|context| context.is_forwarded()).map(wa::ContextInfo::forwarding_score);
        let preview = inside.extended_text_message.as_ref().filter(|text| text.matched_text.is_some());
        let preview = preview
            .map(|text| json!({ "url": text.matched_text, "title": text.title, "description": text.description }));
        let style = inside.extended_text_message.as_ref().filter(|text| text.background_argb.is_some());
        let style = style.map(|text| json!({ "background": text.background_argb, "font": text.font }));
        let seen = |kind, text, details| {
            let (quote, preview, style) = (quote.clone(), preview.clone(), style.clone());
            Some(Shown { kind, text, details, quote, forwarded, preview, style })
        };
        if let Some(text) = &inside.conversation {
            return seen("text", Some(text.clone()), None);
        }
        if let Some(extended) = &inside.extended_text_message {
            return seen("text", extended.text.clone(), None);
        }
        if let Some(reaction) = &inside.reaction_message {
            let key = reaction.key.clone().unwrap_or_default();
            let details = json!({ "id": key.id, "emoji": reaction.text, "from_me": key.from_me });
            return seen("reaction", reaction.text.clone(), Some(details));
        }
        if let Some(location) = &inside.location_message {
            let details = json!({
                "latitude": location.degrees_latitude,
                "longitude": location.degrees_longitude,
                "name": location.name,
                "address": location.address,
            });
            return seen("location", location.name.clone(), Some(details));
        }
        if let Some(contact) = &inside.contact_message {
            let details = json!({ "name": contact.display_name, "vcard": contact.vcard });
            return seen("contact", contact.display_name.clone(), Some(details));
        }
        if let Some(several) = &inside.contacts_array_message {
            let one = |contact: &wa::ContactMessage| json!({ "name": contact.display_name, "vcard": contact.vcard });
            let contacts: Vec<Value> = several.contacts.iter().map(one).collect();
            return seen("contacts", several.display_name.clone(), Some(json!(contacts)));
        }
        if let Some(interactive) = &inside.interactive_message {
            let body = interactive.body.as_ref().and_then(|body| body.text.clone());
            return seen("interactive", body, Some(shown_interactive(interactive)));
        }
        if let Some(answer) = &inside.interactive_response_message {
            let text = answer.body.as_ref().and_then(|body| body.text.clone());
            let params = answer.native_flow_response.as_ref().map(|flow| parsed(flow.params_json.as_deref()));
            return seen("choice", text, params);
        }
        if let Some(file) = File::of(inside) {
            return seen("media", file.caption.map(str::to_owned), Some(self.media(&file)));
        }
        if let Some(poll) = message::poll(inside) {
            let options: Vec<&str> = poll.options.iter().map(wa::poll_creation_message::Option::option_name).collect();
            let selectable = poll.selectable_options_count();
            let details = json!({ "question": poll.name, "options": options, "selectable": selectable });
            return seen("poll", poll.name.clone(), Some(details));
        }
        if let Some(update) = &inside.poll_update_message {
            return seen("vote", None, Some(self.vote(update)));
        }
        if let Some(protocol) = &inside.protocol_message {
            let id = protocol.key.as_ref().and_then(|key| key.id.clone());
            return match (&protocol.edited_message, protocol.r#type()) {
                (Some(edited), _) => {
                    let text = self.shown(edited).and_then(|shown| shown.text);
                    let details = json!({ "id": id, "text": text });
                    seen("edit", text, Some(details))
                }
                (None, wa::protocol_message::Type::Revoke) if id.is_some() => {
                    seen("delete", None, Some(json!({ "id": id })))
                }
                (None, wa::protocol_message::Type::EphemeralSetting) => {
                    let details = json!({ "seconds": protocol.ephemeral_expiration() });
                    seen("timer", None, Some(details))
                }
                _ => None,
            };
        }
        if inside.sender_key_distribution_message.is_some() {
            return None;
        }
        seen("other", None, None)
    }

    /// Downloads and opens the file, as a phone does when its owner looks at it.
    fn media(&self, file: &File<'_>) -> Value {
        let opened = (self.file)(file.path)
            .ok_or_else(|| anyhow::anyhow!("the media host has nothing under {}", file.path))
            .and_then(|blob| attachment::open(file.kind, file.key, file.sha256, file.sealed_sha256, &blob));
        let (problem, size) = match &opened {
            Ok(file) => (None, Some(file.len())),
            Err(error) => (Some(format!("{error:#}")), None),
        };
        json!({
            "kind": file.kind.name(),
            "mime": file.mime,
            "caption": file.caption,
            "file_name": file.name,
            "sha256": hex::encode(file.sha256),
            "size": size,
            "opened": opened.is_ok(),
            "problem": problem,
        })
    }

    /// The names of the chosen options, when this phone has the poll.
    fn vote(&self, update: &wa::PollUpdateMessage) -> Value {
        let id = update.poll_creation_message_key.as_ref().and_then(|key| key.id.clone()).unwrap_or_default();
        let chosen = self.chosen(&id, update);
        json!({ "id": id, "opened": chosen.is_some(), "options": chosen })
    }

    fn chosen(&self, id: &str, update: &wa::PollUpdateMessage) -> Option<Vec<String>> {
        let known = (self.known)(id)?;
        let poll = message::poll(&known.message)?;
        let secret = message::secret(&known.message);
        let vote = update.vote.as_ref()?;
        // Addressed by lid or by phone number, and never mixed.
        let addresses = [
            (format!("{}@lid", lid_of(&known.author)), format!("{}@lid", lid_of(self.sender))),
            (format!("{}@s.whatsapp.net", known.author), format!("{}@s.whatsapp.net", self.sender)),
        ];
        let hashes =
            addresses.iter().find_map(|(author, voter)| Ballot { secret, poll: id, author, voter }.open(vote).ok())?;
        let name = |chosen: &Vec<u8>| {
            let named = poll.options.iter().find(|option| poll::hash(option.option_name())[..] == chosen[..]);
            named.map(|option| option.option_name().to_owned())
        };
        hashes.iter().map(name).collect()
    }
}

/// What stands on a message with buttons; their parameters as the JSON they are.
fn shown_interactive(interactive: &wa::InteractiveMessage) -> Value {
    let button = |button: &wa::interactive_message::native_flow::Button| json!({ "name": button.name, "params": parsed(button.params_json.as_deref()) });
    let buttons: Vec<Value> = interactive.native_flow.iter().flat_map(|flow| flow.buttons.iter()).map(button).collect();
    json!({
        "header": interactive.header.as_ref().and_then(|header| header.title.clone()),
        "body": interactive.body.as_ref().and_then(|body| body.text.clone()),
        "footer": interactive.footer.as_ref().and_then(|footer| footer.text.clone()),
        "buttons": buttons,
    })
}

pub(crate) fn parsed(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

/// What the kinds of media messages have in common.
pub(crate) struct File<'a> {
    kind: Kind,
    mime: Option<&'a str>,
    caption: Option<&'a str>,
    name: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) key: &'a [u8],
    sha256: &'a [u8],
    sealed_sha256: &'a [u8],
}

impl<'a> File<'a> {
    pub(crate) fn of(message: &'a wa::Message) -> Option<Self> {
        macro_rules! file {
            ($part:expr, $kind:expr, $caption:expr, $name:expr) => {
                Some(Self {
                    kind: $kind,
                    mime: $part.mimetype.as_deref(),
                    caption: $caption,
                    name: $name,
                    path: $part.direct_path(),
                    key: $part.media_key(),
                    sha256: $part.file_sha256(),
                    sealed_sha256: $part.file_enc_sha256(),
                })
            };
        }
        if let Some(part) = &message.image_message {
            file!(part, Kind::Image, part.caption.as_deref(), None)
        } else if let Some(part) = message.video_message.as_ref().or(message.ptv_message.as_ref()) {
            file!(part, Kind::Video, part.caption.as_deref(), None)
        } else if let Some(part) = &message.audio_message {
            file!(part, Kind::Audio, None, None)
        } else if let Some(part) = &message.document_message {
            file!(part, Kind::Document, part.caption.as_deref(), part.file_name.as_deref())
        } else if let Some(part) = &message.sticker_message {
            file!(part, Kind::Sticker, None, None)
        } else {
            None
        }
    }
}
