//! Says that nobody is there, outside the hours when somebody is; once per chat and stretch of hours.
//!
//! The time is the event's own, so that a message that waited, or is processed again, gets the answer of its moment. The
//! time zones and their daylight saving are compiled in: a component has no file to read them from.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use rijan_plugin::inbound::Outcome;
use rijan_plugin::{ChatKind, Event, FromConfig, Inbound, PluginError, Result, kv, serde_json};
use serde::Deserialize;
use std::collections::BTreeMap;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// As it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    timezone: String,
    hours: BTreeMap<String, Vec<String>>,
    message: String,
    #[serde(default = "four")]
    repeat_after_hours: u64,
}

fn four() -> u64 {
    4
}

/// As it is meant.
struct BusinessHours {
    zone: TimeZone,
    open: Vec<(Weekday, Time, Time)>,
    message: String,
    repeat_after_ms: u64,
}

rijan_plugin::export!(BusinessHours: config, inbound);

impl FromConfig for BusinessHours {
    fn from_config(json: &str) -> Result<Self> {
        let written: Written = serde_json::from_str(json).map_err(|error| PluginError::BadConfig(error.to_string()))?;
        let zone = TimeZone::get(&written.timezone)
            .map_err(|_| PluginError::BadConfig(format!("timezone: {:?} is no time zone", written.timezone)))?;
        let mut open = Vec::new();
        for (day, spans) in &written.hours {
            for span in spans {
                let read = weekday(day).zip(hours(span));
                let Some((day, (from, to))) = read else {
                    return Err(PluginError::BadConfig(format!("hours.{day}: {span:?} must be such as 09:00-17:00")));
                };
                open.push((day, from, to));
            }
        }
        Ok(Self { zone, open, message: written.message, repeat_after_ms: written.repeat_after_hours * HOUR_MS })
    }
}

impl Inbound for BusinessHours {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        let Some(chat) = event.chat.as_ref().filter(|chat| chat.kind == ChatKind::Direct) else {
            return Ok(Outcome::pass());
        };
        if event.from_me || self.is_open(event.time)? {
            return Ok(Outcome::pass());
        }
        if self.repeat_after_ms > 0 {
            let told = format!("told/{}/{}", event.device, chat.jid);
            if kv::get(&told)?.is_some() {
                return Ok(Outcome::pass());
            }
            kv::set_text(&told, "", Some(self.repeat_after_ms))?;
        }
        Ok(Outcome::pass().reply(self.message.as_str()))
    }
}

impl BusinessHours {
    fn is_open(&self, time_ms: u64) -> Result<bool> {
        let moment = i64::try_from(time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let moment = moment.ok_or_else(|| PluginError::permanent(format!("{time_ms} is no time")))?;
        let here = moment.to_zoned(self.zone.clone());
        let (day, time) = (here.weekday(), here.time());
        Ok(self.open.iter().any(|(open, from, to)| *open == day && *from <= time && time < *to))
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

/// `09:00-17:00`, and `22:00-24:00` to the end of the day.
fn hours(span: &str) -> Option<(Time, Time)> {
    let (from, to) = span.split_once('-')?;
    let to = if to.trim() == "24:00" { Time::MAX } else { clock(to)? };
    let from = clock(from)?;
    (from < to).then_some((from, to))
}

fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}
