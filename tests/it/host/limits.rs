//! What a plugin may not do, and what ends it. The hostile guests are in `tests/guests`.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_without_a_grant_is_refused_by_name_and_nothing_changes() {
    let world = World::new().await;
    let (sha256, _) = world.plugins.keep(rust_example()).await.expect("kept");
    let wanted = world.wanted("example", sha256, json!({ "grants": { "imports": ["kv"] } }));

    let outcome = world.plugins.put(&world.tenant, wanted).await.expect("told");

    let ReloadOutcome::KeptPrevious { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("the tenant does not grant it"), "{reason}");
    assert!(world.plugins.pipeline(&world.tenant).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_plugin_is_refused_with_what_it_is() {
    let world = World::new().await;
    let whole = rust_example();
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("text", b"hello".to_vec(), "no WebAssembly component"),
        ("core module", b"\0asm\x01\0\0\0".to_vec(), "core module"),
        ("truncated", whole[..whole.len() / 2].to_vec(), "no WebAssembly component"),
        ("without a manifest", b"\0asm\x0d\0\x01\0".to_vec(), "carries no manifest"),
    ];
    for (what, bytes, part) in cases {
        let told = world.plugins.keep(bytes).await.expect_err(what).to_string();
        assert!(told.contains(part), "{what}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kv_keeps_to_its_quota() {
    let world = World::new().await;
    let mut settings = everything();
    settings["limits"] = json!({ "kv_keys": 2 });
    world.put("example", rust_example(), settings).await;
    for id in ["1", "2"] {
        assert!(errors(&world.process(world.event(id, &format!("note {id}"))).await).is_empty());
    }

    let third = world.process(world.event("3", "note 3")).await;

    assert_eq!(errors(&third).len(), 1, "{:?}", third.aftermath.traces);
    assert_eq!(world.store.kv_use(&world.tenant, "example").await.expect("use").keys, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_messages_than_a_minute_allows_are_refused_until_it_has_passed() {
    let world = World::new().await;
    let mut settings = everything();
    settings["limits"] = json!({ "sends_per_minute": 1 });
    world.put("example", rust_example(), settings).await;
    assert_eq!(sent(&world.decide(world.event("1", "ping")).await), ["pong"]);

    let second = world.decide(world.event("2", "ping")).await;
    assert!(sent(&second).is_empty() && errors(&second)[0].contains("in a minute"));

    world.clock.advance(Duration::from_secs(61));
    assert_eq!(sent(&world.decide(world.event("3", "ping")).await), ["pong"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_do_not_fit_the_pool_start_beside_it() {
    let world = World::new().await;
    // The pool has fifty places; each of these keeps an instance.
    let (sha256, _) = world.plugins.keep(rust_example()).await.expect("kept");
    let mut all = Vec::new();
    for number in 0..30 {
        let tenant = TenantId::generate();
        let key = NewKey {
            name: "k".into(),
            hash: format!("h{number}"),
            scopes: vec![],
            allowed_ips: vec![],
            expires_at: i64::MAX,
        };
        world.store.create_tenant(tenant.clone(), "T", key).await.expect("tenant");
        for name in ["one", "two"] {
            let wanted = world.wanted(name, sha256.clone(), everything());
            assert_eq!(world.plugins.put(&tenant, wanted).await.expect("put"), ReloadOutcome::Swapped, "{number}");
        }
        all.push(tenant);
    }
    for tenant in all {
        let event = Event { tenant: tenant.clone(), ..world.event("1", "ping") };
        let pipeline = world.plugins.pipeline(&tenant).expect("pipeline");
        let Passed::Decided(decided) = pipeline.on_event(event, true).await else { panic!("decides") };
        assert_eq!(sent(&decided), ["pong", "pong"]);
    }
}
