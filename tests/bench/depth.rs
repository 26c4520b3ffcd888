//! What a question costs with a million stored messages of one device in 10,000 chats, and beside it, in the same run, the same
//! question with 10,000 in 100. Both stores are filled the way the phone's history, events and sends go. Prints a table,
//! asserts nothing. docs/benchmarks.md says what each row means.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on should say where")]

use futures_util::future::join_all;
use rijan::domain::aftermath::Aftermath;
use rijan::domain::clock::Clock;
use rijan::domain::event::{Event, EventType};
use rijan::domain::ids::{DeviceId, MessageId, TenantId};
use rijan::domain::jid::ChatId;
use rijan::domain::outgoing::Content;
use rijan::domain::secret::Secret;
use rijan::store::{Before, EventQuery, HistoryChat, HistoryPart, NewKey, NewLine, NewMessage, Store, StoreSettings};
use rijan::telemetry::metrics::Metrics;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MESSAGES_DEFAULT: usize = 1_000_000;
const SMALL: usize = 10_000;
const MESSAGES_PER_CHAT: usize = 100;
/// Messages of one part of history, as the gateway writes it.
const PART: usize = 50;
/// Parts under way at once, so that they share commits.
const AT_ONCE: usize = 64;
const WORDS: usize = 5_000;
const ASKED: usize = 300;
const BEGAN_AT_MS: i64 = 1_700_000_000_000;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| argument != "--bench");
    let messages = wanted.map_or(MESSAGES_DEFAULT, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(messages));
}

async fn measure(messages: usize) {
    let small = Filled::new(SMALL).await;
    let large = Filled::new(messages).await;
    println!("\n{messages} messages beside {SMALL}; {}", build());
    println!("filled in {:.0} s, {:.0} messages a second\n", large.took.as_secs_f64(), large.per_second());
    println!("{:<44} {:>9} {:>9} {:>9} {:>9} {:>7} {:>9}", "", "p50, ms", "p99", "p50", "p99", "ratio", "CPU, us");
    for (what, question) in QUESTIONS {
        let (few, many) = (small.ask(*question).await, large.ask(*question).await);
        println!(
            "{what:<44} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>7.2} {:>9.0}",
            few.p50,
            few.p99,
            many.p50,
            many.p99,
            many.p50 / few.p50,
            many.cpu_us
        );
    }
    println!("\n{:<44} {:>9.0} {:>19.0}", "bytes on disk, by message", small.bytes_each(), large.bytes_each());
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "a debug build, SQLite optimised" } else { "a release build" }
}

