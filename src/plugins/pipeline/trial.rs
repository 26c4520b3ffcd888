//! An event or a message that somebody wants to see pass, without it having happened: everything that would be done comes
//! back, and nothing of it is done. Each plugin is called on an instance of its own, has no http, and is not charged for it.

use super::run::Run;
use super::send::{Outgoing, Verdict};
use super::{Pipeline, chat_of};
use crate::domain::aftermath::Aftermath;
use crate::domain::event::Event;
use crate::domain::outgoing::Content;
use std::time::Duration;

pub struct TriedEvent {
    /// As it would be told; or how long it would wait for a plugin that asks for time.
    pub came_out: Result<Event, Duration>,
    pub aftermath: Aftermath,
}

pub struct TriedMessage {
    pub verdict: Verdict,
    pub aftermath: Aftermath,
}

impl Pipeline {
    pub async fn try_event(&self, event: Event) -> TriedEvent {
        let mut run = Run::dry(event.id.as_str());
        let way = self.way(chat_of(&event).as_deref());
        let came_out = way.pass_inbound(&mut run, event, false).await.map(|(event, _)| event);
        TriedEvent { came_out, aftermath: run.aftermath }
    }

    pub async fn try_send(&self, outgoing: &Outgoing, content: Content) -> TriedMessage {
        let mut run = Run::dry(outgoing.id.as_str());
        let way = self.way(Some(outgoing.chat.as_str()));
        let verdict = way.pass_outbound(&mut run, 0, outgoing, content).await;
        TriedMessage { verdict, aftermath: run.aftermath }
    }
}
