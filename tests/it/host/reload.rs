//! Another version takes the place of the one that serves, and a broken one does not.

use super::*;

/// The example under another version: the same component with one section more, so that its hash is another one.
fn another(component: &[u8], mark: u32) -> Vec<u8> {
    let data = mark.to_le_bytes();
    let section = wasm_encoder::CustomSection { name: "mark".into(), data: data.as_slice().into() };
    let mut bytes = component.to_vec();
    bytes.push(0);
    wasm_encoder::Encode::encode(&section, &mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_serves_the_next_event_and_the_old_one_can_come_back() {
    let world = World::new().await;
    let (first, second) = (rust_example(), another(&rust_example(), 2));
    let hashes = [rijan::plugins::sha256_hex(&first), rijan::plugins::sha256_hex(&second)];
    world.put("example", first, everything()).await;

    let by = async || world.decide(world.event("1", "ping")).await.aftermath.traces[0].sha256.clone();
    assert_eq!(by().await, hashes[0]);
    world.put("example", second, everything()).await;
    assert_eq!(by().await, hashes[1]);
    assert_eq!(world.plugins.roll_back(&world.tenant, "example").await.expect("back"), ReloadOutcome::Swapped);

    assert_eq!(by().await, hashes[0]);
    let told = world.store.events(&world.tenant, rijan::store::EventQuery { limit: 10, ..Default::default() }).await;
    let types: Vec<String> = told.expect("events").into_iter().map(|event| event.type_).collect();
    assert_eq!(types, ["plugin.reloaded", "plugin.reloaded", "plugin.loaded"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_cannot_run_is_refused_and_the_one_before_serves() {
    let world = World::new().await;
    world.put("example", rust_example(), everything()).await;
    let mut ungranted = everything();
    ungranted["grants"]["imports"] = json!([]);

    let outcome = world.put("example", another(&rust_example(), 2), ungranted).await;

    assert!(matches!(outcome, ReloadOutcome::KeptPrevious { .. }), "{outcome:?}");
    assert_eq!(sent(&world.decide(world.event("1", "ping")).await), ["pong"]);
    let status = world.plugins.status(&world.tenant).await.expect("status");
    assert!(status[0].row.reason.as_deref().is_some_and(|reason| reason.contains("grant")), "{status:?}");
    let query = rijan::store::EventQuery { limit: 1, ..Default::default() };
    assert_eq!(world.store.events(&world.tenant, query).await.expect("events")[0].type_, "plugin.reload_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_finds_every_plugin_as_it_served() {
    let world = World::new().await;
    world.put("one", rust_example(), everything()).await;
    world.put("two", rust_example(), everything()).await;
    world.plugins.set_enabled(&world.tenant, "two", false).await.expect("off");
    world.plugins.forget(&world.tenant).await;
    assert!(world.plugins.pipeline(&world.tenant).is_none());

    world.plugins.load_all().await.expect("loads");

    assert_eq!(sent(&world.decide(world.event("1", "ping")).await), ["pong"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_change_under_load_and_no_event_is_lost_or_goes_back() {
    const VERSIONS: u32 = 40;
    let world = Arc::new(World::new().await);
    let hash = |mark: u32| rijan::plugins::sha256_hex(&another(&rust_example(), mark));
    let order: Vec<String> = (0..VERSIONS).map(hash).collect();
    let mut settings = everything();
    // Forty versions are tried beside it on whatever the machine has left.
    settings["limits"] = json!({ "call_ms": 60_000 });
    world.put("example", another(&rust_example(), 0), settings.clone()).await;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|chat| {
            let (world, done) = (world.clone(), done.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let id = format!("{chat} {}", seen.len());
                    let decided =
                        world.decide(world.event_in(&format!("628110000{chat}@s.whatsapp.net"), &id, "hi")).await;
                    assert_eq!(errors(&decided), Vec::<String>::new());
                    seen.push(decided.aftermath.traces[0].sha256.clone());
                }
                seen
            })
        })
        .collect();

    for mark in 1..VERSIONS {
        assert_eq!(
            world.put("example", another(&rust_example(), mark), settings.clone()).await,
            ReloadOutcome::Swapped
        );
        // A broken one in between changes nothing.
        assert!(world.plugins.keep(another(&rust_example(), mark)[..1_000].to_vec()).await.is_err());
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);

    for chat in load {
        let seen = chat.await.expect("no event failed");
        let places: Vec<usize> =
            seen.iter().map(|sha| order.iter().position(|known| known == sha).expect("a known version")).collect();
        assert!(places.is_sorted(), "a version came back: {places:?}");
        assert!(!places.is_empty());
    }
}
