//! Gives each chat to the next of several webhooks, and keeps it there for a while.
//!
//! The turn is a counter in kv. Two new chats at the same moment may read the same turn: both counts are kept, so the
//! shares stay even over time.

use rijan_plugin::inbound::{Effect, Outcome};
use rijan_plugin::{Event, Inbound, Result, kv};
use serde::Deserialize;

const HOUR_MS: u64 = 60 * 60 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Router {
    webhooks: Vec<String>,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default = "day")]
    stay_hours: u64,
}

fn day() -> u64 {
    24
}

rijan_plugin::export!(Router: config, inbound);

impl Inbound for Router {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        let Some(chat) = event.chat.as_ref().filter(|_| !event.from_me) else { return Ok(Outcome::pass()) };
        let key = format!("chat/{}/{}", event.device, chat.jid);
        let kept = if self.stay_hours > 0 { kv::text(&key)? } else { None };
        // A webhook that was taken out of the configuration keeps no chats.
        let webhook = match kept.filter(|name| self.webhooks.contains(name)) {
            Some(name) => name,
            None => {
                let next = self.next()?;
                if self.stay_hours > 0 {
                    kv::set_text(&key, &next, Some(self.stay_hours * HOUR_MS))?;
                }
                next
            }
        };
        let names = self.also.iter().cloned().chain([webhook]).collect();
        Ok(Outcome::pass().with(Effect::Route(names)))
    }
}

impl Router {
    fn next(&self) -> Result<String> {
        let turn = kv::increment("turn", 1, None)?.unsigned_abs() - 1;
        let count = self.webhooks.len() as u64;
        Ok(self.webhooks[(turn % count) as usize].clone())
    }
}
