//! Messages in WhatsApp's own form, for who asks.

use crate::support::{Receiver, answer, png, problems, tenant, text, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_gets_the_message_as_whatsapp_has_it_and_nothing_that_opens_its_file() {
    let (gateway, asks, does_not) = (tenant().await, Receiver::start().await, Receiver::start().await);
    let hook =
        |receiver: &Receiver, raw: Value| json!({ "url": receiver.url, "events": ["message.received"], "raw": raw });
    let (status, wrong) = answer(gateway.request("POST", "/v1/webhooks").json(&hook(&asks, json!("yes")))).await;
    assert_eq!((status, &wrong["error"]["details"][0]["field"]), (400, &json!("raw")));
    let (_, made) = answer(gateway.request("POST", "/v1/webhooks").json(&hook(&asks, json!(true)))).await;
    let (_, other) = answer(gateway.request("POST", "/v1/webhooks").json(&hook(&does_not, json!(false)))).await;
    assert_eq!((&made["raw"], &other["raw"]), (&json!(true), &json!(false)));
    let contact = text(&gateway.info["contactPhone"]);
    let media = json!({ "kind": "image", "data": BASE64.encode(png(9_000)), "mime": "image/png", "caption": "a cat" });
    let write = json!({ "to": gateway.info["devicePhone"], "media": media });

    let id = text(&gateway.phones().post(&format!("/accounts/{contact}/messages"), write).await["id"]);

    let arrived = async |receiver: &Receiver| {
        until("the delivery", async || {
            let all = receiver.arrived();
            all.iter().map(|arrival| arrival.json()).find(|body| body["data"]["id"] == json!(id))
        })
        .await
    };
    let (with, without) = (arrived(&asks).await, arrived(&does_not).await);
    let image = &with["data"]["raw"]["imageMessage"];
    assert_eq!((&image["caption"], &image["mimetype"]), (&json!("a cat"), &json!("image/png")));
    assert_eq!(BASE64.decode(text(&image["fileSha256"])).unwrap().len(), 32);
    for key in ["mediaKey", "directPath", "url"] {
        assert!(image.get(key).is_none(), "{key}: {image}");
    }
    assert_eq!(problems("message.received", &with["data"]), Vec::<String>::new());
    let mut rest = with["data"].clone();
    rest.as_object_mut().unwrap().remove("raw");
    assert_eq!(rest, without["data"], "nothing else differs");

    let pulled = async |query: &str| {
        let events = gateway.get(&gateway.device(&format!("/events?type=message.received{query}"))).await;
        events.as_array().unwrap().iter().find(|event| event["payload"]["id"] == json!(id)).unwrap()["payload"].clone()
    };
    assert_eq!(pulled("&raw=true").await, with["data"]);
    assert_eq!(pulled("").await, without["data"]);
    assert_eq!(answer(gateway.request("GET", "/v1/events?raw=1")).await.0, 400);

    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    let (_, changed) = answer(gateway.request("PUT", &path).json(&json!({ "name": "another" }))).await;
    assert_eq!(changed["raw"], true, "what is left out stays");
    let (_, changed) = answer(gateway.request("PUT", &path).json(&json!({ "raw": false }))).await;
    assert_eq!(changed["raw"], false);
}
