//! A plugin that attacks its host. The event's text names the attack, with words behind it for what the attack needs.

use rijan_plugin::inbound::{Effect, Outcome, Patch};
use rijan_plugin::{
    Blob, Content, Event, Field, Inbound, Level, Location, NamedJson, NewMessage, Outbound, PluginError, Poll, Result,
    Sendable, Template, clock, event_data, http, kv, log, outbound, random, secrets,
};
use serde::Deserialize;
use std::hint::black_box;
use std::time::Duration;

#[derive(Deserialize)]
struct Hostile {
    init: Option<Attack>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Attack {
    Trap,
    Loop,
}

mod configured {
    use super::*;

    /// Does its harm while it is read, which is in `init`.
    pub struct Plugin;

    impl rijan_plugin::FromConfig for Plugin {
        fn from_config(json: &str) -> Result<Self> {
            match <Hostile as rijan_plugin::FromConfig>::from_config(json)?.init {
                None => Ok(Self),
                Some(Attack::Trap) => panic!("init"),
                Some(Attack::Loop) => endless(),
            }
        }
    }
}
use configured::Plugin;

rijan_plugin::export!(Plugin: config, inbound, outbound);

fn endless() -> ! {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

fn memory_bomb() -> ! {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
}

/// Fills the call stack, which is the host's.
fn deeper(depth: u64) -> u64 {
    if depth == u64::MAX { 0 } else { deeper(depth + 1).rotate_left(1) ^ depth }
}

/// Fills the stack in the plugin's own memory.
fn wider(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { wider(depth + 1) + room[3] }
}

/// As many as are asked for.
fn repeated(effect: &Effect, count: &str) -> Outcome {
    let count = count.parse().unwrap_or(0);
    Outcome { effects: vec![effect.clone(); count], ..Outcome::pass() }
}

fn nested(depth: &str) -> String {
    let depth: usize = depth.parse().unwrap_or(0);
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

/// What a plain program reaches of the machine it runs on, one line each.
fn outside() -> String {
    let said = |what: &str, reached: bool| format!("{what}: {}", if reached { "reached" } else { "nothing" });
    [
        said("files", std::fs::read("/etc/passwd").is_ok() || std::fs::read_dir(".").is_ok()),
        said("writing", std::fs::write("/tmp/written-by-a-hostile-guest", "x").is_ok()),
        said("sockets", std::net::TcpListener::bind("127.0.0.1:0").is_ok()),
        said("connecting", std::net::TcpStream::connect("127.0.0.1:22").is_ok()),
        said("datagrams", std::net::UdpSocket::bind("127.0.0.1:0").is_ok()),
        said("names", std::net::ToSocketAddrs::to_socket_addrs("localhost:80").is_ok_and(|found| found.count() > 0)),
        said("environment", std::env::vars_os().count() > 0),
        said("arguments", std::env::args_os().count() > 0),
        said("input", std::io::stdin().lines().any(|line| line.is_ok())),
    ]
    .join("\n")
}

fn fetched(url: &str) -> String {
    match http::fetch(&http::Request::get(url)) {
        Ok(answer) => format!("status {}", answer.status),
        Err(error) => format!("{error:?}"),
    }
}

impl Inbound for Plugin {
    fn on_event(&self, event: Event) -> Result<Outcome> {
        let text = event.text().unwrap_or_default().to_owned();
        let (attack, words) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        let number = || words.parse().unwrap_or(0_usize);
        Ok(match attack {
            "loop" => endless(),
            "host-loop" => loop {
                black_box(clock::now());
            },
            "secret-loop" => loop {
                let _ = black_box(secrets::get("api-token"));
            },
            "log-loop" => loop {
                log(Level::Info, &words.repeat(1_000), &[]);
            },
            "kv-loop" => loop {
                let _ = black_box(kv::get("none"));
            },
            "sleep" => {
                std::thread::sleep(Duration::from_secs(3_600));
                Outcome::pass()
            }
            "memory" => memory_bomb(),
            "list" => Outcome { effects: vec![Effect::MarkRead; number()], ..Outcome::pass() },
            "recursion" => Outcome::drop(deeper(black_box(0)).to_string()),
            "stack" => Outcome::drop(wider(0).to_string()),
            "panic" => panic!("{words}"),
            "exit" => std::process::exit(words.parse().unwrap_or(0)),
            "big-answer" => Outcome::drop("x".repeat(number())),
            "big-line" => {
                log(Level::Info, &"x".repeat(number()), &[]);
                Outcome::pass()
            }
            "secret-line" => {
                let secret = secrets::get("api-token")?;
                log(Level::Info, &format!("{}{secret}", "x".repeat(number())), &[]);
                Outcome::pass()
            }
            "big-fields" => {
                let fields: Vec<Field> =
                    (0..number()).map(|n| Field { name: n.to_string(), value: "x".repeat(100) }).collect();
                log(Level::Info, "fields", &fields);
                Outcome::pass()
            }
            "log-flood" => {
                for line in 0..number() {
                    log(Level::Info, &line.to_string(), &[]);
                }
                Outcome::pass()
            }
            "kv-keys" => {
                let refused = (0..number()).find_map(|n| kv::set_text(&format!("key {n}"), "v", None).err());
                Outcome::drop(format!("{refused:?}"))
            }
            "kv-value" => {
                let refused = kv::set("value", &Blob::Bytes(vec![1; number()]), None).err();
                Outcome::drop(format!("{refused:?}"))
            }
            "kv-key" => Outcome::drop(format!("{:?}", kv::set_text(&"k".repeat(number()), "v", None).err())),
            "kv-same" => {
                // One key again and again: it takes no new place, but each write waits for the commit.
                let mut taken = 0;
                while kv::set("same", &Blob::Bytes(vec![1; 1 << 20]), None).is_ok() {
                    taken += 1;
                }
                Outcome::drop(taken.to_string())
            }
            "kv-add" => Outcome::drop(format!("{:?}", kv::increment(words, 1, None))),
            "kv-put" => {
                let (key, value) = words.split_once(' ').unwrap_or((words, ""));
                Outcome::drop(format!("{:?}", kv::set_text(key, value, None)))
            }
            "kv-nul" => {
                kv::set_text("a\0b", "v", None)?;
                let page = kv::list_keys("a\0", None, 10)?;
                Outcome::drop(format!("{}", page.keys.len()))
            }
            "outside" => Outcome::drop(outside()),
            "fetch" => Outcome::drop(fetched(words)),
            "random" => {
                let mut seen = std::collections::BTreeSet::new();
                for _ in 0..number() {
                    seen.insert(random::bytes(u32::MAX).len());
                }
                Outcome::drop(format!("{seen:?}"))
            }
            "find" => Outcome::drop(format!("{:?}", event_data::find(&"/~1~0~".repeat(number())))),
            "answer" => Outcome::pass().reply("answer to myself"),
            "sends" => {
                let send = NewMessage::new(&event.device, "6281100000009", "hi");
                repeated(&Effect::Send(send), words)
            }
            "replies" => repeated(&Effect::Reply("hi".into()), words),
            "routes" => repeated(&Effect::Route(vec!["w".into(); 100]), words),
            "other" => {
                let name = "\u{1}".repeat(number());
                Outcome::pass().with(Effect::Other(NamedJson { name, value: "{}".into() }))
            }
            "to" => Outcome::pass().send(NewMessage::new(&event.device, words, "hi")),
            "to-long" => Outcome::pass().send(NewMessage::new(&event.device, "\n".repeat(number()), "hi")),
            "device-long" => Outcome::pass().send(NewMessage::new("\n".repeat(number()), "6281100000009", "hi")),
            "emoji" => Outcome::pass().with(Effect::React("x".repeat(number()))),
            "quote" => {
                let mut send = NewMessage::new(&event.device, "6281100000009", "hi");
                send.reply_to = Some("x".repeat(number()));
                Outcome::pass().send(send)
            }
            "mention" => {
                let mut send = NewMessage::new(&event.device, "6281100000009", "hi");
                send.mentions = vec!["6281100000009".into(); number()];
                Outcome::pass().send(send)
            }
            "place" => {
                let far = words.parse().unwrap_or(f64::NAN);
                let at = Location { latitude: far, longitude: far, name: None, address: None };
                Outcome::pass().with(Effect::Reply(Sendable::Location(at)))
            }
            "poll" => {
                let choices = (0..number()).map(|n| n.to_string()).collect();
                let poll = Poll { question: "how many?".to_owned(), choices, selectable: 1 };
                Outcome::pass().with(Effect::Reply(Sendable::Poll(poll)))
            }
            "template" => {
                let (name, value) = words.split_once(' ').unwrap_or((words, ""));
                let variables = vec![Field { name: "name".to_owned(), value: value.to_owned() }];
                let template = Template { name: name.to_owned(), variables };
                Outcome::pass().with(Effect::Reply(Sendable::Template(template)))
            }
            "interactive" => {
                let name = "interactive".to_owned();
                Outcome::pass().with(Effect::Reply(Sendable::Other(NamedJson { name, value: words.to_owned() })))
            }
            "place-name" => {
                let name = Some("x".repeat(number()));
                let at = Location { latitude: 1.0, longitude: 1.0, name, address: None };
                Outcome::pass().with(Effect::Reply(Sendable::Location(at)))
            }
            "patch-place" => {
                let far = words.parse().unwrap_or(f64::NAN);
                let at = Location { latitude: far, longitude: far, name: None, address: None };
                Outcome::patch(Patch { content: Some(Content::Location(at)), ..Patch::default() })
            }
            "patch-depth" => Outcome::patch(Patch { extra: Some(nested(words)), ..Patch::default() }),
            "patch-other" => {
                let content = Content::Other(NamedJson { name: "other".into(), value: nested(words) });
                Outcome::patch(Patch { content: Some(content), ..Patch::default() })
            }
            "patch-big" => {
                let content =
                    Content::Other(NamedJson { name: "other".into(), value: format!("\"{}\"", "x".repeat(number())) });
                Outcome::patch(Patch { content: Some(content), ..Patch::default() })
            }
            "patch-text" => Outcome::patch(Patch::text("a\0b\u{1b}[31m\u{202e}c")),
            "say" => return Err(PluginError::permanent(words.repeat(10_000))),
            _ => Outcome::pass(),
        })
    }
}

impl Outbound for Plugin {
    fn on_send(&self, message: outbound::Message) -> Result<outbound::Verdict> {
        Ok(match message.text().unwrap_or_default() {
            "loop" => endless(),
            "panic" => panic!("outbound"),
            "tags" => {
                let many = (0..100_000).map(|n| n.to_string()).collect();
                outbound::Verdict::Patch(outbound::Patch { add_tags: many, ..outbound::Patch::default() })
            }
            _ => outbound::Verdict::Pass,
        })
    }
}
