//! What happens around messages: in groups, with contacts, who is there, who calls. Each becomes one event of the log.
//!
//! An event's id follows from what WhatsApp's server said, so that a notification that comes twice is told once. WhatsApp
//! hears that we have it when it is written (`unwritten`). Who is there and who types is told only of people that somebody
//! asked to watch, and a kill loses it.

use super::account::{Call, Memory, Person, described, person, told_newsletter, told_or_known};
use crate::domain::clock::UnixMs;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{DeviceId, EventId, TenantId};
use crate::domain::presence::Presence;
use serde_json::{Value, json};
use wacore::iq::groups::GroupInfoResponse;
use wacore::protocol::ProtocolNode as _;
use wacore::stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo};
use wacore::types::call::{CallAction, IncomingCall, MissedCall, MissedReason};
use wacore::types::events::{
    ChatPresenceUpdate, Event as Told, GroupUpdate, MexNotification, NewsletterLiveUpdate, PictureUpdate,
    PresenceUpdate,
};
use wacore::types::presence::{ChatPresence, ChatPresenceMedia};
use wacore_binary::{Jid, JidExt as _, Node};
use whatsapp_rust::client::Client;
use whatsapp_rust::features::GroupMetadata;

/// What [`Reporter::events`] reads.
pub(super) fn is_news(told: &Told) -> bool {
    if let Told::MexNotification(told) = told {
        return newsletter_part(&told.payload).is_some();
    }
    matches!(
        told,
        Told::GroupUpdate(_)
            | Told::NewsletterLiveUpdate(_)
            | Told::PictureUpdate(_)
            | Told::UserAboutUpdate(_)
            | Told::ContactNumberChanged(_)
            | Told::Presence(_)
            | Told::ChatPresence(_)
            | Told::IncomingCall(_)
            | Told::MissedCall(_)
    )
}

/// What is told once, unlike who is there and who types.
pub(super) fn must_last(told: &Told) -> bool {
    !matches!(told, Told::Presence(_) | Told::ChatPresence(_))
}

/// What reading needs to know.
pub(super) struct Reporter<'a> {
    pub(super) client: &'a Client,
    pub(super) memory: &'a Memory,
    pub(super) tenant: &'a TenantId,
    pub(super) device: &'a DeviceId,
    pub(super) now: UnixMs,
}

