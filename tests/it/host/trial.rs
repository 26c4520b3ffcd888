//! A version that is tried on live traffic: as a shadow, which only watches, and as a canary, which has a share of the chats.

use super::*;
use axum::Router;
use axum::routing::any;
use rijan::domain::trial::{Candidate, Comparison, Comparisons, Difference, Trial, TrialMode};
use rijan::plugins::{Mode, PluginState, Revision, Status, sha256_hex};
use rijan::store::EventQuery;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const SHADOW: TrialMode = TrialMode::Shadow;

/// The component with other bytes in place of these, of the same length.
fn altered(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = component.to_vec();
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from:?} is not in the component");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

/// The example with another reason for what it drops.
fn another() -> Vec<u8> {
    altered(&rust_example(), "blocked word", "another word")
}

impl World {
    /// The example serves, and this is tried beside it.
    async fn with_candidate(&self, candidate: Vec<u8>, mode: TrialMode, settings: Value) -> ReloadOutcome {
        let (serving, _) = self.plugins.keep(rust_example()).await.expect("a plugin");
        let (sha256, _) = self.plugins.keep(candidate).await.expect("a plugin");
        let trial = Trial { candidate: Some(Candidate { sha256, file: None }), mode, halted: None };
        let wanted = Wanted { trial: Some(trial), ..self.wanted("example", serving, settings) };
        self.plugins.put(&self.tenant, wanted).await.expect("put")
    }

    async fn status_of_example(&self) -> Status {
        self.plugins.status(&self.tenant).await.expect("status").remove(0)
    }

    /// So many differences, oldest first.
    async fn differences(&self, count: usize) -> Vec<Difference> {
        crate::support::until("the shadow to have run", async || {
            let found = self.store.plugin_differences(&self.tenant, "example", None, None, 500).await.expect("reads");
            (found.len() >= count).then(|| found.into_iter().rev().map(|placed| placed.row).collect())
        })
        .await
    }

    /// Which component decides about an event of this chat.
    async fn decides(&self, chat: &str) -> String {
        let decided = self.decide(self.event_in(chat, &format!("an event of {chat}"), "hi")).await;
        assert_eq!(errors(&decided), Vec::<String>::new());
        decided.aftermath.traces[0].sha256.clone()
    }

    async fn weigh(&self, weight: u32) -> ReloadOutcome {
        let mode = TrialMode::canary(weight).map(Mode::OnTrial);
        let revision = Revision { mode, ..Revision::default() };
        self.plugins.revise(&self.tenant, "example", revision).await.expect("a weight")
    }

    /// As a start finds it.
    async fn restart(&self) {
        self.plugins.forget(&self.tenant).await;
        self.plugins.load_all().await.expect("loads");
    }
}

