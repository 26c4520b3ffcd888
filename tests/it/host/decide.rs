//! What the example decides, in every language it is written in.

use super::*;
use crate::guests::LANGUAGES;
use rijan::domain::aftermath::{KvEntry, KvValue};
use rijan::domain::delivery::Form;
use rijan::domain::ids::MessageId;
use rijan::domain::jid::ChatId;
use rijan::domain::outgoing::Content;
use rijan::plugins::pipeline::{Formatted, Origin, Outgoing, Ticked, Verdict};

async fn with_example(language: &str) -> Option<World> {
    let component = example(language)?;
    let world = World::new().await;
    assert_eq!(world.put("example", component, everything()).await, ReloadOutcome::Swapped, "{language}");
    Some(world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_decides_the_same_in_every_language() {
    for language in LANGUAGES {
        let Some(world) = with_example(language).await else { continue };

        let ping = world.process(world.event("1", "ping")).await;
        assert_eq!((sent(&ping), errors(&ping)), (vec!["pong".to_owned()], vec![]), "{language}");
        assert_eq!(ping.event.data["tags"], json!(["ping"]), "{language}");

        let dropped = world.process(world.event("2", "this is SPAM")).await;
        assert_eq!(
            dropped.event.dropped.as_ref().map(|d| (d.by.as_str(), d.why.as_str())),
            Some(("example", "blocked word"))
        );
        assert_eq!(dropped.aftermath.lines.len(), 1, "{language}");

        for expected in ["1", "2", "3"] {
            let counted = world.process(world.event(expected, "count")).await;
            assert_eq!(sent(&counted), [expected], "{language}");
        }
        let failed = world.process(world.event("4", "count then fail")).await;
        assert_eq!(errors(&failed), ["asked to fail"], "{language}");
        let kept = world.store.kv_entry(&world.tenant, "example", "count").await.expect("read");
        assert_eq!(kept, Some(KvEntry { value: KvValue::Text("3".into()), version: 3 }), "{language}");

        for (id, text) in [("5", "note one"), ("6", "note two")] {
            world.process(world.event(id, text)).await;
        }
        let notes = world.process(world.event("7", "notes")).await;
        let mut lines: Vec<String> = sent(&notes)[0].lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["one", "two"], "{language}");

        for word in ["find", "data"] {
            let found = world.process(world.event(word, word)).await;
            assert_eq!(sent(&found), ["6281100000002@s.whatsapp.net"], "{language} {word}");
        }
        let thanks = world.process(world.event("8", "thanks")).await;
        assert_eq!(sent(&thanks), ["reaction", "read_receipt"], "{language}");
        let forwarded = world.process(world.event("9", "forward 6281100000009")).await;
        assert_eq!(forwarded.aftermath.sends[0].chat.as_str(), "6281100000009@s.whatsapp.net", "{language}");
        let routed = world.process(world.event("10", "route crm")).await;
        assert_eq!(routed.event.route, Some(vec!["crm".to_owned()]), "{language}");
        let number = |decided: &Decided| sent(decided)[0].parse::<i64>().expect("a number");
        assert_eq!(number(&world.process(world.event("11", "time")).await), NOW, "{language}");
        assert!((1..=6).contains(&number(&world.process(world.event("12", "dice")).await)), "{language}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_deliveries_and_ticks_pass_the_example_in_every_language() {
    for language in LANGUAGES {
        let Some(world) = with_example(language).await else { continue };
        let pipeline = world.plugins.pipeline(&world.tenant).expect("pipeline");
        let outgoing = Outgoing {
            id: MessageId::generate(),
            device: world.device.clone(),
            chat: ChatId::parse("6281100000002").expect("chat"),
            at: NOW,
            origin: Origin::Api("key".into()),
        };
        let text = |text: &str| Content::Text {
            text: text.into(),
            mentions: vec![],
            quoted_message_id: None,
            link_preview: None,
        };

        let (said, _) = pipeline.on_send(&outgoing, text("hello you")).await;
        assert_eq!(said, Verdict::Accepted(text(&format!("hello you ({})", world.tenant))), "{language}");
        let (said, aftermath) = pipeline.on_send(&outgoing, text("spam")).await;
        let Verdict::Rejected { plugin, code, .. } = said else { panic!("{language} took it") };
        assert_eq!((plugin.as_str(), code.as_str()), ("example", "BLOCKED_WORD"), "{language}");
        assert_eq!(aftermath.traces[0].decision, "reject");

        let (formatted, _) = pipeline.format("example", &world.event("1", "hi"), "whk_1", "slack", true).await;
        assert!(matches!(formatted, Formatted::Form(Form::Shaped { .. })), "{language}: {formatted:?}");
        let (formatted, _) = pipeline.format("other", &world.event("1", "hi"), "whk_1", "slack", true).await;
        assert!(matches!(formatted, Formatted::Park(_)), "{language}: {formatted:?}");

        assert_eq!(pipeline.schedules().len(), 1, "{language}");
        let Ticked::Done(aftermath) = pipeline.tick("example", "digest", NOW, true).await else {
            panic!("{language} asked for time")
        };
        // The device it names is not one of this tenant's.
        assert!(aftermath.traces[0].detail.to_string().contains("no device"), "{language}: {:?}", aftermath.traces);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_gives_the_same_messages_and_another_one_others() {
    let world = World::new().await;
    world.put("example", rust_example(), everything()).await;

    let (first, again) = (world.decide(world.event("1", "ping")).await, world.decide(world.event("1", "ping")).await);
    let other = world.decide(world.event("2", "ping")).await;

    let ids = |decided: &Decided| {
        decided.aftermath.sends.iter().map(|send| (send.id.clone(), send.wa_id.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), ids(&again));
    assert_ne!(ids(&first), ids(&other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_that_is_not_granted_fails_the_call_and_leaves_nothing() {
    let world = World::new().await;
    let mut settings = everything();
    settings["grants"]["effects"] = json!(["react"]);
    world.put("example", rust_example(), settings).await;

    let decided = world.decide(world.event("1", "count")).await;

    assert!(errors(&decided)[0].contains("\"reply\" is not granted"), "{:?}", errors(&decided));
    assert!(decided.aftermath.sends.is_empty() && decided.aftermath.kv.is_empty());
    assert_eq!(decided.event.dropped, None, "on_error is pass by default");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protective_filter_fails_closed() {
    let world = World::new().await;
    let mut settings = everything();
    settings["grants"]["effects"] = json!([]);
    settings["on_error"] = json!({ "inbound": "drop" });
    world.put("example", rust_example(), settings).await;

    let decided = world.decide(world.event("1", "ping")).await;

    assert_eq!(decided.event.dropped.map(|dropped| dropped.by), Some("example".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_passes_the_plugins_behind_it_and_those_alone() {
    let world = World::new().await;
    let word = |word: &str| {
        let mut settings = everything();
        settings["config"] = json!({ "blocked-word": word });
        settings
    };
    // Each would reject its own word in what goes out; the first one answers "pong".
    world.put("first", rust_example(), word("pong")).await;
    let alone = world.decide(world.event("1", "ping")).await;
    assert_eq!(sent(&alone), ["pong"], "the plugin that sends does not see its own message");
    let mut second = word("pong");
    second["hooks"] = json!(["outbound"]);
    world.put("second", rust_example(), second).await;

    let decided = world.decide(world.event("1", "ping")).await;

    assert!(sent(&decided).is_empty());
    let effects = &decided.aftermath.traces.iter().find(|t| t.plugin == "first").expect("trace").detail["effects"];
    assert_eq!(effects[0]["rejectedBy"]["plugin"], "second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_changed_meanwhile_is_told_and_the_run_again_is_right() {
    let world = World::new().await;
    world.put("example", rust_example(), everything()).await;
    let (one, two) = (world.decide(world.event("1", "count")).await, world.decide(world.event("2", "count")).await);

    // Both began with nothing; increments add at the commit, so both may stand.
    for decided in [&one, &two] {
        world.store.commit_aftermath(&world.tenant, decided.aftermath.clone()).await.expect("commits");
    }

    let kept = world.store.kv_entry(&world.tenant, "example", "count").await.expect("read").expect("there");
    assert_eq!(kept.value, KvValue::Text("2".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_was_read_does_not_stand_in_the_log() {
    let world = World::new().await;
    world.put("example", rust_example(), everything()).await;

    let asked = world.process(world.event("1", "ask what")).await;

    let told = format!("{:?} {:?}", asked.aftermath.lines, asked.aftermath.traces);
    assert!(!told.contains("hunter2"), "{told}");
    assert_eq!(errors(&asked).len(), 1, "api.example.com cannot be reached from a test: {told}");
}