impl Reporter<'_> {
    pub(super) async fn events(&self, told: &Told) -> Option<Event> {
        match told {
            Told::GroupUpdate(update) => self.in_group(update).await,
            Told::PictureUpdate(update) => self.picture(update).await,
            Told::UserAboutUpdate(update) => {
                let (jid, at) = (&update.jid, update.timestamp.timestamp());
                let changes = json!({ "about": update.status });
                Some(self.contact(jid, changes, at, &["about", &jid.to_string(), &update.status]).await)
            }
            Told::ContactNumberChanged(update) => {
                let (new, at) = (update.new_jid.to_string(), update.timestamp.timestamp());
                let changes = json!({ "phone": update.new_jid.user, "previousPhone": update.old_jid.user });
                Some(self.contact(&update.new_jid, changes, at, &["number", &new]).await)
            }
            Told::Presence(update) => self.presence(update).await,
            Told::ChatPresence(update) => self.typing(update).await,
            Told::IncomingCall(call) => self.call(call).await,
            Told::MissedCall(call) => self.missed(call).await,
            Told::NewsletterLiveUpdate(update) => Some(self.reactions(update)),
            Told::MexNotification(told) => self.in_newsletter(told),
            _ => None,
        }
    }

    /// `at` is when it happened, in unix seconds, and `parts` are what make it this occurrence and no other.
    fn event(&self, type_: EventType, at: i64, parts: &[&str], mut data: Value) -> Event {
        let parts: Vec<&str> = [self.device.as_str(), type_.as_str()].iter().chain(parts).copied().collect();
        if let Some(data) = data.as_object_mut() {
            data.insert("timestamp".into(), at.into());
        }
        let id = EventId::derived(at.saturating_mul(1_000), &parts);
        Event { id, ..Event::new(self.tenant.clone(), Some(self.device.clone()), type_, self.now, data) }
    }

    async fn in_group(&self, update: &GroupUpdate) -> Option<Event> {
        let group = update.group_jid.to_string();
        let by = match &update.participant {
            Some(who) => Some(told_or_known(self.client, who, update.participant_pn.as_ref(), None).await),
            None => None,
        };
        let (type_, said) = self.change(&update.action, by.as_ref()).await;
        let mut data = json!({ "group": group, "chat": group, "by": by.as_ref().map(shown) });
        if let (Some(data), Value::Object(said)) = (data.as_object_mut(), said) {
            data.extend(said);
        }
        let (notification, index) = (update.notification_id.as_deref().unwrap_or_default(), update.action_index);
        let parts = [group.as_str(), notification, &index.to_string()];
        Some(self.event(type_, update.timestamp.timestamp(), &parts, data))
    }

    /// The type of the event, and what it says beside the group and who did it.
    async fn change(&self, action: &Action, by: Option<&Person>) -> (EventType, Value) {
        let type_ = change_type(action);
        let said = match action {
            Action::Add { participants, reason } | Action::Remove { participants, reason } => {
                json!({ "participants": self.people(participants, by).await, "reason": reason })
            }
            Action::Promote { participants }
            | Action::Demote { participants }
            | Action::LinkedGroupPromote { participants }
            | Action::LinkedGroupDemote { participants } => {
                json!({ "participants": self.people(participants, by).await })
            }
            Action::Create { raw } => self.created(raw).await,
            Action::Delete { reason } => json!({ "reason": reason }),
            Action::Modify { participants } => changed("renumbered", self.people(participants, by).await.into()),
            Action::CreatedMembershipRequests { requests, .. } => {
                changed("joinRequested", self.people(requests, by).await.into())
            }
            Action::RevokedMembershipRequests { participants } => {
                let mut people = Vec::with_capacity(participants.len());
                for jid in participants {
                    people.push(shown(&person(self.client, jid).await));
                }
                changed("joinRequestsEnded", people.into())
            }
            other => setting(other),
        };
        (type_, said)
    }

    /// `by` did it, often to themselves, and is told with both addresses where others are not.
    async fn people(&self, infos: &[GroupParticipantInfo], by: Option<&Person>) -> Vec<Value> {
        let mut people = Vec::with_capacity(infos.len());
        for info in infos {
            let known = told_or_known(self.client, &info.jid, info.phone_number.as_ref(), info.lid.as_ref()).await;
            let themselves = by.filter(|by| known.lid.is_some() && by.lid == known.lid);
            people.push(shown(themselves.unwrap_or(&known)));
        }
        people
    }

    /// All that the notification says of a new group.
    async fn created(&self, raw: &Node) -> Value {
        let raw = raw.as_node_ref();
        let read = raw.get_optional_child("group").map(GroupInfoResponse::try_from_node_ref);
        match read {
            Some(Ok(read)) => {
                let group = described(self.client, GroupMetadata::from(read)).await;
                json!({ "subject": group.subject, "details": group })
            }
            _ => json!({}),
        }
    }

    async fn picture(&self, update: &PictureUpdate) -> Option<Event> {
        let (jid, at) = (update.jid.to_string(), update.timestamp.timestamp());
        let id = update.picture_id.as_deref().unwrap_or("none");
        let changes = json!({ "picture": update.picture_id });
        if !update.jid.is_group() {
            return Some(self.contact(&update.jid, changes, at, &["picture", &jid, id]).await);
        }
        let by = match &update.author {
            Some(author) => Some(shown(&person(self.client, author).await)),
            None => None,
        };
        let data = json!({ "group": jid, "chat": jid, "by": by, "changes": changes });
        Some(self.event(EventType::GroupUpdated, at, &[&jid, "picture", id], data))
    }

    async fn contact(&self, jid: &Jid, changes: Value, at: i64, parts: &[&str]) -> Event {
        let who = person(self.client, jid).await;
        let data = json!({ "chat": who.jid, "contact": shown(&who), "changes": changes });
        self.event(EventType::ContactUpdated, at, parts, data)
    }

    async fn presence(&self, update: &PresenceUpdate) -> Option<Event> {
        let who = self.watched(&update.from).await?;
        let presence = if update.unavailable { Presence::Unavailable } else { Presence::Available };
        let last_seen = update.last_seen.map(|at| at.timestamp());
        Some(self.seen(&who.jid, &who, presence, json!({ "lastSeen": last_seen })))
    }

    async fn typing(&self, update: &ChatPresenceUpdate) -> Option<Event> {
        let who = self.watched(&update.source.sender).await?;
        let presence = match (update.state, update.media) {
            (ChatPresence::Paused, _) => Presence::Paused,
            (ChatPresence::Composing, ChatPresenceMedia::Text) => Presence::Composing,
            (ChatPresence::Composing, ChatPresenceMedia::Audio) => Presence::Recording,
        };
        let chat = if update.source.is_group { update.source.chat.to_string() } else { who.jid.clone() };
        Some(self.seen(&chat, &who, presence, json!({})))
    }

    async fn watched(&self, jid: &Jid) -> Option<Person> {
        let who = person(self.client, jid).await;
        let watches = self.memory.watches(&who.jid) || who.lid.as_deref().is_some_and(|lid| self.memory.watches(lid));
        watches.then_some(who)
    }

    /// These carry no id of WhatsApp's and come once or never.
    fn seen(&self, chat: &str, who: &Person, presence: Presence, more: Value) -> Event {
        let mut data = json!({
            "chat": chat,
            "contact": shown(who),
            "presence": presence.as_str(),
            "timestamp": self.now / 1_000,
        });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        let device = Some(self.device.clone());
        Event::new(self.tenant.clone(), device, EventType::PresenceUpdated, self.now, data)
    }

    /// How often each reaction was given by now; WhatsApp gives the counts no id.
    fn reactions(&self, update: &NewsletterLiveUpdate) -> Event {
        let messages: Vec<Value> = update
            .messages
            .iter()
            .map(|message| {
                let count = |one: &wacore::types::events::NewsletterLiveUpdateReaction| {
                    json!({ "emoji": one.code, "count": one.count })
                };
                let reactions: Vec<Value> = message.reactions.iter().map(count).collect();
                json!({ "serverId": message.server_id, "reactions": reactions })
            })
            .collect();
        let newsletter = update.newsletter_jid.to_string();
        let at = self.now / 1_000;
        let data = json!({ "newsletter": newsletter, "chat": newsletter, "messages": messages, "timestamp": at });
        let device = Some(self.device.clone());
        Event::new(self.tenant.clone(), device, EventType::NewsletterReactions, self.now, data)
    }

    /// WhatsApp does not say when it happened: a notification that comes twice is known by its own id, within a day.
    fn in_newsletter(&self, told: &MexNotification) -> Option<Event> {
        const DAY_S: i64 = 24 * 3_600;
        let (type_, newsletter, mut said) = newsletter_change(&told.payload)?;
        let at = self.now / 1_000;
        if let Some(said) = said.as_object_mut() {
            said.insert("newsletter".into(), newsletter.clone().into());
            said.insert("chat".into(), newsletter.clone().into());
        }
        let notification = told.stanza_id.as_deref().unwrap_or_default();
        let parts = [newsletter.as_str(), notification, told.op_name.as_str()];
        let mut event = self.event(type_, at - at % DAY_S, &parts, said);
        event.data["timestamp"] = at.into();
        Some(event)
    }

    async fn call(&self, call: &IncomingCall) -> Option<Event> {
        let (id, creator, phone, video, group) = match &call.action {
            CallAction::Offer { call_id, call_creator, caller_pn, is_video, group_jid, .. } => {
                let group = group_jid.as_ref().map(ToString::to_string);
                (call_id, call_creator, caller_pn.as_ref(), is_video, (group.is_some(), group))
            }
            CallAction::OfferNotice { call_id, call_creator, is_video, is_group } => {
                (call_id, call_creator, None, is_video, (*is_group, None))
            }
            CallAction::Terminate { call_id, .. } | CallAction::Reject { call_id, .. } => {
                self.memory.call_ended(call_id);
                return None;
            }
            _ => return None,
        };
        self.memory.rang(Call { id: id.clone(), from: call.from.clone(), creator: creator.clone() });
        let who = told_or_known(self.client, &creator.to_non_ad(), phone, None).await;
        let data = json!({ "status": "ringing", "isVideo": video, "isGroup": group.0, "group": group.1 });
        Some(self.rang(id, &who, call.timestamp.timestamp(), data))
    }

    /// A call that rang while the device was away. One that rang here was told then.
    async fn missed(&self, call: &MissedCall) -> Option<Event> {
        self.memory.call_ended(&call.call_id);
        if !matches!(call.reason, MissedReason::Offline) {
            return None;
        }
        let who = person(self.client, &call.from).await;
        let data = json!({ "status": "missed" });
        Some(self.rang(&call.call_id, &who, call.timestamp.timestamp(), data))
    }

    fn rang(&self, id: &str, who: &Person, at: i64, more: Value) -> Event {
        let mut data = json!({ "callId": id, "chat": who.jid, "from": shown(who) });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        self.event(EventType::CallReceived, at, &[id], data)
    }
}

