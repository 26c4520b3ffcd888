//! Posts in newsletters, which are not encrypted: what may be sent there, and what comes from there.
//!
//! An edited post comes, and goes, under the id that it had; so does one that is taken back. In the inbox each is a row of its own,
//! as the edit of a message is.

use crate::domain::jid::ChatId;
use crate::domain::outgoing::{Content, Outcome};
use buffa::{Message as _, MessageField};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use wacore::types::events::InboundMessage;
use wacore::types::message::EditAttribute;
use wacore_binary::{Jid, NodeRef, Server};
use waproto::whatsapp as wa;
use whatsapp_rust::client::Client;
use whatsapp_rust::features::NewsletterError;

/// What becomes of a post of ours.
pub(super) enum Change {
    Edit { id: String, new: Box<wa::Message> },
    Delete { id: String },
}

impl Change {
    /// The post's.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Edit { id, .. } | Self::Delete { id } => id,
        }
    }

    pub(super) async fn send(self, client: &Client, newsletter: &Jid) -> Result<(), NewsletterError> {
        match self {
            Self::Edit { id, new } => client.newsletter().edit_message(newsletter, id, *new).await,
            Self::Delete { id } => client.newsletter().revoke_message(newsletter, id).await,
        }
    }
}

/// What `content` changes when it goes to a newsletter; nothing for a new post and for other chats. What a newsletter does not
/// take is told as impossible: the API does not accept it, and a plugin may still have made it.
pub(super) fn change(chat: &ChatId, content: &Content) -> Result<Option<Change>, Outcome> {
    if !chat.is_newsletter() {
        return Ok(None);
    }
    match content {
        Content::Text { .. } => Ok(None),
        Content::Edit { message_id, text, .. } => {
            let new = wa::Message { conversation: Some(text.clone()), ..Default::default() };
            Ok(Some(Change::Edit { id: message_id.clone(), new: Box::new(new) }))
        }
        Content::Delete { message_id, .. } => Ok(Some(Change::Delete { id: message_id.clone() })),
        other => {
            Err(Outcome::Impossible { detail: format!("a newsletter takes no message of the kind {}", other.kind()) })
        }
    }
}

/// Whether the library will report a post that this stanza brings. It reports none whose content does not decode.
pub(super) fn tells_of_a_post(stanza: &NodeRef<'_>) -> bool {
    stanza.tag.as_ref() == "message"
        && stanza.get_attr("from").and_then(|from| from.to_jid()).is_some_and(|from| from.server == Server::Newsletter)
        && wacore::messages::parse_message_info(stanza, &Jid::default(), None).is_ok()
        && stanza
            .get_optional_child("plaintext")
            .and_then(NodeRef::content_bytes)
            .is_some_and(|content| wa::Message::decode_from_slice(content).is_ok())
}

pub(super) fn is_post(message: &InboundMessage) -> bool {
    message.info.source.chat.server == Server::Newsletter
}

