//! A plugin that attacks its host (`tests/guests/hostile`), and the mechanism that stops each attack.

use super::*;
use crate::support::{alone, hold_to_its_schema, resident_mib};
use rijan::domain::aftermath::{KvEntry, KvValue};
use rijan::plugins::PluginState;
use rijan::store::NewTemplate;
use std::time::Instant;
use tokio::net::TcpListener;

/// Everything it asks for, and little time.
fn granted() -> Value {
    json!({
        "grants": {
            "imports": ["secrets", "kv", "http"],
            "effects": ["reply", "send", "forward", "react", "mark-read", "route"],
            "hosts": ["*.example.com"],
            "secrets": ["api-token"],
        },
        "limits": { "call_ms": 1_000, "memory_mib": 16, "errors_until_tripped": 1_000 },
    })
}

async fn with_hostile() -> World {
    with(granted()).await
}

async fn with(settings: Value) -> World {
    let world = World::new().await;
    assert_eq!(world.put("hostile", hostile(), settings).await, ReloadOutcome::Swapped);
    world
}

/// How its call failed: the kind, and what it says.
fn failure(decided: &Decided) -> (String, String) {
    let trace = &decided.aftermath.traces[0];
    assert_eq!(trace.decision, "error", "{trace:?}");
    assert_eq!(trace.detail["onError"], "pass");
    assert_eq!(decided.event.dropped, None, "on_error is pass by default");
    let text = |key: &str| trace.detail[key].as_str().expect("a text").to_owned();
    (text("kind"), text("error"))
}

