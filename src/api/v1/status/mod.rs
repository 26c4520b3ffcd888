//! Status posts: shown for a day, to whom they are for. They go through the outbox as messages do; their progress is that of
//! a message, and who got and saw one is told by receipts in the chat `status@broadcast`.

mod delete;
mod media;
mod text;
mod view;

pub(in crate::api) use delete::{__path_delete, delete};
pub(in crate::api) use media::{__path_image, __path_video, image, video};
pub(in crate::api) use text::{__path_text, text};
pub(in crate::api) use view::{__path_view, view};

use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::error::ApiError;
use crate::api::fields::Fields;
use crate::domain::jid::{ChatId, PersonId};
use crate::domain::status_post::{Audience, RECIPIENTS_MAX};
use crate::store::Hints;

/// Whom a post is for, as the body says.
pub(in crate::api::v1) struct Recipients(Option<Vec<ChatId>>);

impl Recipients {
    /// `recipients`: people, each once; a list, or in a form a text with commas. Left out, the address book.
    pub(in crate::api::v1) fn read(fields: &mut Fields) -> Self {
        if !fields.has("recipients") {
            return Self(None);
        }
        fields.spread("recipients");
        let mut people: Vec<ChatId> = Vec::new();
        for person in fields.list("recipients", 1..=RECIPIENTS_MAX, PersonId::parse_written).unwrap_or_default() {
            let chat = person.chat();
            if !people.contains(&chat) {
                people.push(chat);
            }
        }
        Self(Some(people))
    }

    pub(in crate::api::v1) fn named(&self) -> Option<&Vec<ChatId>> {
        self.0.as_ref()
    }
}

/// Whom the post is for, now.
pub(in crate::api::v1) async fn audience(
    api: &Api,
    device: &OwnDevice<Sends>,
    recipients: &Recipients,
) -> Result<Audience, ApiError> {
    if let Some(people) = &recipients.0 {
        return Ok(Audience { people: people.clone(), named: true });
    }
    let known = api.store.address_book(&device.tenant.id, device.id(), RECIPIENTS_MAX + 1).await?;
    let people: Vec<ChatId> = known.iter().filter_map(|jid| ChatId::parse(jid).ok()).collect();
    match people.len() {
        0 => Err(ApiError::Conflict("nobody of the account's address book is known here; name recipients".to_owned())),
        1..=RECIPIENTS_MAX => Ok(Audience { people, named: false }),
        _ => Err(ApiError::Conflict(format!(
            "the account's address book has more than {RECIPIENTS_MAX} people; name recipients"
        ))),
    }
}

/// Among status posts, by whom it is when that is said.
fn among_posts(author: Option<&PersonId>) -> Hints {
    let status = ChatId::status().to_string();
    Hints { chat: Some([status.clone(), status]), author: author.map(ToString::to_string) }
}
