//! Answers messages that hold a keyword. Letters are compared without case.

use rijan_plugin::inbound::Outcome;
use rijan_plugin::{ChatKind, Event, Inbound, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct KeywordReply {
    rules: Vec<Rule>,
    #[serde(default)]
    groups: bool,
}

#[derive(Deserialize)]
struct Rule {
    keyword: String,
    reply: String,
    #[serde(default, rename = "match")]
    how: Match,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Match {
    Exact,
    #[default]
    Word,
    Contains,
}

rijan_plugin::export!(KeywordReply: config, inbound);

impl Inbound for KeywordReply {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        let group = event.chat.as_ref().is_some_and(|chat| chat.kind != ChatKind::Direct);
        if event.from_me || (group && !self.groups) {
            return Ok(Outcome::pass());
        }
        let text = event.text().unwrap_or_default().to_lowercase();
        Ok(match self.rules.iter().find(|rule| rule.fits(&text)) {
            Some(rule) => Outcome::pass().reply(rule.reply.as_str()),
            None => Outcome::pass(),
        })
    }
}

impl Rule {
    fn fits(&self, text: &str) -> bool {
        let keyword = self.keyword.to_lowercase();
        match self.how {
            Match::Exact => text.trim() == keyword,
            Match::Word => text.split(|c: char| !c.is_alphanumeric()).any(|word| word == keyword),
            Match::Contains => text.contains(&keyword),
        }
    }
}
