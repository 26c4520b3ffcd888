//! Trying an event or a message: everything is told and nothing is done.

use super::*;
use crate::support::simulator;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_done_is_told_and_nothing_of_it_is_done() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &UPLOADS);
    let attempt = async |body: Value| {
        let (status, tried) = answer(gateway.request("POST", "/v1/pipeline/try").json(&body)).await;
        assert_eq!(status, 200, "{tried}");
        tried["data"].clone()
    };
    let contact = text(&gateway.info["contactPhone"]);
    let jid = format!("{contact}@s.whatsapp.net");
    let event = |words: &str| {
        json!({ "event": { "type": "message.received", "device": gateway.info["deviceId"], "data": {
            "id": "3EB0AA", "chat": jid, "from": jid, "fromMe": false, "isGroup": false, "type": "text", "text": words } } })
    };
    let message =
        |words: &str| json!({ "message": { "device": gateway.info["deviceId"], "to": contact, "text": words } });
    assert_eq!(attempt(event("ping")).await["outcome"], "passed", "without a plugin everything passes");
    serving(&gateway).await;
    let events_before = gateway.get("/v1/events?limit=500").await;

    let ping = attempt(event("ping")).await;
    assert_eq!((&ping["outcome"], &ping["result"]["tags"]), (&json!("passed"), &json!(["ping"])), "{ping}");
    assert_eq!((&ping["steps"][0]["plugin"], &ping["steps"][0]["decision"]), (&json!("example-rust"), &json!("patch")));
    // The answer of an inbound hook passes the plugins behind it, and there is none.
    assert_eq!(ping["sends"].as_array().unwrap().len(), 1);
    assert_eq!((&ping["sends"][0]["to"], &ping["sends"][0]["content"]["text"]), (&json!(jid), &json!("pong")));

    let spam = attempt(event("spam")).await;
    assert_eq!(
        (&spam["outcome"], &spam["by"], &spam["why"]),
        (&json!("dropped"), &json!("example-rust"), &json!("blocked word"))
    );
    assert_eq!(spam["logs"][0]["message"], "dropped");

    let count = attempt(event("count")).await;
    assert_eq!(
        count["kv"][0],
        json!({ "plugin": "example-rust", "op": "increment", "key": "count", "value": null,
        "encoding": null, "by": 1, "ttl_ms": null })
    );
    assert_eq!(count["sends"][0]["content"]["text"], "1");
    assert_eq!(attempt(event("count")).await["sends"][0]["content"]["text"], "1", "the first one wrote nothing");
    let note = attempt(event("note milk")).await;
    assert_eq!((&note["kv"][0]["op"], &note["kv"][0]["value"]), (&json!("set"), &json!("milk")));

    let later = attempt(event("count then fail")).await;
    assert_eq!((&later["outcome"], &later["retry_in_ms"], &later["kv"]), (&json!("later"), &json!(1_500), &json!([])));
    assert_eq!(later["steps"][0]["detail"]["onError"], "later");

    put(&gateway, json!({ "secrets": { "api-token": "a token" } })).await;
    let ask = attempt(event("ask what")).await;
    assert_eq!(ask["steps"][0]["decision"], "error");
    assert!(text(&ask["steps"][0]["detail"]["error"]).contains("a shadow reaches nothing outside"), "{ask}");

    let hello = attempt(message("hello")).await;
    let signed = format!("hello ({})", text(&gateway.info["tenantId"]));
    assert_eq!((&hello["outcome"], &hello["result"]["text"]), (&json!("accepted"), &json!(signed)));
    let no = attempt(message("spam")).await;
    assert_eq!(
        (&no["outcome"], &no["by"], &no["code"]),
        (&json!("rejected"), &json!("example-rust"), &json!("BLOCKED_WORD"))
    );

    let about = plugin(&gateway).await;
    assert_eq!((&about["calls"], &about["errors"], &about["kv"]["keys"]), (&json!(0), &json!(0), &json!(0)), "{about}");
    assert_eq!(gateway.get(&format!("{EXAMPLE}/traces")).await["data"]["traces"], json!([]));
    assert_eq!(gateway.get(&format!("{EXAMPLE}/logs")).await["data"]["logs"], json!([]));
    assert_eq!(gateway.get("/v1/events?limit=500").await, events_before);
    assert_eq!(Phones::of(&simulator).get(&format!("/accounts/{contact}/inbox?after=0")).await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_attempt_has_every_field_named() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let cases = [
        (json!({}), vec!["body"]),
        (json!({ "event": {}, "message": {} }), vec!["body"]),
        (json!({ "event": {}, "webhook": {} }), vec!["webhook", "event.type", "event.data"]),
        (
            json!({ "event": { "type": "no.such", "device": "device_1", "data": 1 } }),
            vec!["event.type", "event.device", "event.data"],
        ),
        (json!({ "event": { "type": "plugin.tripped", "data": {} } }), vec!["event.type"]),
        (json!({ "message": { "to": "nobody", "text": "" } }), vec!["message.device", "message.to", "message.text"]),
    ];
    for (body, wrong) in cases {
        let (status, answer) = answer(gateway.request("POST", "/v1/pipeline/try").json(&body)).await;
        assert_eq!(
            (status, fields(&answer)),
            (400, wrong.into_iter().map(str::to_owned).collect()),
            "{body}: {answer}"
        );
    }
}
