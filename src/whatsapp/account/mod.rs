//! Live requests to a connected device: what is asked of WhatsApp now and answered at once, unlike a message, which waits
//! in the outbox.
//!
//! Callers: `api`, through [`Directory::account`](super::Directory::account). Promises: an answer comes in bounded time;
//! what WhatsApp refuses is an [`AccountError`] named for what the caller can do; a device has a bounded number of requests
//! under way. Nothing is repeated and nothing is kept: a request that got no answer may have been done all the same.

mod business;
mod calls;
mod chats;
mod communities;
mod contacts;
mod exceptions;
mod groups;
mod labels;
mod memory;
mod mex;
mod newsletters;
mod presence;
mod privacy;
mod profile;
mod reread;

pub use business::{BusinessProfile, Catalog};
pub use chats::{Named, Newest};
pub use communities::{Community, LinkResult, NewCommunity, SubGroup, SubGroupSize};
pub use contacts::{Checked, ContactProfile, PictureLink};
pub(super) use groups::described;
pub use groups::{Group, JoinRequest, Joined, Member, MemberResult, Role};
pub(super) use memory::{Call, Memory};
pub(super) use newsletters::told as told_newsletter;
pub use newsletters::{Newsletter, Post};
pub(super) use presence::watch_again;
pub use privacy::DefaultTimer;
pub use profile::Profile;

use super::outgoing::{Acks, Sender};
use super::ratchet::Ratchet;
use crate::domain::clock::Clock;
use crate::domain::jid::{ChatId, GroupId, PersonId};
use serde::Serialize;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use wacore_binary::Jid;
use whatsapp_rust::client::{CallError, Client, ClientError};
use whatsapp_rust::features::{
    BlockingError, ChatStateError, CommunityError, ContactError, GroupError, MexError, NewsletterError, PresenceError,
    ProfileError,
};
use whatsapp_rust::request::IqError;
use whatsapp_rust::send::SendError;

/// Requests of one device under way at once; one more is [`AccountError::Busy`].
const REQUESTS_AT_ONCE_MAX: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Not linked, stopped, or between two connections.
    #[error("the device is not connected to whatsapp")]
    NotConnected,
    #[error("the device has {REQUESTS_AT_ONCE_MAX} requests under way")]
    Busy,
    /// Whether it was done is not known.
    #[error("whatsapp did not answer in time")]
    NoAnswer,
    /// Not an admin, not a member, or the other person's settings do not allow it.
    #[error("whatsapp does not allow this account to do that")]
    Forbidden,
    /// With the name of what is not there.
    #[error("whatsapp knows no such {0}")]
    NotFound(&'static str),
    #[error("whatsapp takes no more requests of this account for now")]
    Throttled { retry_after_s: Option<u32> },
    /// WhatsApp's servers have trouble.
    #[error("whatsapp cannot answer now: {code}")]
    Unavailable { code: u16 },
    /// Any other refusal; the text is WhatsApp's.
    #[error("whatsapp refused: {code} {text}")]
    Refused { code: u16, text: String },
    /// It cannot be put to WhatsApp as it is; the text says why.
    #[error("{0}")]
    Unfit(String),
    /// What came back does not read, or our own side failed. For the log.
    #[error("a live request failed: {0}")]
    Failed(String),
}

impl AccountError {
    /// What exactly is not there, where WhatsApp only says that something is not.
    fn about(self, what: &'static str) -> Self {
        match self {
            Self::NotFound(_) => Self::NotFound(what),
            other => other,
        }
    }
}

/// A connected device, for live requests. Cheap to clone; of use while the connection stands.
#[derive(Clone)]
pub struct Account {
    client: Arc<Client>,
    /// For what WhatsApp answers as it answers a message.
    acks: Arc<Acks>,
    /// For what is a message of its own.
    ratchet: Arc<Ratchet>,
    answer_time_max: Duration,
    clock: Clock,
    memory: Arc<Memory>,
}

impl Account {
    pub(super) fn new(sender: Sender, memory: Arc<Memory>, clock: Clock) -> Self {
        let Sender { client, acks, ratchet, ack_timeout, .. } = sender;
        Self { client, acks, ratchet, answer_time_max: ack_timeout, clock, memory }
    }