#[derive(Clone, Copy)]
enum Question {
    Chats { deep: bool },
    Count,
    Newest,
    MiddleByTime,
    MiddleById,
    Search(&'static str),
    SearchInChat(&'static str),
    EventsBehind,
    EventsNewest,
    Status,
}

const QUESTIONS: &[(&str, Question)] = &[
    ("chats, the first 50", Question::Chats { deep: false }),
    ("chats, the last 50 by offset", Question::Chats { deep: true }),
    ("chats, how many", Question::Count),
    ("messages of a chat, the newest 50", Question::Newest),
    ("messages of a chat, before a time", Question::MiddleByTime),
    ("messages of a chat, before an id", Question::MiddleById),
    ("search, a rare word", Question::Search("rarity")),
    ("search, a word of every second message", Question::Search("kopi")),
    ("search, two common words", Question::Search("w0000 kopi")),
    ("search, the beginning of many words", Question::Search("w00")),
    ("search, one letter", Question::Search("w")),
    ("search, a common word in one chat", Question::SearchInChat("kopi")),
    ("search, a word that is not in the chat", Question::SearchInChat("rarity")),
    ("events, 100 behind a cursor", Question::EventsBehind),
    ("events, the newest 100", Question::EventsNewest),
    ("status of a message", Question::Status),
];

struct Cost {
    p50: f64,
    p99: f64,
    cpu_us: f64,
}

struct Filled {
    store: Store,
    tenant: TenantId,
    device: DeviceId,
    messages: usize,
    sent: Vec<MessageId>,
    events: i64,
    took: Duration,
    folder: tempfile::TempDir,
}

impl Filled {
    async fn new(messages: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings {
            path: folder.path().join("rijan.db"),
            readers: 1,
            batch_time_max: Duration::from_millis(500),
            batch_requests_max: AT_ONCE,
            instance_id: None,
        };
        let metrics = Arc::new(Metrics::new().unwrap());
        let store = Store::open(&settings, &Secret::new("key"), Clock::system(), metrics).unwrap();
        let hash = "h".to_owned();
        let key = NewKey { name: "k".into(), hash, scopes: vec![], allowed_ips: vec![], expires_at: i64::MAX };
        let tenant = store.create_tenant(TenantId::generate(), "Bench", key).await.unwrap().id;
        let device = store.create_device(&tenant, "bench").await.unwrap().id;
        let none = Duration::ZERO;
        let mut filled = Self { store, tenant, device, messages, sent: Vec::new(), events: 0, took: none, folder };
        let began = Instant::now();
        filled.history().await;
        filled.took = began.elapsed();
        filled.tell().await;
        filled.send().await;
        filled
    }

    fn chats(&self) -> usize {
        self.messages / MESSAGES_PER_CHAT
    }

    /// Round by round over the chats, so that the messages of a chat do not lie beside each other.
    async fn history(&self) {
        let lease = self.store.acquire_lease(&self.tenant, &self.device).await.unwrap();
        let words = Words::new();
        for round in 0..MESSAGES_PER_CHAT / PART {
            let chats: Vec<usize> = (0..self.chats()).collect();
            for group in chats.chunks(AT_ONCE) {
                let parts = group.iter().map(|chat| {
                    let numbers = (0..PART).map(|at| (round * PART + at) * self.chats() + chat);
                    let lines = numbers.map(|number| line(number, words.said(number))).collect();
                    let chat = HistoryChat { address: address(*chat), lines, ..HistoryChat::default() };
                    let part = HistoryPart { chats: vec![chat], ..HistoryPart::default() };
                    self.store.record_history(&self.tenant, &lease, part)
                });
                join_all(parts).await.into_iter().for_each(|written| written.unwrap());
            }
        }
    }

    /// An event for every tenth message.
    async fn tell(&mut self) {
        let event = |number: usize| {
            let chat = address(number % self.chats());
            let data = json!({ "id": id(number), "chat": chat, "from": chat, "fromMe": false, "isGroup": false,
                "sender": { "contactId": chat, "jid": chat, "phone": null, "lid": null, "name": "Budi" },
                "type": "text", "text": "what somebody wrote, some words long", "timestamp": 1_700_000_000 });
            let (device, now) = (Some(self.device.clone()), self.store.clock().now_ms());
            Event::new(self.tenant.clone(), device, EventType::MessageReceived, now, data)
        };
        let numbers: Vec<usize> = (0..self.messages / 10).collect();
        for group in numbers.chunks(1_000) {
            self.store.append_events_once(group.iter().map(|number| event(*number)).collect()).await.unwrap();
        }
        self.events = self.store.newest_event(&self.tenant).await.unwrap();
    }

    /// A message that is sent for every hundredth.
    async fn send(&mut self) {
        let one = |number: usize| {
            let content = Content::Text {
                text: "what we answer".into(),
                mentions: vec![],
                quoted_message_id: None,
                link_preview: None,
            };
            NewMessage {
                id: MessageId::generate(),
                chat: ChatId::parse(&address(number % self.chats())).unwrap(),
                wa_id: format!("3EB0FFFF{number:016X}"),
                content,
                idempotency: None,
                aftermath: Aftermath::default(),
            }
        };
        let numbers: Vec<usize> = (0..self.messages / 100).collect();
        let mut sent = Vec::new();
        for group in numbers.chunks(AT_ONCE) {
            let messages: Vec<NewMessage> = group.iter().map(|number| one(*number)).collect();
            sent.extend(messages.iter().map(|message| message.id.clone()));
            let taken = messages.into_iter().map(|m| self.store.accept_message(&self.tenant, &self.device, m, true));
            join_all(taken).await.into_iter().for_each(|accepted| drop(accepted.unwrap()));
        }
        self.sent = sent;
    }

    fn per_second(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }

    fn bytes_each(&self) -> f64 {
        let size = |name: &str| std::fs::metadata(self.folder.path().join(name)).map_or(0, |about| about.len());
        (size("rijan.db") + size("rijan.db-wal")) as f64 / self.messages as f64
    }

    async fn ask(&self, question: Question) -> Cost {
        let mut times = Vec::with_capacity(ASKED);
        let mut cpu = Duration::ZERO;
        for number in 0..=ASKED {
            if number == 1 {
                cpu = cpu_time();
            }
            let began = Instant::now();
            let found = self.answered(question, number).await;
            // The first one warms up.
            if number > 0 {
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            std::hint::black_box(found);
        }
        let cpu_us = (cpu_time() - cpu).as_secs_f64() * 1e6 / ASKED as f64;
        times.sort_by(f64::total_cmp);
        Cost { p50: times[ASKED / 2], p99: times[ASKED * 99 / 100], cpu_us }
    }

    /// Another chat, message or place each time. How many rows were found.
    async fn answered(&self, question: Question, number: usize) -> usize {
        let (store, tenant, device) = (&self.store, &self.tenant, &self.device);
        let nth = number * 7_919 % self.chats();
        let chat = async || store.chat(tenant, device, &ChatId::parse(&address(nth)).unwrap()).await.unwrap().id;
        let middle = BEGAN_AT_MS + (self.messages as i64 / 2) * 1_000;
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let query = EventQuery { device: Some(device.clone()), limit: 100, ..EventQuery::default() };
        match question {
            Question::Chats { deep } => {
                let offset = if deep { self.chats() - 50 } else { 0 };
                store.chats(tenant, device, 50, u32::try_from(offset).unwrap()).await.unwrap().len()
            }
            Question::Count => usize::try_from(store.chat_sync(tenant, device).await.unwrap().chat_count).unwrap(),
            Question::Newest => store.chat_lines(tenant, chat().await, Before::Newest, 51).await.unwrap().len(),
            Question::MiddleByTime => {
                store.chat_lines(tenant, chat().await, Before::At(middle), 51).await.unwrap().len()
            }
            Question::MiddleById => {
                let before = Before::Message(id(nth + MESSAGES_PER_CHAT / 2 * self.chats()));
                store.chat_lines(tenant, chat().await, before, 51).await.unwrap().len()
            }
            Question::Search(text) => {
                store.search_lines(tenant, device, &words(text), None, None, 51).await.unwrap().len()
            }
            Question::SearchInChat(text) => {
                let chat = Some(chat().await);
                store.search_lines(tenant, device, &words(text), chat, None, 51).await.unwrap().len()
            }
            Question::EventsBehind => {
                let after = Some(self.events * number as i64 / (2 * ASKED as i64));
                store.events(tenant, EventQuery { after, ..query }).await.unwrap().len()
            }
            Question::EventsNewest => store.events(tenant, query).await.unwrap().len(),
            Question::Status => {
                let id = &self.sent[number * 31 % self.sent.len()];
                usize::from(store.outgoing(tenant, device, id.as_str()).await.is_ok())
            }
        }
    }
}

fn address(chat: usize) -> String {
    format!("62811{chat:08}@s.whatsapp.net")
}

fn id(number: usize) -> String {
    format!("3EB0{number:016X}")
}

fn line(number: usize, text: String) -> NewLine {
    NewLine {
        wa_id: id(number),
        from_me: false,
        sender: "6281100000000@s.whatsapp.net".into(),
        outbox_id: None,
        media_id: None,
        kind: "text".into(),
        text: Some(text),
        is_caption: false,
        at: BEGAN_AT_MS + i64::try_from(number).unwrap() * 1_000,
        status: None,
        unread: false,
        starred: false,
    }
}

/// Words as often as people use them: the second half as often as the first, the third a third as often.
struct Words(Vec<f64>);

impl Words {
    fn new() -> Self {
        let mut sum = 0.0;
        Self(
            (1..=WORDS)
                .map(|place| {
                    sum += 1.0 / place as f64;
                    sum
                })
                .collect(),
        )
    }

    fn said(&self, number: usize) -> String {
        let last = self.0.last().copied().unwrap_or(1.0);
        let mut text = String::new();
        for _ in 0..9 {
            let place = self.0.partition_point(|sum| *sum < rand::random::<f64>() * last);
            text.push_str(&format!("w{place:04} "));
        }
        if number.is_multiple_of(2) {
            text.push_str("kopi");
        }
        if number % 1_000 == 7 && number < SMALL {
            text.push_str(" rarity");
        }
        text
    }
}

/// Of this process, user and system: fields 14 and 15 of its stat, in hundredths of a second (proc(5)).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The second field is a name in parentheses, which may hold spaces.
    let behind_name = stat.rsplit(')').next().unwrap();
    let ticks = behind_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
