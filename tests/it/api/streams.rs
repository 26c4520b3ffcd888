//! Events as they happen, followed over real connections.

use crate::support::{Call, Gateway, Own, PATIENCE, Phones, Tenant, answer, own, own_with, simulator, text, until};
use rijan::domain::event::EventType;
use serde_json::{Value, json};

/// A client of Server-Sent Events.
pub struct Stream {
    answer: reqwest::Response,
    waiting: String,
}

/// What came between two empty lines.
#[derive(Debug, Default)]
pub struct Block {
    pub id: Option<String>,
    event: Option<String>,
    data: Option<Value>,
}

impl Stream {
    pub async fn open(request: Call) -> Self {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, waiting: String::new() }
    }

    /// The next block, also one that only tells the position; nothing when the stream has ended.
    async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.waiting.find("\n\n") {
                let text: String = self.waiting.drain(..end + 2).collect();
                let mut block = Block::default();
                for line in text.lines().filter(|line| !line.starts_with(':')) {
                    match line.split_once(": ") {
                        Some(("id", id)) => block.id = Some(id.to_owned()),
                        Some(("event", event)) => block.event = Some(event.to_owned()),
                        Some(("data", data)) => block.data = Some(serde_json::from_str(data).unwrap()),
                        _ => assert!(line.is_empty(), "{line:?} is no line of a stream"),
                    }
                }
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("nothing came");
            // A connection that was broken off ends it too.
            self.waiting.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The next event and its id.
    pub async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block().await?;
            if let Some(data) = block.data {
                assert_eq!(block.event.as_deref(), data["type"].as_str());
                return Some((block.id.unwrap(), data));
            }
        }
    }

    async fn events(&mut self, count: usize) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.event().await.expect("the stream ended"));
        }
        events
    }

    async fn run_out(mut self) {
        while self.block().await.is_some() {}
    }
}

fn numbers(events: &[(String, Value)]) -> Vec<usize> {
    events.iter().map(|(_, event)| text(&event["payload"]["id"]).parse().unwrap()).collect()
}