    /// Asks once. `what` names the thing that is missing when WhatsApp says that something is.
    async fn ask<T, E: Into<AccountError>>(
        &self,
        what: &'static str,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, AccountError> {
        let _place = self.memory.places.try_acquire().map_err(|_| AccountError::Busy)?;
        match tokio::time::timeout(self.answer_time_max, request).await {
            Ok(answer) => answer.map_err(|error| error.into().about(what)),
            Err(_) => Err(AccountError::NoAnswer),
        }
    }

    /// By phone number.
    fn own_jid(&self) -> Result<Jid, AccountError> {
        Ok(self.client.pn().ok_or(AccountError::NotConnected)?.to_non_ad())
    }

    /// Sends what WhatsApp answers as it answers a message, and waits for its word on that id.
    async fn ask_acked<E: Into<AccountError>>(
        &self,
        what: &'static str,
        id: &str,
        sent: impl Future<Output = Result<(), E>>,
    ) -> Result<(), AccountError> {
        let told = self.acks.expect(id);
        let said = self
            .ask(what, async {
                sent.await.map_err(Into::into)?;
                told.verdict().await.ok_or(AccountError::NotConnected)
            })
            .await;
        let refused = |code: String| refusal(code.parse().unwrap_or(400), "it was not taken".into(), None).about(what);
        said?.map_err(refused)
    }

    /// Both addresses of a person, as far as this device knows them.
    pub(super) async fn person(&self, jid: &Jid) -> Person {
        person(&self.client, jid).await
    }
}

/// Both addresses of a person, as far as this client knows them: it keeps every pair it has met.
pub(super) async fn person(client: &Client, jid: &Jid) -> Person {
    let jid = jid.to_non_ad();
    let entry = client.get_lid_pn_entry(&jid).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the other address of a person could not be looked up");
        None
    });
    let (phone, lid) = match entry {
        Some(entry) => (Some(entry.phone_number.to_string()), Some(format!("{}@lid", entry.lid))),
        None if jid.is_lid() => (None, Some(jid.to_string())),
        None => (Some(jid.user.to_string()), None),
    };
    let jid = phone.as_ref().map_or_else(|| jid.to_string(), |phone| format!("{phone}@s.whatsapp.net"));
    Person { jid, phone, lid }
}

/// As WhatsApp says it here, or as it was known before.
pub(super) async fn told_or_known(client: &Client, jid: &Jid, phone: Option<&Jid>, lid: Option<&Jid>) -> Person {
    match Person::told(jid, phone, lid) {
        Some(told) => told,
        None => person(client, jid).await,
    }
}

/// Somebody, by every address that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Person {
    /// By phone number where that is known, by lid otherwise.
    pub jid: String,
    pub phone: Option<String>,
    /// The address by which WhatsApp hides the phone number.
    pub lid: Option<String>,
}

impl Person {
    /// When WhatsApp itself said which phone number belongs to an address.
    fn told(jid: &Jid, phone: Option<&Jid>, lid: Option<&Jid>) -> Option<Self> {
        let of = |is: fn(&Jid) -> bool, told: Option<&Jid>| {
            told.into_iter().chain([jid]).find(|jid| is(jid)).map(|jid| jid.to_non_ad())
        };
        let (phone, lid) = (of(Jid::is_pn, phone)?, of(Jid::is_lid, lid)?);
        Some(Self { jid: phone.to_string(), phone: Some(phone.user.to_string()), lid: Some(lid.to_string()) })
    }
}

/// An address in the client's form. What the domain accepts is what the client accepts.
fn parsed(text: &str) -> Result<Jid, AccountError> {
    text.parse().map_err(|_| AccountError::Unfit("whatsapp does not know this kind of address".into()))
}

fn group_jid(group: &GroupId) -> Result<Jid, AccountError> {
    parsed(group.as_str())
}

fn person_jid(person: &PersonId) -> Result<Jid, AccountError> {
    parsed(person.as_str())
}

fn chat_jid(chat: &ChatId) -> Result<Jid, AccountError> {
    parsed(chat.as_str())
}

fn person_jids(people: &[PersonId]) -> Result<Vec<Jid>, AccountError> {
    people.iter().map(person_jid).collect()
}

/// A new id of a message, of WhatsApp's form.
fn stanza_id() -> String {
    format!("3EB0{}", hex::encode_upper(rand::random::<[u8; 9]>()))
}

/// WhatsApp's codes, as HTTP has them.
fn refusal(code: u16, text: String, retry_after_s: Option<u32>) -> AccountError {
    match code {
        401 | 403 => AccountError::Forbidden,
        404 | 410 => AccountError::NotFound("thing"),
        429 => AccountError::Throttled { retry_after_s },
        500.. => AccountError::Unavailable { code },
        _ => AccountError::Refused { code, text },
    }
}