/// A promotion is no removal, whatever the order in which the parts of a notification come.
fn change_type(action: &Action) -> EventType {
    match action {
        Action::Create { .. } => EventType::GroupCreated,
        Action::Delete { .. } => EventType::GroupDeleted,
        Action::Add { .. } => EventType::ParticipantAdded,
        Action::Remove { .. } => EventType::ParticipantRemoved,
        Action::Promote { .. } | Action::LinkedGroupPromote { .. } => EventType::ParticipantPromoted,
        Action::Demote { .. } | Action::LinkedGroupDemote { .. } => EventType::ParticipantDemoted,
        _ => EventType::GroupUpdated,
    }
}

/// What a notification says of a newsletter, and in which respect.
fn newsletter_part(payload: &Value) -> Option<(&str, &Value)> {
    let data = payload["data"].as_object()?;
    data.iter().find_map(|(name, told)| Some((name.strip_prefix("xwa2_notify_newsletter_")?, told)))
}

/// What a notification says of a newsletter: the type of the event, its address, and the rest. Nothing for what is not of
/// newsletters, and for what has no word here.
fn newsletter_change(payload: &Value) -> Option<(EventType, String, Value)> {
    let (respect, told) = newsletter_part(payload)?;
    let id = told["id"].as_str()?.to_owned();
    let (type_, said) = match respect {
        "on_join" => (EventType::NewsletterJoined, json!({ "details": told_newsletter(told) })),
        "on_leave" => (EventType::NewsletterLeft, json!({})),
        "on_mute_change" => {
            let muted = told["mute"].as_str()?.eq_ignore_ascii_case("on");
            (EventType::NewsletterUpdated, changed("muted", muted.into()))
        }
        "on_state_change" => {
            let state = told["state"]["type"].as_str()?.to_ascii_lowercase();
            (EventType::NewsletterUpdated, changed("state", state.into()))
        }
        "on_metadata_update" | "on_admin_metadata_update" => {
            let thread = &told["thread_metadata"];
            let mut changes = serde_json::Map::new();
            for part in ["name", "description"] {
                if let Some(text) = thread[part]["text"].as_str() {
                    let text = Some(text).filter(|text| !text.is_empty());
                    changes.insert(part.to_owned(), json!(text));
                }
            }
            if thread["picture"].is_object() {
                changes.insert("picture".to_owned(), thread["picture"]["id"].clone());
            }
            if changes.is_empty() {
                return None;
            }
            (EventType::NewsletterUpdated, json!({ "changes": changes }))
        }
        _ => return None,
    };
    Some((type_, id, said))
}

