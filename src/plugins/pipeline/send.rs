//! A message on its way to the outbox.

use super::Pipeline;
use super::run::Run;
use super::shadow::What;
use crate::domain::aftermath::Aftermath;
use crate::domain::clock::UnixMs;
use crate::domain::ids::{DeviceId, MessageId};
use crate::domain::jid::ChatId;
use crate::domain::outgoing::Content;
use crate::plugins::bindings::outbound::{self, Verdict as Said};
use crate::plugins::convert;
use crate::plugins::instance::{Answer, Ask, Failure};
use crate::plugins::manifest::Hook;
use crate::plugins::settings::OutboundError;
use crate::plugins::state::Document;
use serde_json::json;

const CODE_CHARS_MAX: usize = 64;
const MESSAGE_CHARS_MAX: usize = 500;
/// The code of a rejection that follows from a failure and not from a decision.
const FAILED: &str = "PLUGIN_FAILED";

/// Who wants it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Name or id of the API key.
    Api(String),
    Plugin(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub id: MessageId,
    pub device: DeviceId,
    pub chat: ChatId,
    pub at: UnixMs,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// With what is to be sent, which may be other than what was given.
    Accepted(Content),
    Rejected {
        plugin: String,
        code: String,
        message: String,
    },
}

/// What one plugin makes of a message.
enum Asked {
    /// It goes on, with other content when there is some.
    On(Option<Content>),
    Rejected(Verdict),
}

impl Pipeline {
    /// Takes a message of a client through every plugin. What they leave behind is committed with the message, or by
    /// itself when it is rejected.
    pub async fn on_send(&self, outgoing: &Outgoing, content: Content) -> (Verdict, Aftermath) {
        let mut run = Run::new(outgoing.id.as_str());
        let way = self.way(Some(outgoing.chat.as_str()));
        let verdict = way.pass_outbound(&mut run, 0, outgoing, content).await;
        self.show_shadows(&mut run);
        (verdict, run.aftermath)
    }

    /// From the plugin at `from` on.
    pub(super) async fn pass_outbound(
        &self,
        run: &mut Run,
        from: usize,
        outgoing: &Outgoing,
        mut content: Content,
    ) -> Verdict {
        let mut tags: Vec<String> = Vec::new();
        for (place, entry) in self.entries.iter().enumerate().skip(from) {
            let asked = entry.has(Hook::Outbound);
            let shadow = self.shadow_at(place).filter(|(shadow, _)| run.is_live() && shadow.has(Hook::Outbound));
            if !asked && shadow.is_none() {
                continue;
            }
            let seen = self.seen(outgoing, &content, &tags);
            let watched = shadow.map(|(_, shadow)| {
                let what = What::Send(Box::new(seen.clone()), content.clone());
                run.watch(shadow, entry, what, outgoing.id.to_string())
            });
            let after = match asked {
                true => self.ask_to_send(run, place, &seen, Some(&content), &mut tags).await,
                false => Asked::On(None),
            };
            if let Some(watched) = watched {
                run.watched(watched, asked);
            }
            match after {
                Asked::On(None) => {}
                Asked::On(Some(after)) => content = after,
                Asked::Rejected(verdict) => return verdict,
            }
        }
        Verdict::Accepted(content)
    }

    /// The same for a message that somebody wrote out whole, of a kind that may have no content.
    pub(super) async fn pass_written(&self, run: &mut Run, seen: outbound::Message, mut content: Option<Content>) {
        let mut tags = seen.tags.clone();
        for place in 0..self.entries.len() {
            if !self.entries[place].has(Hook::Outbound) {
                continue;
            }
            match self.ask_to_send(run, place, &seen, content.as_ref(), &mut tags).await {
                Asked::On(after) => content = after.or(content),
                Asked::Rejected(_) => return,
            }
        }
    }

    /// As a shadow sees it.
    pub(super) async fn shadow_outbound(&self, run: &mut Run, seen: &outbound::Message, content: &Content) {
        let mut tags = seen.tags.clone();
        // What it says is in its trace; the message went its way before.
        self.ask_to_send(run, 0, seen, Some(content), &mut tags).await;
    }

    /// Asks one plugin and follows what it says.
    async fn ask_to_send(
        &self,
        run: &mut Run,
        place: usize,
        seen: &outbound::Message,
        content: Option<&Content>,
        tags: &mut Vec<String>,
    ) -> Asked {
        let entry = &self.entries[place];
        let document = Document::new(serde_json::Value::Null);
        let (failure, took) = match run.ask(self, entry, Hook::Outbound, Ask::Send(seen), document).await {
            Ok(told) => {
                let Answer::Send(said) = told.answer else { return Asked::On(None) };
                match said {
                    Said::Pass => {
                        run.accept(entry, told.writes);
                        run.trace(self, entry, Hook::Outbound, "pass", json!({}), told.took);
                        return Asked::On(None);
                    }
                    Said::Reject(no) => {
                        let code: String = no.code.chars().take(CODE_CHARS_MAX).collect();
                        let message: String = no.message.chars().take(MESSAGE_CHARS_MAX).collect();
                        run.accept(entry, told.writes);
                        self.tell_rejected(run, place, &code, &message, told.took);
                        return Asked::Rejected(Verdict::Rejected { plugin: entry.name.clone(), code, message });
                    }
                    Said::Patch(patch) => match convert::patched_content(content, &patch) {
                        Ok(after) => {
                            tags.retain(|tag| !patch.remove_tags.contains(tag));
                            convert::add_tags(tags, &patch.add_tags);
                            run.accept(entry, told.writes);
                            run.trace(self, entry, Hook::Outbound, "patch", json!({}), told.took);
                            return Asked::On(after);
                        }
                        Err(error) => {
                            let failure = Failure::refused(error.to_string());
                            run.refuse(self, entry, &failure);
                            (failure, told.took)
                        }
                    },
                }
            }
            Err(failed) => failed,
        };
        match entry.settings.on_error.outbound {
            OutboundError::Pass => {
                run.trace_failure(self, entry, Hook::Outbound, &failure, "pass", took);
                Asked::On(None)
            }
            OutboundError::Reject => {
                run.trace_failure(self, entry, Hook::Outbound, &failure, "reject", took);
                let message = format!("the plugin could not decide: {failure}");
                Asked::Rejected(Verdict::Rejected { plugin: entry.name.clone(), code: FAILED.to_owned(), message })
            }
        }
    }

    fn seen(&self, outgoing: &Outgoing, content: &Content, tags: &[String]) -> outbound::Message {
        let convert::Sent { kind, content, reply_to, mentions, extra } = convert::sent(content);
        outbound::Message {
            id: outgoing.id.to_string(),
            tenant: self.tenant.to_string(),
            device: outgoing.device.to_string(),
            time: u64::try_from(outgoing.at).unwrap_or(0),
            origin: match &outgoing.origin {
                Origin::Api(key) => outbound::Origin::Api(key.clone()),
                Origin::Plugin(name) => outbound::Origin::Plugin(name.clone()),
            },
            kind,
            to: outgoing.chat.to_string(),
            content,
            reply_to,
            mentions,
            send_at: None,
            tags: tags.to_vec(),
            extra: extra.to_string(),
        }
    }
}