impl From<IqError> for AccountError {
    fn from(error: IqError) -> Self {
        match error {
            IqError::ServerError { code, text, backoff, .. } => refusal(code, text, backoff),
            IqError::Timeout => Self::NoAnswer,
            IqError::ClientState(error) => (*error).into(),
            IqError::NotConnected
            | IqError::Socket(_)
            | IqError::EncryptSend(_)
            | IqError::Disconnected(_)
            | IqError::InternalChannelClosed => Self::NotConnected,
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<ClientError> for AccountError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Iq(error) => error.into(),
            ClientError::NotConnected
            | ClientError::NotLoggedIn
            | ClientError::Socket(_)
            | ClientError::EncryptSend(_) => Self::NotConnected,
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<GroupError> for AccountError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Iq(error) => error.into(),
            GroupError::InvalidRequest(why) => Self::Unfit(why),
            GroupError::DescriptionConflict => {
                Self::Refused { code: 409, text: "the description was changed meanwhile".into() }
            }
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<CommunityError> for AccountError {
    fn from(error: CommunityError) -> Self {
        match error {
            CommunityError::Iq(error) | CommunityError::Mex(MexError::Request(error)) => error.into(),
            CommunityError::Group(error) => error.into(),
            CommunityError::InvalidRequest(why) => Self::Unfit(why),
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<NewsletterError> for AccountError {
    fn from(error: NewsletterError) -> Self {
        match error {
            NewsletterError::Iq(error) | NewsletterError::Mex(MexError::Request(error)) => error.into(),
            NewsletterError::Client(error) => error.into(),
            NewsletterError::InvalidRequest(why) => Self::Unfit(why),
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<SendError> for AccountError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Client(error) => error.into(),
            SendError::Iq(error) => error.into(),
            SendError::NotLoggedIn => Self::NotConnected,
            SendError::InvalidRequest(why) => Self::Unfit(why),
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<ContactError> for AccountError {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::Iq(error) => error.into(),
            other => Self::Unfit(other.to_string()),
        }
    }
}

impl From<BlockingError> for AccountError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::Iq(error) => error.into(),
            BlockingError::InvalidJid(why) => Self::Unfit(why),
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<ProfileError> for AccountError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Iq(error) => error.into(),
            ProfileError::Client(error) => error.into(),
            ProfileError::InvalidArgument(why) => Self::Unfit(why),
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<PresenceError> for AccountError {
    fn from(error: PresenceError) -> Self {
        match error {
            PresenceError::Client(error) => error.into(),
            PresenceError::PushNameEmpty => Self::Unfit("the account has no name yet; set one first".into()),
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<ChatStateError> for AccountError {
    fn from(error: ChatStateError) -> Self {
        match error {
            ChatStateError::Client(error) => error.into(),
            other => Self::Failed(format!("{other}: {other:?}")),
        }
    }
}

impl From<CallError> for AccountError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Send(error) => error.into(),
            other => Self::Unfit(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatsapps_codes_are_named_for_what_the_caller_can_do() {
        let of = |code| refusal(code, "text".into(), Some(7)).about("group");
        assert!(matches!(of(401), AccountError::Forbidden));
        assert!(matches!(of(403), AccountError::Forbidden));
        assert!(matches!(of(404), AccountError::NotFound("group")));
        assert!(matches!(of(410), AccountError::NotFound("group")));
        assert!(matches!(of(409), AccountError::Refused { code: 409, .. }));
        assert!(matches!(of(429), AccountError::Throttled { retry_after_s: Some(7) }));
        assert!(matches!(of(503), AccountError::Unavailable { code: 503 }));
    }

    #[test]
    fn a_person_that_whatsapp_names_twice_is_known_by_both_addresses() {
        let (phone, lid) = (Jid::pn("6281234567890"), Jid::lid("1001"));
        let expected = Some(Person {
            jid: "6281234567890@s.whatsapp.net".into(),
            phone: Some("6281234567890".into()),
            lid: Some("1001@lid".into()),
        });
        assert_eq!(Person::told(&lid, Some(&phone), None), expected);
        assert_eq!(Person::told(&phone, None, Some(&lid)), expected);
        assert_eq!(Person::told(&lid, None, None), None);
    }
}