/// Groups that are part of a community now, or no longer; or the community that a group is part of.
fn linked(raw: &Node, type_: &str, is_linked: bool) -> Value {
    let raw = raw.as_node_ref();
    let groups = raw.children().unwrap_or_default().iter().filter_map(|group| group.attrs().optional_jid("jid"));
    let groups: Vec<String> = groups.map(|jid| jid.to_string()).collect();
    match (type_, is_linked) {
        ("parent_group", true) => changed("community", json!(groups.first())),
        ("parent_group", false) => changed("community", Value::Null),
        (_, true) => changed("linkedGroups", json!(groups)),
        (_, false) => changed("unlinkedGroups", json!(groups)),
    }
}

/// A change of the group itself. What we have no word for carries WhatsApp's.
fn setting(action: &Action) -> Value {
    match action {
        Action::Subject { subject, .. } => changed("subject", json!(subject)),
        Action::Description { description, .. } => changed("description", json!(description)),
        Action::Locked { .. } => changed("locked", json!(true)),
        Action::Unlocked => changed("locked", json!(false)),
        Action::Announce => changed("announce", json!(true)),
        Action::NotAnnounce => changed("announce", json!(false)),
        Action::Ephemeral { expiration, .. } => changed("ephemeralSeconds", json!(expiration)),
        Action::MembershipApprovalMode { enabled } => changed("joinApproval", json!(enabled)),
        Action::MemberAddMode { mode } => {
            changed("memberAdd", json!(if mode == "all_member_add" { "everyone" } else { "admins" }))
        }
        Action::Link { link_type, raw } => linked(raw, link_type, true),
        Action::Unlink { unlink_type, raw, .. } => linked(raw, unlink_type, false),
        Action::Invite { code } => changed("inviteCode", json!(code)),
        Action::RevokeInvite => changed("inviteCode", Value::Null),
        Action::MembershipApprovalRequest { .. } => changed("joinRequested", json!([])),
        other => changed("other", json!(other.wire_tag())),
    }
}

