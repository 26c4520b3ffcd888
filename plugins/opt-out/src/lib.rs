//! People who write STOP get no more messages until they write START.
//!
//! The list is in kv, under every name that the person is known by: a message may go to a phone number or to a LID. When
//! kv cannot be read the message is refused, not sent.

use rijan_plugin::inbound::{Outcome, Patch};
use rijan_plugin::outbound::{Kind, Message, Verdict};
use rijan_plugin::{ChatKind, Event, Inbound, Outbound, Result, info, kv};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(default)]
struct OptOut {
    stop: Vec<String>,
    start: Vec<String>,
    stopped: String,
    started: String,
}

impl Default for OptOut {
    fn default() -> Self {
        Self {
            stop: vec!["stop".into(), "unsubscribe".into()],
            start: vec!["start".into()],
            stopped: "You will get no more messages from us. Write START to change that.".into(),
            started: "Welcome back.".into(),
        }
    }
}

rijan_plugin::export!(OptOut: config, inbound, outbound);

impl Inbound for OptOut {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        let direct = event.chat.as_ref().is_some_and(|chat| chat.kind == ChatKind::Direct);
        if event.from_me || !direct {
            return Ok(Outcome::pass());
        }
        let text = event.text().unwrap_or_default();
        let (answer, tag) = if says(text, &self.stop) {
            for name in names(&event) {
                kv::set_text(&name, &event.time.to_string(), None)?;
            }
            (&self.stopped, "opted-out")
        } else if says(text, &self.start) {
            for name in names(&event) {
                kv::delete(&name)?;
            }
            (&self.started, "opted-in")
        } else {
            return Ok(Outcome::pass());
        };
        info!(tag, event = event.id);
        let outcome = Outcome::patch(Patch::tag(tag));
        Ok(if answer.is_empty() { outcome } else { outcome.reply(answer.as_str()) })
    }
}

impl Outbound for OptOut {
    fn on_send(&self, message: Message) -> Result<Verdict> {
        // What corrects or takes back an earlier message is not another one.
        if matches!(message.kind, Kind::Edit(_) | Kind::Delete(_)) {
            return Ok(Verdict::Pass);
        }
        Ok(match kv::get(&key(&message.to))? {
            Some(_) => Verdict::reject("OPTED_OUT", "the recipient has asked for no more messages"),
            None => Verdict::Pass,
        })
    }
}

fn says(text: &str, words: &[String]) -> bool {
    words.iter().any(|word| word.to_lowercase() == text.trim().to_lowercase())
}

/// The keys of everything that a message to this person can be addressed to.
fn names(event: &Event) -> Vec<String> {
    let chat = event.chat.as_ref().map(|chat| chat.jid.clone());
    let sender = event.sender.as_ref();
    let phone = sender.and_then(|sender| sender.phone.as_deref());
    let phone = phone.map(|phone| format!("{}@s.whatsapp.net", phone.trim_start_matches('+')));
    let lid = sender.and_then(|sender| sender.lid.clone());
    let mut names = [chat, phone, lid].into_iter().flatten().map(|name| key(&name)).collect::<Vec<_>>();
    names.sort();
    names.dedup();
    names
}

fn key(jid: &str) -> String {
    format!("out/{jid}")
}