/// What it said, when it came to an answer: it drops the event and gives this as the reason.
fn said(decided: &Decided) -> &str {
    let dropped = decided.event.dropped.as_ref();
    &dropped.unwrap_or_else(|| panic!("it said nothing: {:?}", decided.aftermath.traces)).why
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attack_is_stopped_by_its_own_mechanism() {
    // What it is told, the kind of failure, and what the failure says: by the last one knows the mechanism.
    let attacks = [
        ("loop", "timeout", "longer than 1000 ms"),
        ("host-loop", "timeout", "longer than 1000 ms"),
        ("secret-loop", "timeout", "longer than 1000 ms"),
        ("log-loop a line", "timeout", "longer than 1000 ms"),
        ("kv-loop", "timeout", "longer than 1000 ms"),
        ("sleep", "timeout", "longer than 1000 ms"),
        ("memory", "trap", "unreachable"),
        ("recursion", "trap", "call stack exhausted"),
        ("stack", "trap", "out of bounds memory access"),
        ("panic on purpose", "trap", "unreachable"),
        ("exit 0", "trap", "exit"),
        ("exit 1", "trap", "exit"),
        ("list 10000000", "trap", "unreachable"),
        ("list 40000", "trap", "fuel"),
        ("list 5000", "refused_effect", "more than 200 effects"),
        ("big-answer 8000000", "trap", "fuel"),
        ("big-line 8000000", "trap", "fuel"),
        ("sends 11", "refused_effect", "more than 10 messages in one call"),
        ("replies 200", "refused_effect", "more than 10 messages in one call"),
        ("routes 201", "refused_effect", "more than 200 effects"),
        ("other 500000", "refused_effect", "knows no effect"),
        ("to status@broadcast", "refused_effect", "status@broadcast"),
        ("to 62811@newsletter", "refused_effect", "is a newsletter"),
        ("to-long 500000", "refused_effect", "the recipient"),
        ("device-long 500000", "refused_effect", "no device"),
        ("emoji 33", "refused_effect", "emoji"),
        ("quote 0", "refused_effect", "id of a message"),
        ("quote 200000", "refused_effect", "id of a message"),
        ("mention 257", "refused_effect", "mentions more than 256"),
        ("place NaN", "refused_effect", "outside"),
        ("place inf", "refused_effect", "outside"),
        ("place-name 100000", "refused_effect", "name or address"),
        ("patch-place NaN", "permanent", "outside"),
        ("patch-depth 120", "permanent", "levels"),
        ("patch-other 120", "permanent", "levels"),
        ("patch-big 300000", "permanent", "bytes"),
        ("say no", "permanent", "nono"),
    ];
    let world = with_hostile().await;
    for (attack, kind, part) in attacks {
        let decided = world.process(world.event(attack, attack)).await;

        let (found, text) = failure(&decided);
        assert!(found == kind && text.contains(part), "{attack}: {found}: {text}");
        assert!(text.chars().count() <= 600, "{attack} writes {} characters into the trace", text.chars().count());
        assert!(decided.aftermath.sends.is_empty() && decided.aftermath.kv.is_empty(), "{attack} left something");
    }
    // After all of it the plugin serves.
    assert_eq!(sent(&world.process(world.event("after", "answer")).await), ["answer to myself"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_templates_and_buttons_are_sent_when_they_are_within_what_the_api_allows() {
    let world = with_hostile().await;
    let (name, text) = ("greeting".to_owned(), "Hello {{name}}".to_owned());
    world.store.create_template(&world.tenant, NewTemplate { name, text, media: None }, 10).await.expect("created");
    let buttons = r#"{"body":"b","buttons":[{"id":"1","text":"Yes"}]}"#;

    for (number, (words, expected)) in [
        ("poll 12", "poll"),
        ("template greeting Ana", "Hello Ana"),
        (&format!("interactive {buttons}"), "interactive"),
    ]
    .into_iter()
    .enumerate()
    {
        let decided = world.process(world.event(&format!("good {number}"), words)).await;
        assert_eq!(sent(&decided), [expected], "{words}");
    }
    for (number, (words, why)) in [
        ("poll 13", "2 to 12 choices"),
        ("template nothing Ana", "no template \"nothing\""),
        ("interactive {}", "needs a body"),
        ("interactive {\"body\":\"b\",\"buttons\":[]}", "1 to 3 buttons"),
    ]
    .into_iter()
    .enumerate()
    {
        let decided = world.process(world.event(&format!("bad {number}"), words)).await;
        let (_, error) = failure(&decided);
        assert!(error.contains(why), "{words}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_can_do_stays_within_its_quotas() {
    let mut settings = granted();
    settings["limits"]["kv_keys"] = json!(3);
    settings["limits"]["kv_value_bytes"] = json!(1_048_576);
    settings["limits"]["kv_kib"] = json!(2_048);
    settings["limits"]["kv_writes_per_call"] = json!(10_000);
    settings["limits"]["call_ms"] = json!(20_000);
    let world = with(settings).await;

    let flood = world.process(world.event("1", "log-flood 100000")).await;
    assert_eq!(flood.aftermath.lines.len(), 20);
    let long = world.process(world.event("2", "big-line 1000000")).await;
    assert_eq!(long.aftermath.lines[0].message.len(), 4_096);
    let fields = world.process(world.event("3", "big-fields 5000")).await;
    assert!(fields.aftermath.lines[0].fields.to_string().len() < 8_192);
    // The secret ends where the line does, and no beginning of it remains.
    for before in 4_080..4_097 {
        let line = world.process(world.event("4", &format!("secret-line {before}"))).await;
        assert!(!line.aftermath.lines[0].message.contains("hu"), "{before}");
    }

    let same = world.process(world.event("5", "kv-same")).await;
    let taken: u32 = said(&same).parse().expect("a number");
    assert!((1..=16).contains(&taken), "{taken} MiB wait for the commit");
    world.store.delete_kv(&world.tenant, "hostile", "").await.expect("emptied");
    let keys = world.process(world.event("6", "kv-keys 10")).await;
    assert!(said(&keys).contains("QuotaExceeded"), "{}", said(&keys));
    assert_eq!(world.store.kv_use(&world.tenant, "hostile").await.expect("use").keys, 3);
    let value = world.process(world.event("7", "kv-value 1048577")).await;
    assert!(said(&value).contains("ValueTooLarge(1048576)"), "{}", said(&value));
    let key = world.process(world.event("8", "kv-key 513")).await;
    assert!(said(&key).contains("KeyTooLong(512)"), "{}", said(&key));

    let random = world.process(world.event("9", "random 1000")).await;
    assert_eq!(said(&random), "{65536}", "a wish for 4 GiB gets 64 KiB");
    let find = world.process(world.event("10", "find 100000")).await;
    assert_eq!(said(&find), "None");
    let control = world.process(world.event("11", "patch-text")).await;
    assert_eq!(control.event.data["text"], "a\0b\u{1b}[31m\u{202e}c", "what a person may write, a plugin may too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_a_call_that_is_ended_are_kept() {
    let world = with_hostile().await;

    let decided = world.process(world.event("1", "log-loop why")).await;

    assert_eq!(failure(&decided).0, "timeout");
    assert_eq!(decided.aftermath.lines.len(), 20);
    assert!(decided.aftermath.lines[0].message.starts_with("whywhy"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_grows_over_the_quota_is_refused_and_not_tried_for_ever() {
    let mut settings = granted();
    settings["limits"]["kv_kib"] = json!(1);
    let world = with(settings).await;
    // 1,024 bytes to the last.
    world.process(world.event("1", "kv-put n 9")).await;
    world.process(world.event("2", &format!("kv-put f {}", "x".repeat(1_021)))).await;
    assert_eq!(world.store.kv_use(&world.tenant, "hostile").await.expect("use").bytes, 1_024);

    let grown = world.process(world.event("3", "kv-add n")).await;

    assert!(said(&grown).contains("QuotaExceeded"), "{}", said(&grown));
    let kept = world.store.kv_entry(&world.tenant, "hostile", "n").await.expect("read");
    assert_eq!(kept.map(|KvEntry { value, .. }| value), Some(KvValue::Text("9".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_with_a_nul_finds_its_keys() {
    let world = with_hostile().await;
    world.process(world.event("1", "kv-nul")).await;

    let again = world.process(world.event("2", "kv-nul")).await;

    assert_eq!(said(&again), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_machine_is_there_for_it() {
    let world = with_hostile().await;

    let decided = world.decide(world.event("1", "outside")).await;

    let reached: Vec<&str> = said(&decided).lines().filter(|line| !line.ends_with(": nothing")).collect();
    assert!(reached.is_empty(), "{reached:?}");
    assert_eq!(said(&decided).lines().count(), 9);
    assert!(!std::path::Path::new("/tmp/written-by-a-hostile-guest").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_private_address_hears_from_it_in_any_spelling() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let port = listener.local_addr().expect("address").port();
    // Names that the author and the tenant both allow; the address is the gateway's to judge.
    let hosts: Vec<String> =
        ["127.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
            .iter()
            .map(|host| format!("{host}:{port}"))
            .collect();
    let metadata = ["169.254.169.254", "metadata.google.internal", "[fd00:ec2::254]", "10.0.0.1", "192.168.0.1"];
    let all: Vec<String> = hosts.iter().cloned().chain(metadata.map(str::to_owned)).collect();
    let wishes = json!(all.iter().map(|host| host.replace("2130706433", "127.0.0.1")).collect::<Vec<_>>());
    let manifest = json!({ "name": "hostile", "version": "1", "hooks": { "inbound": ["*"], "outbound": true },
        "wants": { "imports": ["log", "event-data", "secrets", "kv", "http", "clock", "random"], "hosts": wishes } });
    let mut settings = granted();
    settings["grants"]["hosts"] = wishes;
    settings["grants"]["secrets"] = json!([]);
    settings["limits"]["fetches_per_call"] = json!(100);
    let world = World::reaching(&[]).await;
    let component = refused::with_manifest(&hostile(), &manifest.to_string());
    assert_eq!(world.put("hostile", component, settings).await, ReloadOutcome::Swapped);

    for host in &all {
        let decided = world.decide(world.event(host, &format!("fetch http://{host}/latest/meta-data"))).await;
        let told = said(&decided);
        // A name may not resolve at all where the tests run.
        let stopped = told.contains("Denied") || (host.starts_with("metadata.") && told.contains("Network"));
        assert!(stopped, "{host}: {told}");
    }

    let ungranted = world.decide(world.event("u", "fetch https://elsewhere.example.org/")).await;
    assert!(said(&ungranted).contains("not granted"), "{}", said(&ungranted));
    let knocked = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(knocked.is_err(), "somebody connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_handed_over_and_not_followed() {
    let (from, to) =
        (TcpListener::bind("127.0.0.1:0").await.expect("from"), TcpListener::bind("127.0.0.1:0").await.expect("to"));
    let (port, behind) = (from.local_addr().expect("address").port(), to.local_addr().expect("address").port());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = from.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let answer =
                format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{behind}/\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let host = format!("127.0.0.1:{port}");
    let manifest = json!({ "name": "hostile", "version": "1", "hooks": { "inbound": ["*"], "outbound": true },
        "wants": { "imports": ["log", "event-data", "secrets", "kv", "http", "clock", "random"], "hosts": [host] } });
    let mut settings = granted();
    settings["grants"]["hosts"] = json!([host]);
    settings["grants"]["secrets"] = json!([]);
    let world = World::new().await;
    let component = refused::with_manifest(&hostile(), &manifest.to_string());
    assert_eq!(world.put("hostile", component, settings).await, ReloadOutcome::Swapped);

    let decided = world.decide(world.event("1", &format!("fetch http://{host}/"))).await;

    assert_eq!(said(&decided), "status 302");
    let knocked = tokio::time::timeout(Duration::from_millis(100), to.accept()).await;
    assert!(knocked.is_err(), "the redirect was followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenant_is_decided_while_it_keeps_every_thread_busy() {
    let mut settings = granted();
    settings["limits"]["call_ms"] = json!(20_000);
    let world = Arc::new(with(settings).await);
    let other = TenantId::generate();
    let key =
        NewKey { name: "k".into(), hash: "other".into(), scopes: vec![], allowed_ips: vec![], expires_at: i64::MAX };
    world.store.create_tenant(other.clone(), "Other", key).await.expect("tenant");
    let (sha256, _) = world.plugins.keep(rust_example()).await.expect("kept");
    let mut wanted = world.wanted("example", sha256, everything());
    wanted.settings.limits.call_ms = 60_000;
    assert_eq!(world.plugins.put(&other, wanted).await.expect("put"), ReloadOutcome::Swapped);
    // More loops than the runtime has threads, of each kind that computes.
    let attacks = ["loop", "host-loop", "kv-loop", "secret-loop"].map(|attack| {
        let world = world.clone();
        tokio::spawn(async move { world.decide(world.event(attack, attack)).await })
    });

    let pipeline = world.plugins.pipeline(&other).expect("pipeline");
    for number in 0..20 {
        let event = Event { tenant: other.clone(), ..world.event(&number.to_string(), "ping") };
        let Passed::Decided(decided) = pipeline.on_event(event, true).await else { panic!("decides") };
        assert_eq!(sent(&decided), ["pong"]);
    }

    assert!(attacks.iter().all(|attack| !attack.is_finished()), "the attack ended before the other tenant was served");
    attacks.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_gives_its_instance_and_its_turn_back() {
    let mut settings = granted();
    settings["limits"]["instances"] = json!(1);
    settings["limits"]["errors_until_tripped"] = json!(1);
    settings["limits"]["call_ms"] = json!(10_000);
    let world = Arc::new(with(settings).await);
    let gone = async || {
        let world = world.clone();
        let call = tokio::spawn(async move { world.decide(world.event("1", "loop")).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        call.abort();
        assert!(call.await.is_err());
    };

    for _ in 0..3 {
        gone().await;
    }
    assert_eq!(sent(&world.decide(world.event("2", "answer")).await), ["answer to myself"], "the one place is free");

    // The call that tries whether a tripped plugin is well again may be gone too.
    assert_eq!(failure(&world.decide(world.event("3", "panic")).await).0, "trap");
    world.clock.advance(Duration::from_secs(31));
    gone().await;
    assert_eq!(failure(&world.decide(world.event("4", "answer")).await).0, "tripped");
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(sent(&world.decide(world.event("5", "answer")).await), ["answer to myself"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_in_vain_is_busy_and_not_held_against_the_plugin() {
    let mut settings = granted();
    settings["limits"]["instances"] = json!(1);
    settings["limits"]["errors_until_tripped"] = json!(1);
    settings["limits"]["call_ms"] = json!(500);
    let world = with(settings).await;

    let (first, second) =
        tokio::join!(world.decide(world.event("1", "sleep")), world.decide(world.event("2", "sleep")));

    assert_eq!(failure(&first).0, "timeout");
    assert_eq!(
        failure(&second),
        ("busy".into(), "no instance of the plugin was free long enough within 500 ms".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_keeps_failing_is_left_alone_and_tried_again_when_time_has_passed() {
    for (attack, kind) in [("panic", "trap"), ("memory", "trap"), ("other 1", "refused_effect")] {
        let mut settings = granted();
        settings["limits"]["errors_until_tripped"] = json!(3);
        let world = with(settings).await;
        for number in 0..3 {
            let decided = world.process(world.event(&number.to_string(), attack)).await;
            assert_eq!(failure(&decided).0, kind);
            let told: Vec<_> = decided.aftermath.events.iter().map(|event| event.type_).collect();
            assert_eq!(told, if number == 2 { vec![EventType::PluginTripped] } else { vec![] });
            for event in &decided.aftermath.events {
                hold_to_its_schema(event.type_.as_str(), &event.data);
            }
        }

        let left = world.process(world.event("3", "answer")).await;
        assert_eq!(failure(&left).0, "tripped", "{attack}");
        assert_eq!(world.plugins.status(&world.tenant).await.expect("status")[0].state(), PluginState::Tripped);

        world.clock.advance(Duration::from_secs(31));
        assert_eq!(sent(&world.process(world.event("4", "answer")).await), ["answer to myself"], "{attack}");
        assert_eq!(sent(&world.process(world.event("5", "answer")).await), ["answer to myself"], "{attack}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_bombs_and_traps() {
    const GROWTH_MIB_MAX: i64 = 16;
    if !alone("host::hostile::memory_does_not_grow_with_bombs_and_traps") {
        return;
    }
    let world = with_hostile().await;
    let round = async |times: usize| {
        for number in 0..times {
            for attack in ["memory", "panic"] {
                let decided = world.decide(world.event(&format!("{attack} {number}"), attack)).await;
                assert_eq!(failure(&decided).0, "trap");
            }
        }
    };
    // What the pool and the allocator keep is there after some.
    round(20).await;
    let before = resident_mib();
    let began = Instant::now();

    round(200).await;

    let grown = resident_mib() - before;
    assert!(
        grown <= GROWTH_MIB_MAX,
        "{grown} MiB more after 200 bombs of 16 MiB and 200 traps ({:?})",
        began.elapsed()
    );
}