/// A post as the inbox takes it: an edit and a deletion name the post as those of messages do.
pub(super) fn read(mut post: InboundMessage) -> InboundMessage {
    use wa::message::protocol_message::Type;
    let (id, at) = (post.info.id.to_string(), post.info.timestamp.timestamp());
    let key = wa::MessageKey {
        remote_jid: Some(post.info.source.chat.to_string()),
        id: Some(id.clone()),
        ..Default::default()
    };
    let protocol = match post.info.edit {
        EditAttribute::AdminEdit => wa::message::ProtocolMessage {
            key: MessageField::some(key),
            r#type: Some(Type::MESSAGE_EDIT),
            edited_message: MessageField::some((*post.message).clone()),
            ..Default::default()
        },
        EditAttribute::AdminRevoke => wa::message::ProtocolMessage {
            key: MessageField::some(key),
            r#type: Some(Type::REVOKE),
            ..Default::default()
        },
        _ => return post,
    };
    // WhatsApp gives the change no id: one that comes again must be known by what it says.
    let mut said = Sha256::new();
    said.update(at.to_be_bytes());
    said.update(post.message.encode_to_vec());
    let said = hex::encode(said.finalize());
    Arc::make_mut(&mut post.info).id = format!("{id}-{}", &said[..16]);
    post.message = Arc::new(wa::Message { protocol_message: MessageField::some(protocol), ..Default::default() });
    post
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore::types::message::{MessageInfo, MessageSource};
    use wacore_binary::Node;
    use wacore_binary::builder::NodeBuilder;

    fn post(text: &str, edit: EditAttribute) -> InboundMessage {
        let chat: Jid = "120363400000000001@newsletter".parse().expect("a newsletter");
        let source = MessageSource { sender: chat.clone(), chat, ..Default::default() };
        let info = MessageInfo { source, id: "3EB0AA".into(), edit, ..Default::default() };
        let message = match text {
            "" => wa::Message::default(),
            text => wa::Message { conversation: Some(text.to_owned()), ..Default::default() },
        };
        InboundMessage::builder().message(Arc::new(message)).info(Arc::new(info)).build()
    }

    fn protocol(post: &InboundMessage) -> &wa::message::ProtocolMessage {
        post.message.protocol_message.as_option().expect("a change of another one")
    }

    #[test]
    fn a_new_post_stays_as_it_is() {
        let read = read(post("we open at nine", EditAttribute::Empty));
        assert_eq!((read.info.id.as_str(), read.message.conversation.as_deref()), ("3EB0AA", Some("we open at nine")));
    }

    #[test]
    fn a_change_names_the_post_and_has_an_id_of_its_own() {
        let edited = read(post("we open at ten", EditAttribute::AdminEdit));
        let deleted = read(post("", EditAttribute::AdminRevoke));

        for change in [&edited, &deleted] {
            assert_eq!(protocol(change).key.as_option().and_then(|key| key.id.as_deref()), Some("3EB0AA"));
            assert_ne!(change.info.id, "3EB0AA");
        }
        assert_ne!(edited.info.id, deleted.info.id);
        let new = protocol(&edited).edited_message.as_option().and_then(|new| new.conversation.as_deref());
        assert_eq!(new, Some("we open at ten"));
        assert!(!protocol(&deleted).edited_message.is_set());
        assert_eq!(read(post("we open at ten", EditAttribute::AdminEdit)).info.id, edited.info.id, "it came again");
    }

    #[test]
    fn a_stanza_tells_of_a_post_when_the_library_will_report_one() {
        let stanza = |from: &str, id: &str, content: &[u8]| {
            let plain = NodeBuilder::new("plaintext").bytes(content.to_vec()).build();
            let message = NodeBuilder::new("message").attr("from", from.to_owned()).attr("id", id.to_owned());
            message.attr("t", 1_800_000_000_u64).attr("server_id", 100_u64).children([plain]).build()
        };
        let tells = |stanza: &Node| tells_of_a_post(&stanza.as_node_ref());
        let (newsletter, hello) = ("120363400000000001@newsletter", &[0x0a, 2, b'h', b'i'][..]);

        assert!(tells(&stanza(newsletter, "3EB0AA", hello)));
        assert!(tells(&stanza(newsletter, "3EB0AA", &[])), "one that was taken back has nothing in it");
        assert!(!tells(&stanza(newsletter, "", hello)));
        assert!(!tells(&stanza(newsletter, "3EB0AA", &[0x0a, 200])), "it does not decode");
        assert!(!tells(&stanza("6281@s.whatsapp.net", "3EB0AA", hello)));
        let reaction = NodeBuilder::new("reaction").attr("code", "x").build();
        let reacted = NodeBuilder::new("message").attr("from", newsletter).attr("id", "3EB0AA").children([reaction]);
        assert!(!tells(&reacted.build()));
    }

    #[test]
    fn a_newsletter_takes_texts_and_their_changes() {
        let newsletter = ChatId::parse("120363400000000001@newsletter").expect("a newsletter");
        let person = ChatId::parse("6281234567890").expect("a number");
        let delete = Content::Delete { message_id: "3EB0AA".into(), from_me: true, participant: None };
        let contacts = Content::Contacts { contacts: Vec::new() };

        assert!(matches!(change(&newsletter, &delete), Ok(Some(Change::Delete { id })) if id == "3EB0AA"));
        assert!(matches!(change(&person, &delete), Ok(None)), "it goes as a message");
        assert!(matches!(change(&newsletter, &contacts), Err(Outcome::Impossible { .. })));
    }
}
