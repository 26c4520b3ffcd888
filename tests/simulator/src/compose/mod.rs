//! What a person writes: a control request, made into the protobuf that phones send.

mod media;
mod meetings;

use crate::account::{Account, lid_of};
use crate::attachment::Sealed;
use crate::book::Known;
use crate::display::parsed;
use crate::message;
use crate::node::STATUS;
use crate::poll::Ballot;
use crate::wa;
use media::Media;
use meetings::{GroupInvite, LiveLocation, Meeting, Strange};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Options of a poll, as the official clients have it.
const POLL_OPTIONS_MAX: usize = 12;
const POLL_OPTIONS_MIN: usize = 2;

/// Exactly one of the kinds; `quote` and `mentions` go with `text` and `media`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    pub(crate) to: String,
    text: Option<String>,
    quote: Option<String>,
    /// Phone numbers of those who are mentioned.
    #[serde(default)]
    mentions: Vec<String>,
    location: Option<Location>,
    reaction: Option<Reaction>,
    edit: Option<Edit>,
    delete: Option<Target>,
    media: Option<Media>,
    poll: Option<Poll>,
    vote: Option<Vote>,
    contact: Option<Contact>,
    choose: Option<Choose>,
    live_location: Option<LiveLocation>,
    group_invite: Option<GroupInvite>,
    event: Option<Meeting>,
    strange: Option<Strange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Location {
    latitude: f64,
    longitude: f64,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reaction {
    id: String,
    emoji: String,
    /// Whether the message reacted to was written by the one who reacts.
    #[serde(default)]
    own: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    id: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Poll {
    question: String,
    options: Vec<String>,
    /// How many options one person may choose.
    #[serde(default = "one")]
    selectable: u32,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vote {
    id: String,
    options: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact {
    name: String,
    phone: String,
}

/// Takes a button or a row of a message that has some.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choose {
    /// The message.
    id: String,
    /// What the button or the row is called by.
    choice: String,
}

/// Why a draft cannot be sent.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// The request says something that no phone can write.
    Wrong(String),
    /// It refers to a message that this phone never saw.
    Unknown(String),
    /// Sealing failed; not the request's fault.
    Failed(anyhow::Error),
}

pub(crate) struct Written {
    pub(crate) message: wa::Message,
    /// To be kept by the media host.
    pub(crate) file: Option<Sealed>,
}

/// Who writes, and where.
pub(crate) struct Writer {
    pub(crate) account: Arc<Account>,
    pub(crate) to_group: bool,
    pub(crate) now_ms: i64,
}

impl Writer {
    /// What the writer's phone remembers.
    fn known(&self, id: &str) -> Option<Arc<Known>> {
        self.account.state().book.get(id)
    }
}

impl Draft {
    pub(crate) fn text(to: &str, text: &str) -> Self {
        Self { to: to.to_owned(), text: Some(text.to_owned()), ..Self::default() }
    }

    pub(crate) fn has_file(&self) -> bool {
        self.media.is_some()
    }

    pub(crate) fn written(&self, by: &Writer) -> Result<Written, Unfit> {
        let kinds = [
            self.text.is_some(),
            self.location.is_some(),
            self.reaction.is_some(),
            self.edit.is_some(),
            self.delete.is_some(),
            self.media.is_some(),
            self.poll.is_some(),
            self.vote.is_some(),
            self.contact.is_some(),
            self.choose.is_some(),
            self.live_location.is_some(),
            self.group_invite.is_some(),
            self.event.is_some(),
            self.strange.is_some(),
        ];
        if kinds.into_iter().filter(|given| *given).count() != 1 {
            return Err(wrong(
                "give exactly one of text, location, reaction, edit, delete, media, poll, vote, contact, choose, \
                 live_location, group_invite, event, strange",
            ));
        }
        let says_more = self.quote.is_some() || !self.mentions.is_empty();
        if says_more && self.text.is_none() && self.media.is_none() {
            return Err(wrong("quote and mentions go with text and media"));
        }
        let context = self.context(by)?;
        if let Some(media) = &self.media {
            return media.written(by, context);
        }
        let message = match self {
            Self { text: Some(text), .. } => match context {
                Some(context) => extended(text, context),
                None => message::text(text),
            },
            Self { location: Some(location), .. } => location.written(),
            Self { reaction: Some(reaction), .. } => self.reacting(by, reaction),
            Self { edit: Some(edit), .. } => {
                self.protocol(by, wa::protocol_message::Type::MessageEdit, &edit.id, Some(message::text(&edit.text)))
            }
            Self { delete: Some(target), .. } => {
                self.protocol(by, wa::protocol_message::Type::Revoke, &target.id, None)
            }
            Self { poll: Some(poll), .. } => poll.written()?,
            Self { vote: Some(vote), .. } => self.voting(by, vote)?,
            Self { contact: Some(contact), .. } => contact.written(),
            Self { choose: Some(choose), .. } => choose.written(by)?,
            Self { live_location: Some(live), .. } => live.written(),
            Self { group_invite: Some(invite), .. } => invite.written(),
            Self { event: Some(event), .. } => event.written(),
            Self { strange: Some(strange), .. } => strange.written(),
            _ => return Err(wrong("nothing is written")),
        };
        Ok(Written { message, file: None })
    }

    /// What it says about others, when it says something.
    fn context(&self, by: &Writer) -> Result<Option<wa::ContextInfo>, Unfit> {
        let mut context = match &self.quote {
            None if self.mentions.is_empty() => return Ok(None),
            None => wa::ContextInfo::default(),
            Some(quote) => {
                let known = remembered(by, quote)?;
                wa::ContextInfo {
                    stanza_id: Some(quote.clone()),
                    participant: Some(format!("{}@lid", lid_of(&known.author))),
                    quoted_message: Some(Box::new(message::content(&known.message).clone())),
                    ..Default::default()
                }
            }
        };
        context.mentioned_jid = self.mentions.iter().map(|phone| format!("{}@lid", lid_of(phone))).collect();
        Ok(Some(context))
    }

    /// How the writer's phone names another message.
    fn key(&self, by: &Writer, id: &str, own: bool) -> wa::MessageKey {
        let author = by.known(id).map(|known| format!("{}@lid", lid_of(&known.author)));
        let (remote, participant) = if self.to == STATUS {
            (self.to.clone(), author.filter(|_| !own))
        } else if by.to_group {
            (format!("{}@g.us", self.to), author.filter(|_| !own))
        } else {
            (format!("{}@s.whatsapp.net", if own { &self.to } else { &by.account.number }), None)
        };
        wa::MessageKey { remote_jid: Some(remote), from_me: Some(own), id: Some(id.to_owned()), participant }
    }

    fn reacting(&self, by: &Writer, reaction: &Reaction) -> wa::Message {
        wa::Message {
            reaction_message: Some(wa::ReactionMessage {
                key: Some(self.key(by, &reaction.id, reaction.own)),
                text: Some(reaction.emoji.clone()),
                sender_timestamp_ms: Some(by.now_ms),
            }),
            ..Default::default()
        }
    }

    fn protocol(
        &self,
        by: &Writer,
        kind: wa::protocol_message::Type,
        id: &str,
        edited: Option<wa::Message>,
    ) -> wa::Message {
        wa::Message {
            protocol_message: Some(Box::new(wa::ProtocolMessage {
                key: Some(self.key(by, id, true)),
                r#type: Some(kind as i32),
                edited_message: edited.map(Box::new),
                timestamp_ms: Some(by.now_ms),
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    fn voting(&self, by: &Writer, vote: &Vote) -> Result<wa::Message, Unfit> {
        let known = remembered(by, &vote.id)?;
        let poll = message::poll(&known.message).ok_or_else(|| wrong(format!("{} is no poll", vote.id)))?;
        let named = |name: &String| poll.options.iter().any(|option| option.option_name() == name);
        if let Some(missing) = vote.options.iter().find(|name| !named(name)) {
            return Err(wrong(format!("the poll has no option {missing:?}")));
        }
        let (author, voter) = (format!("{}@lid", lid_of(&known.author)), format!("{}@lid", by.account.lid));
        let ballot = Ballot { secret: message::secret(&known.message), poll: &vote.id, author: &author, voter: &voter };
        let options: Vec<&str> = vote.options.iter().map(String::as_str).collect();
        let own = known.author == by.account.number;
        let mut key = self.key(by, &vote.id, own);
        if !by.to_group {
            key.remote_jid = Some(format!("{}@s.whatsapp.net", self.to));
        }
        Ok(wa::Message {
            poll_update_message: Some(wa::PollUpdateMessage {
                poll_creation_message_key: Some(key),
                vote: Some(ballot.seal(&options).map_err(Unfit::Failed)?),
                sender_timestamp_ms: Some(by.now_ms),
            }),
            ..Default::default()
        })
    }
}

fn wrong(reason: impl Into<String>) -> Unfit {
    Unfit::Wrong(reason.into())
}

fn remembered(by: &Writer, id: &str) -> Result<Arc<Known>, Unfit> {
    by.known(id).ok_or_else(|| Unfit::Unknown(id.to_owned()))
}

fn extended(text: &str, context: wa::ContextInfo) -> wa::Message {
    wa::Message {
        extended_text_message: Some(Box::new(wa::ExtendedTextMessage {
            text: Some(text.to_owned()),
            context_info: Some(Box::new(context)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

impl Location {
    fn written(&self) -> wa::Message {
        wa::Message { location_message: Some(Box::new(self.place())), ..Default::default() }
    }

    fn place(&self) -> wa::LocationMessage {
        wa::LocationMessage {
            degrees_latitude: Some(self.latitude),
            degrees_longitude: Some(self.longitude),
            name: self.name.clone(),
            ..Default::default()
        }
    }
}

impl Contact {
    fn written(&self) -> wa::Message {
        let (name, phone) = (&self.name, &self.phone);
        let vcard = format!(
            "BEGIN:VCARD\nVERSION:3.0\nN:;{name};;;\nFN:{name}\nTEL;type=CELL;waid={phone}:+{phone}\nEND:VCARD"
        );
        wa::Message {
            contact_message: Some(Box::new(wa::ContactMessage {
                display_name: Some(name.clone()),
                vcard: Some(vcard),
                context_info: None,
            })),
            ..Default::default()
        }
    }
}

impl Choose {
    fn written(&self, by: &Writer) -> Result<wa::Message, Unfit> {
        let known = remembered(by, &self.id)?;
        let interactive = message::content(&known.message).interactive_message.as_ref();
        let flow = interactive.and_then(|interactive| interactive.native_flow.as_ref());
        let buttons = &flow.ok_or_else(|| wrong(format!("{} has nothing to choose from", self.id)))?.buttons;
        let mut found = None;
        for button in buttons {
            let params = parsed(button.params_json.as_deref());
            found = found.or_else(|| self.label(&params).map(|label| (button.name().to_owned(), label)));
        }
        let (name, label) = found.ok_or_else(|| wrong(format!("there is no choice {:?}", self.choice)))?;
        let context = wa::ContextInfo {
            stanza_id: Some(self.id.clone()),
            participant: Some(format!("{}@lid", lid_of(&known.author))),
            quoted_message: Some(Box::new(message::content(&known.message).clone())),
            ..Default::default()
        };
        Ok(wa::Message {
            interactive_response_message: Some(Box::new(wa::InteractiveResponseMessage {
                body: Some(wa::interactive_response_message::Body { text: Some(label) }),
                native_flow_response: Some(wa::interactive_response_message::NativeFlowResponse {
                    name: Some(name),
                    params_json: Some(json!({ "id": self.choice }).to_string()),
                }),
                context_info: Some(Box::new(context)),
            })),
            ..Default::default()
        })
    }

    /// What stands on the button, or on the row of the list that the button opens.
    fn label(&self, params: &Value) -> Option<String> {
        let is_it = |one: &&Value| one["id"] == self.choice.as_str();
        let sections = params["sections"].as_array().into_iter().flatten();
        let mut rows = sections.flat_map(|section| section["rows"].as_array().into_iter().flatten());
        let row = rows.find(is_it).map(|row| &row["title"]);
        let label = row.or_else(|| Some(params).filter(is_it).map(|button| &button["display_text"]))?;
        label.as_str().map(str::to_owned)
    }
}

impl Poll {
    fn written(&self) -> Result<wa::Message, Unfit> {
        let count = self.options.len();
        if !(POLL_OPTIONS_MIN..=POLL_OPTIONS_MAX).contains(&count) {
            return Err(wrong(format!("a poll has {POLL_OPTIONS_MIN} to {POLL_OPTIONS_MAX} options")));
        }
        if usize::try_from(self.selectable).is_ok_and(|selectable| selectable > count) {
            return Err(wrong("selectable is more than there are options"));
        }
        let options =
            self.options.iter().map(|name| wa::poll_creation_message::Option { option_name: Some(name.clone()) });
        let poll = wa::PollCreationMessage {
            name: Some(self.question.clone()),
            options: options.collect(),
            selectable_options_count: Some(self.selectable),
            context_info: None,
        };
        let secret = wa::MessageContextInfo { message_secret: Some(rand::random::<[u8; 32]>().to_vec()) };
        // The official clients write a poll for one choice in its third form and others in the first.
        let (first, third) = if self.selectable == 1 { (None, Some(poll)) } else { (Some(poll), None) };
        Ok(wa::Message {
            poll_creation_message: first.map(Box::new),
            poll_creation_message_v3: third.map(Box::new),
            message_context_info: Some(secret),
            ..Default::default()
        })
    }
}