fn chats(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("62811{number:08}@s.whatsapp.net")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plugin_in_shadow_tells_what_it_would_have_done_and_reaches_nothing() {
    let world = World::new().await;
    let (fetched, count) = (Arc::new(AtomicUsize::new(0)), |hits: Arc<AtomicUsize>| async move {
        hits.fetch_add(1, Ordering::Relaxed);
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let host = listener.local_addr().expect("address").to_string();
    let hits = fetched.clone();
    let router = Router::new().fallback(any(move || count(hits.clone())));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let component = altered(&rust_example(), "\"api.example.com\"", &format!("\"{host}\""));
    let mut settings = everything();
    settings["grants"]["hosts"] = json!([host]);
    settings["config"] = json!({ "ask-url": format!("http://{host}/ask?token=hidden") });
    let (sha256, _) = world.plugins.keep(component).await.expect("a plugin");
    let trial = Some(Trial { candidate: None, mode: SHADOW, halted: None });
    let wanted = Wanted { trial, ..world.wanted("example", sha256, settings) };
    assert_eq!(world.plugins.put(&world.tenant, wanted).await.expect("put"), ReloadOutcome::Swapped);

    for text in ["hi", "ping", "count", "ask me", "spam"] {
        let decided = world.process(world.event(text, text)).await;
        let left = &decided.aftermath;
        assert!(
            left.kv.is_empty() && left.sends.is_empty() && left.traces.is_empty() && left.lines.is_empty(),
            "{text}"
        );
        assert_eq!((decided.event.dropped, decided.event.data.get("tags")), (None, None), "{text}");
    }

    let found = world.differences(5).await;
    let comparisons: Vec<Comparison> = found.iter().map(|one| one.comparison).collect();
    use Comparison::{Agree, Differ, Failed};
    assert_eq!(comparisons, [Agree, Differ, Differ, Failed, Differ]);
    assert!(found.iter().all(|one| one.serving.is_none() && one.hook == "inbound"), "{found:?}");
    assert_eq!(found[1].candidate.said["effects"][0], json!({ "reply": { "text": "pong" } }));
    assert_eq!(found[2].candidate.kv[0]["op"], "increment");
    assert_eq!(found[3].candidate.fetches, [format!("POST http://{host}/ask")]);
    assert_eq!(found[4].candidate.said["verdict"], json!({ "drop": "blocked word" }));
    assert_eq!(fetched.load(Ordering::Relaxed), 0, "a shadow fetched");
    assert_eq!(world.store.kv_use(&world.tenant, "example").await.expect("use").keys, 0);
    let traces = world.store.plugin_traces(&world.tenant, "example", None, Some(true), 10).await.expect("traces");
    assert_eq!(traces.len(), 5);
    let lines = world.store.plugin_lines(&world.tenant, "example", None, 10).await.expect("lines");
    assert_eq!(lines[0].row.message, "dropped");
    let status = world.status_of_example().await;
    assert_eq!((status.state(), status.figures.map(|figures| figures.calls)), (PluginState::Shadow, Some(5)));
    world.store.delete_tenant(&world.tenant).await.expect("gone");
    world.store.empty_deleted().await.expect("emptied");
    let left = world.store.plugin_differences(&world.tenant, "example", None, None, 10).await.expect("reads");
    assert!(left.is_empty(), "what people wrote goes with their tenant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_compared_with_what_serves_on_the_values_that_it_saw() {
    let world = World::new().await;
    assert_eq!(world.with_candidate(another(), SHADOW, everything()).await, ReloadOutcome::Swapped);

    for (id, text) in ["hi", "count", "count", "count", "spam"].into_iter().enumerate() {
        world.process(world.event(&id.to_string(), text)).await;
    }

    let found = world.differences(5).await;
    let told: Vec<_> =
        found.iter().map(|one| (one.comparison, one.serving.as_ref().map(|side| side.said.clone()))).collect();
    assert!(told[..4].iter().all(|(comparison, _)| *comparison == Comparison::Agree), "{told:?}");
    assert_eq!(found[3].candidate.said["effects"][0]["reply"]["text"], "3", "it saw what the serving version saw");
    let last = &found[4];
    assert_eq!(last.comparison, Comparison::Differ);
    assert_eq!(last.serving.as_ref().expect("served").said["verdict"], json!({ "drop": "blocked word" }));
    assert_eq!(last.candidate.said["verdict"], json!({ "drop": "another word" }));
    let entry = world.store.kv_entry(&world.tenant, "example", "count").await.expect("reads").expect("is there");
    assert_eq!(entry.value.number(), Some(3), "only what serves writes");
    let status = world.status_of_example().await;
    let candidate = status.candidate.clone().expect("a candidate");
    assert_eq!((status.state(), candidate.state), (PluginState::Serving, PluginState::Shadow));
    let calls = [status.figures, candidate.figures].map(|figures| figures.map(|figures| figures.calls));
    assert_eq!(calls, [Some(5), Some(5)], "each counts its own");
    let counted = world.store.plugin_comparisons(&world.tenant, "example", &sha256_hex(&another())).await;
    assert_eq!(counted.expect("counts"), Comparisons { agree: 4, differ: 1, failed: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hook_is_shown_to_a_shadow() {
    let world = World::new().await;
    world.with_candidate(another(), SHADOW, everything()).await;
    let pipeline = world.plugins.pipeline(&world.tenant).expect("a pipeline");
    let outgoing = rijan::plugins::pipeline::Outgoing {
        id: rijan::domain::ids::MessageId::generate(),
        device: world.device.clone(),
        chat: rijan::domain::jid::ChatId::parse("6281100000002").expect("chat"),
        at: NOW,
        origin: rijan::plugins::pipeline::Origin::Api("key".into()),
    };
    let content = |text: &str| rijan::domain::outgoing::Content::Text {
        text: text.into(),
        mentions: Vec::new(),
        quoted_message_id: None,
        link_preview: None,
    };

    pipeline.on_send(&outgoing, content("hello")).await;
    pipeline.format("example", &world.event("1", "hi"), "wh_1", "slack", true).await;
    pipeline.tick("example", "digest", NOW, true).await;

    let found = world.differences(3).await;
    let told: Vec<_> = found.iter().map(|one| (one.hook, one.part.as_str(), one.comparison)).collect();
    let id = outgoing.id.to_string();
    let agree = Comparison::Agree;
    // The device of the digest is not there: what the serving version could not do is no agreement.
    assert_eq!(
        told,
        [("outbound", id.as_str(), agree), ("webhook", "wh_1", agree), ("scheduled", "", Comparison::Failed)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_hangs_or_traps_neither_delays_nor_fails_what_is_live() {
    const EVENTS: usize = 500;
    const HANGS: Duration = Duration::from_secs(4);
    let world = World::new().await;
    let mut settings = everything();
    settings["limits"] = json!({ "call_ms": HANGS.as_millis(), "errors_until_tripped": 1_000 });
    assert_eq!(world.with_candidate(hostile(), SHADOW, settings).await, ReloadOutcome::Swapped);

    let mut slowest = Duration::ZERO;
    for number in 0..EVENTS {
        let text = ["panic on purpose", "loop"][number % 2];
        let began = Instant::now();
        let decided = world.process(world.event(&number.to_string(), text)).await;
        slowest = slowest.max(began.elapsed());
        assert_eq!(errors(&decided), Vec::<String>::new());
        assert_eq!(decided.aftermath.traces[0].decision, "pass");
    }

    assert!(slowest < HANGS / 2, "an event took {slowest:?} beside a shadow that hangs");
    let status = world.status_of_example().await;
    let candidate = status.candidate.as_ref().expect("a candidate");
    assert!(candidate.dropped > 0, "{EVENTS} events cannot all wait for a shadow that hangs");
    assert_eq!(status.figures.map(|figures| (figures.calls, figures.errors)), Some((EVENTS as u64, 0)));
    let found = world.differences(0).await;
    assert!(found.iter().all(|one| one.comparison == Comparison::Failed), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_has_its_share_of_the_chats_and_each_keeps_its_version() {
    let world = World::new().await;
    let [old, new] = [rust_example(), another()].map(|component| sha256_hex(&component));
    world.with_candidate(another(), TrialMode::canary(30).expect("a weight"), everything()).await;
    let chats = chats(300);
    let versions = async || {
        let mut all = BTreeMap::new();
        for chat in &chats {
            all.insert(chat.clone(), world.decides(chat).await);
        }
        all
    };
    let of = |all: &BTreeMap<String, String>, sha256: &str| -> BTreeSet<String> {
        all.iter().filter(|(_, by)| *by == sha256).map(|(chat, _)| chat.clone()).collect()
    };

    let first = versions().await;
    let among = of(&first, &new);
    assert!((60..=120).contains(&among.len()), "{} of 300 at 30 percent", among.len());
    assert_eq!(among.len() + of(&first, &old).len(), 300);
    let lid = json!({ "contactId": among.first().expect("a chat") });
    let mut from_lid = world.event_in("77@lid", "lid", "hi");
    from_lid.data["sender"] = lid;
    assert_eq!(world.decide(from_lid).await.aftermath.traces[0].sha256, new, "a person is one chat by lid and phone");

    world.restart().await;
    assert_eq!(versions().await, first);
    assert_eq!(world.weigh(60).await, ReloadOutcome::Swapped);
    assert!(of(&versions().await, &new).is_superset(&among));

    let promoted = world.plugins.promote(&world.tenant, "example").await.expect("promoted");
    assert_eq!(promoted, ReloadOutcome::Swapped);
    assert_eq!(of(&versions().await, &new).len(), 300);
    world.restart().await;
    assert_eq!(world.plugins.roll_back(&world.tenant, "example").await.expect("back"), ReloadOutcome::Swapped);
    assert_eq!(of(&versions().await, &old).len(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_too_often_loses_its_chats_until_somebody_gives_it_some_again() {
    let world = World::new().await;
    let [old, new] = [rust_example(), hostile()].map(|component| sha256_hex(&component));
    let mut settings = everything();
    settings["limits"] = json!({ "errors_until_tripped": 3 });
    world.with_candidate(hostile(), TrialMode::canary(50).expect("a weight"), settings).await;
    let mut chat = None;
    for one in chats(50) {
        if world.decides(&one).await == new {
            chat = Some(one);
            break;
        }
    }
    let chat = chat.expect("one of fifty at fifty percent");

    for number in 0..3 {
        let decided = world.process(world.event_in(&chat, &number.to_string(), "panic on purpose")).await;
        assert_eq!(errors(&decided).len(), 1);
    }

    assert_eq!(world.decides(&chat).await, old);
    let told = crate::support::until("the event", async || {
        let query = EventQuery { types: vec!["plugin.tripped".into()], limit: 10, ..EventQuery::default() };
        world.store.events(&world.tenant, query).await.expect("events").into_iter().next()
    })
    .await;
    assert_eq!((&told.data["mode"], &told.data["weight"]), (&json!("canary"), &json!(50)));
    assert_eq!((&told.data["sha256"], &told.data["retryInSeconds"]), (&json!(new), &Value::Null));
    world.restart().await;
    assert_eq!(world.decides(&chat).await, old, "a restart changes nothing about it");
    let candidate = world.status_of_example().await.candidate.expect("it is still there");
    assert_eq!(candidate.state, PluginState::Tripped);
    assert!(candidate.reason.is_some_and(|reason| reason.contains("unreachable")));
    world.put("beside", rust_example(), everything()).await;
    assert_eq!(world.decides(&chat).await, old, "nor does a change of another plugin");

    world.weigh(50).await;
    assert_eq!(world.decides(&chat).await, new);
    assert_eq!(world.plugins.roll_back(&world.tenant, "example").await.expect("given up"), ReloadOutcome::Swapped);
    assert_eq!(world.decides(&chat).await, old);
    assert!(world.status_of_example().await.candidate.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_does_not_hold_is_refused_and_what_serves_goes_on() {
    let world = World::new().await;
    world.put("example", rust_example(), everything()).await;
    // It claims a hook that it lacks.
    let untrue = altered(&hostile(), "\"outbound\":true,\"webhook\":false", "\"outbound\":false,\"webhook\":true");
    let hash = sha256_hex(&untrue);

    let outcome = world.with_candidate(untrue, SHADOW, everything()).await;

    let ReloadOutcome::KeptPrevious { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("the candidate: ") && reason.contains("webhook"), "{reason}");
    let told =
        world.store.events(&world.tenant, EventQuery { limit: 1, ..EventQuery::default() }).await.expect("events");
    assert_eq!((told[0].type_.as_str(), &told[0].data["sha256"]), ("plugin.reload_failed", &json!(hash)));
    let mut ungranted = everything();
    ungranted["grants"]["imports"] = json!([]);
    assert!(matches!(world.with_candidate(another(), SHADOW, ungranted).await, ReloadOutcome::KeptPrevious { .. }));
    let broken = altered(&rust_example(), "\"version\":\"0.1.0\"", "\"versiom\":\"0.1.0\"");
    assert!(world.plugins.keep(broken).await.is_err());
    let status = world.status_of_example().await;
    assert_eq!(status.state(), PluginState::Serving);
    assert!(status.candidate.is_none());
    assert_eq!(sent(&world.decide(world.event("1", "ping")).await), ["pong"]);
}