async fn follow(gateway: &Tenant, path: &str) -> Stream {
    Stream::open(gateway.request("GET", path)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_resumes_from_any_id_without_a_gap_or_a_repeat() {
    let gateway = own(&[]).await;
    gateway.texts(0..130).await;

    let mut events = follow(&gateway, "/v1/events/stream?cursor=0").await.events(70).await;
    // The header wins over the address, as a browser that comes back has both.
    let last = events.last().unwrap().0.clone();
    let resumed = gateway.request("GET", "/v1/events/stream?cursor=0").header("last-event-id", last);
    let mut stream = Stream::open(resumed).await;
    events.extend(stream.events(60).await);
    gateway.texts(130..200).await;
    events.extend(stream.events(70).await);

    assert_eq!(numbers(&events), (0..200).collect::<Vec<_>>());
    let pulled = gateway.get("/v1/events?cursor=0&limit=500").await;
    let shown: Vec<&Value> = events.iter().map(|(_, event)| event).collect();
    assert_eq!(pulled.as_array().unwrap().iter().collect::<Vec<_>>(), shown, "each as it is pulled");
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_of_its_device_and_of_the_types_that_are_asked_for_from_now_on() {
    let gateway = own(&[]).await;
    gateway.texts(0..3).await;
    let (one, other) = (text(&gateway.info["deviceId"]), gateway.new_device().await);
    let mut all = follow(&gateway, "/v1/events/stream").await;
    let mut device = follow(&gateway, &gateway.device("/events/stream")).await;
    let typed = "/v1/events/stream?type=device.degraded,message.reaction";
    let mut typed = follow(&gateway, typed).await;
    let start = typed.block().await.unwrap().id.unwrap();
    for (device, type_, id) in [
        (&other, EventType::MessageReceived, 10),
        (&one, EventType::MessageReaction, 11),
        (&other, EventType::DeviceDegraded, 12),
        (&one, EventType::MessageReceived, 13),
    ] {
        let event = gateway.event(device, type_, json!({ "id": id.to_string() }));
        gateway.app.store().append_event(event).await.unwrap();
    }

    assert_eq!(numbers(&all.events(4).await), [10, 11, 12, 13]);
    assert_eq!(numbers(&device.events(2).await), [11, 13]);
    assert_eq!(numbers(&typed.events(2).await), [11, 12]);
    // The position that a stream begins with is one to come back to, though nothing was told before it ended.
    let path = format!("/v1/events/stream?cursor={start}");
    assert_eq!(numbers(&follow(&gateway, &path).await.events(4).await), [10, 11, 12, 13]);
    for (path, field) in [("cursor=x", "cursor"), ("cursor=-1", "cursor"), ("type=no.such", "type")] {
        let (status, body) = answer(gateway.request("GET", &format!("/v1/events/stream?{path}"))).await;
        assert_eq!((status, &body["error"]["details"][0]["field"]), (400, &json!(field)));
    }
    let wrong = gateway.request("GET", "/v1/events/stream").header("last-event-id", "evt_1");
    assert_eq!(answer(wrong).await.1["error"]["details"][0]["field"], "Last-Event-ID");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_key_its_tenant_and_its_device() {
    let gateway = own(&[]).await;
    let tenant = format!("/admin/tenants/{}", text(&gateway.info["tenantId"]));
    let open =
        async |key: &str, path: &str| Stream::open(gateway.http.get(gateway.url(path)).header("x-api-key", key)).await;
    let first = open(&text(&gateway.info["apiKey"]), "/v1/events/stream").await;
    let (_, made) = answer(gateway.admin("POST", &format!("{tenant}/regenerate-key"))).await;
    first.run_out().await;

    let key = text(&made["data"]["api_key"]);
    let (of_device, of_tenant) =
        (open(&key, &gateway.device("/events/stream")).await, open(&key, "/v1/events/stream").await);
    let device = format!("{tenant}/devices/{}", text(&gateway.info["deviceId"]));
    assert_eq!(answer(gateway.admin("DELETE", &device)).await.0, 200);
    of_device.run_out().await;

    assert_eq!(answer(gateway.admin("PATCH", &format!("{tenant}/suspend"))).await.0, 200);
    of_tenant.run_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_too_many_is_refused_with_the_limit_and_an_open_one_is_one_request() {
    let gateway = own(&[("limits.streams", "2"), ("limits.tenant", "10")]).await;
    let (first, _second) =
        (follow(&gateway, "/v1/events/stream").await, follow(&gateway, &gateway.device("/events/stream")).await);

    let (status, body) = answer(gateway.request("GET", "/v1/events/stream")).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("CONFLICT")));
    assert!(text(&body["error"]["message"]).contains("limits.streams"), "{body}");

    let mut first = first;
    gateway.texts(0..300).await;
    first.events(300).await;
    let next = gateway.request("GET", "/v1/devices").send().await.unwrap();
    assert_eq!(next.headers()["x-ratelimit-remaining"], "6", "three streams were asked for, and this");
    drop(first);
    until("the place to be free", async || {
        let again = gateway.request("GET", "/v1/events/stream").send().await.unwrap();
        (again.status().as_u16() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_does_not_hold_up_the_end_of_the_gateway() {
    let gateway = own(&[("server.stream_stall_s", "300")]).await;
    long_texts(&gateway, 300).await;
    let open = gateway.request("GET", "/v1/events/stream?cursor=0").send().await.unwrap();
    assert_eq!(open.status().as_u16(), 200);
    let idle = follow(&gateway, "/v1/events/stream").await;

    assert!(gateway.stop().await, "it ended as it should");

    idle.run_out().await;
    drop(open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_for_too_long_is_broken_off() {
    let gateway = own(&[("server.stream_stall_s", "0.3"), ("limits.streams", "1")]).await;
    long_texts(&gateway, 300).await;
    let open = gateway.request("GET", "/v1/events/stream?cursor=0").send().await.unwrap();

    until("its place to be free", async || {
        let again = gateway.request("GET", "/v1/events/stream").send().await.unwrap();
        (again.status().as_u16() == 200).then_some(())
    })
    .await;

    let stream = Stream { answer: open, waiting: String::new() };
    stream.run_out().await;
}

/// More than the buffers of a connection hold.
pub async fn long_texts(gateway: &Own, count: usize) {
    let device = text(&gateway.info["deviceId"]);
    let body = "x".repeat(60_000);
    let one = |_| gateway.event(&device, EventType::MessageReceived, json!({ "id": "1", "chat": "1", "text": body }));
    gateway.app.store().append_events_once((0..count).map(one).collect()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_it_was_though_the_gateway_was_killed() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let phones = Phones::of(&simulator);
    let gateway = Gateway::start(folder.path(), &simulator);
    let (contact, device) = (text(&gateway.info["contactPhone"]), text(&gateway.info["devicePhone"]));
    let write = async |number: usize| {
        let body = json!({ "to": device, "text": format!("order {number}") });
        text(&phones.post(&format!("/accounts/{contact}/messages"), body).await["id"])
    };
    let mut stream = follow(&gateway, &gateway.device("/events/stream?type=message.received")).await;
    let mut last = stream.block().await.unwrap().id.unwrap();
    let (mut written, mut seen) = (Vec::new(), Vec::new());
    for number in 0..10 {
        written.push(write(number).await);
    }
    // Some of them were seen when it is killed, and some were not.
    for (id, event) in stream.events(4).await {
        last = id;
        seen.push(text(&event["payload"]["id"]));
    }
    gateway.kill();
    stream.run_out().await;
    for number in 10..20 {
        written.push(write(number).await);
    }

    let gateway = Gateway::start(folder.path(), &simulator);
    let path = gateway.device("/events/stream?type=message.received");
    let mut stream = Stream::open(gateway.request("GET", &path).header("last-event-id", &last)).await;
    for (_, event) in stream.events(written.len() - 4).await {
        seen.push(text(&event["payload"]["id"]));
    }

    let pulled = gateway.get(&gateway.device("/events?cursor=0&limit=500&type=message.received")).await;
    let pulled: Vec<String> = pulled.as_array().unwrap().iter().map(|event| text(&event["payload"]["id"])).collect();
    assert_eq!(seen, pulled, "in the order of the log");
    seen.sort();
    written.sort();
    assert_eq!(seen, written, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_kept_as_long_as_the_tenant_says_and_until_their_deliveries_are_done() {
    const DAY_MS: i64 = 86_400_000;
    let kept = "name = \"Kept\"\n[limits]\nevents_keep_days = \"off\"\n[[devices]]\nslug = \"d\"\nlabel = \"D\"\n";
    let gateway = own_with(&[], |folder| {
        std::fs::create_dir(folder.join("tenants")).unwrap();
        std::fs::write(folder.join("tenants/kept.toml"), kept).unwrap();
    })
    .await;
    let device = text(&gateway.info["deviceId"]);
    let store = gateway.app.store();
    let told = async |type_: EventType, id: &str, days: i64| {
        let mut event = gateway.event(&device, type_, json!({ "id": id }));
        event.at -= days * DAY_MS;
        store.append_event(event).await.unwrap();
    };
    // Nobody listens there, and it is tried for days.
    let hook = json!({ "url": "http://127.0.0.1:9/", "events": ["message.reaction"], "retryCount": 10 });
    assert_eq!(answer(gateway.request("POST", "/v1/webhooks").json(&hook)).await.0, 201);
    told(EventType::MessageReaction, "waits", 40).await;
    told(EventType::MessageReceived, "old", 40).await;
    told(EventType::MessageReceived, "young", 20).await;
    let (_, made) = answer(gateway.admin("POST", "/admin/tenants/kept/regenerate-key")).await;
    let (_, of_file) = answer(gateway.admin("GET", "/admin/tenants/kept")).await;
    let mut event = gateway.event(&device, EventType::MessageReceived, json!({ "id": "kept" }));
    event.tenant = rijan::domain::ids::TenantId::parse(&text(&of_file["data"]["tenant"]["id"])).unwrap();
    (event.at, event.device) = (event.at - 400 * DAY_MS, None);
    store.append_event(event).await.unwrap();

    let forgotten = store.forget_old_events(Some(30)).await.unwrap();

    assert_eq!(forgotten, 1);
    let left = gateway.get("/v1/events?cursor=0").await;
    let left: Vec<&Value> = left.as_array().unwrap().iter().map(|event| &event["payload"]["id"]).collect();
    assert_eq!(left, ["waits", "young"]);
    let path = gateway.url("/v1/events?cursor=0&type=message.received");
    let (_, left) = answer(gateway.http.get(path).header("x-api-key", text(&made["data"]["api_key"]))).await;
    assert_eq!(left[0]["payload"]["id"], "kept", "{left}");
    assert_eq!(store.forget_old_events(None).await.unwrap(), 0);
}