fn changed(what: &str, to: Value) -> Value {
    json!({ "changes": { what: to } })
}

/// As the sender of a message is told: `contactId` is the one name of a person, whichever address came.
fn shown(person: &Person) -> Value {
    json!({ "contactId": person.jid, "jid": person.jid, "phone": person.phone, "lid": person.lid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promotion_is_never_told_as_a_removal() {
        let of = |action: Action| change_type(&action);
        assert_eq!(of(Action::Promote { participants: vec![] }), EventType::ParticipantPromoted);
        assert_eq!(of(Action::Demote { participants: vec![] }), EventType::ParticipantDemoted);
        assert_eq!(of(Action::Remove { participants: vec![], reason: None }), EventType::ParticipantRemoved);
        assert_eq!(of(Action::Add { participants: vec![], reason: None }), EventType::ParticipantAdded);
        assert_eq!(of(Action::Delete { reason: None }), EventType::GroupDeleted);
        assert_eq!(of(Action::Unlocked), EventType::GroupUpdated);
    }

    #[test]
    fn what_happens_to_a_newsletter_is_told_by_what_the_notification_holds() {
        let of = |name: &str, told: Value| {
            let mut told = told;
            told["id"] = "1@newsletter".into();
            newsletter_change(&json!({ "data": { name: told } }))
        };
        let updated = |changes: Value| {
            Some((EventType::NewsletterUpdated, "1@newsletter".to_owned(), json!({ "changes": changes })))
        };

        let joined =
            of("xwa2_notify_newsletter_on_join", json!({ "thread_metadata": { "name": { "text": "Bakery" } } }));
        let (type_, _, said) = joined.expect("it is told");
        assert_eq!((type_, &said["details"]["name"]), (EventType::NewsletterJoined, &json!("Bakery")));
        let left = of("xwa2_notify_newsletter_on_leave", json!({ "role": "GUEST" }));
        assert_eq!(left, Some((EventType::NewsletterLeft, "1@newsletter".into(), json!({}))));
        assert_eq!(
            of("xwa2_notify_newsletter_on_mute_change", json!({ "mute": "ON" })),
            updated(json!({ "muted": true }))
        );
        let state = json!({ "state": { "type": "DELETED" } });
        assert_eq!(of("xwa2_notify_newsletter_on_state_change", state), updated(json!({ "state": "deleted" })));
        let thread = json!({ "name": { "text": "Bread" }, "description": { "text": "" }, "picture": { "id": "7" } });
        let expected = json!({ "name": "Bread", "description": null, "picture": "7" });
        let metadata = of("xwa2_notify_newsletter_on_metadata_update", json!({ "thread_metadata": thread }));
        assert_eq!(metadata, updated(expected));
        assert_eq!(of("xwa2_notify_newsletter_milestone", json!({})), None);
        assert_eq!(newsletter_change(&json!({ "data": { "xwa2_notify_account_reachout_timelock": {} } })), None);
    }

    #[test]
    fn a_change_that_has_no_word_here_carries_whatsapps() {
        assert_eq!(setting(&Action::Suspended), json!({ "changes": { "other": "suspended" } }));
        assert_eq!(setting(&Action::NotAnnounce), json!({ "changes": { "announce": false } }));
        let gone = Action::Description { id: "1".into(), description: None };
        assert_eq!(setting(&gone), json!({ "changes": { "description": null } }));
    }
}
