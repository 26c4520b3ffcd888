//! Whom privacy settings except: set by one device, read back by another and by the account's phone.

use super::chats::done;
use super::kinds::fields;
use crate::support::{Tenant, answer, tenant, text, until};
use serde_json::{Value, json};

const PATH: &str = "/privacy/exceptions";

async fn put(gateway: &Tenant, device: &str, body: Value) -> (u16, Value) {
    answer(gateway.request("PUT", &format!("/v1/devices/{device}{PATH}")).json(&body)).await
}

/// A tenant, two devices of its account, and the phone numbers of two contacts.
async fn two_devices() -> (Tenant, [String; 2], [String; 2]) {
    let gateway = tenant().await;
    let first = text(&gateway.info["deviceId"]);
    let second = gateway.link(&text(&gateway.info["devicePhone"])).await;
    let budi = text(&gateway.info["contactPhone"]);
    let sari = format!("{budi}7");
    gateway.phones().post("/accounts", json!({ "phone": sari, "name": "Sari" })).await;
    (gateway, [first, second], [budi, sari])
}

fn phones(people: &Value) -> Vec<String> {
    people.as_array().unwrap().iter().map(|person| text(&person["phone"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_setting_excepts_is_read_back_by_another_device() {
    let (gateway, [first, second], [budi, sari]) = two_devices().await;
    let none = done(&gateway, &second, "GET", PATH, Value::Null).await;
    let empty = json!({ "lastSeen": [], "groupAdd": [], "statusPrivacy": [], "profilePicture": [] });
    assert_eq!(none["data"], empty, "{none}");

    // By a spelling of earlier systems, and by lid.
    let identity = done(&gateway, &first, "GET", &format!("/contacts/{budi}/identity"), Value::Null).await;
    let lid = text(&identity["data"]["lid"]);
    let (status, set) = put(&gateway, &first, json!({ "setting": "about", "people": [lid, sari] })).await;
    assert_eq!((status, &set["data"]["setting"]), (200, &json!("statusPrivacy")), "{set}");
    assert_eq!(phones(&set["data"]["people"]), [budi.clone(), sari.clone()]);

    let read = done(&gateway, &second, "GET", PATH, Value::Null).await;
    assert_eq!(read["data"]["statusPrivacy"], set["data"]["people"], "{read}");
    assert_eq!(read["data"]["statusPrivacy"][0], identity["data"], "with both addresses");
    assert_eq!(read["data"]["lastSeen"], json!([]), "each setting has a list of its own");
    let settings = done(&gateway, &second, "GET", "/privacy/settings", Value::Null).await;
    assert_eq!(settings["statusPrivacy"], "contact_blacklist", "the list counts: {settings}");
    let phone = text(&gateway.info["devicePhone"]);
    let shown = gateway.phones().get(&format!("/accounts/{phone}/settings")).await;
    assert_eq!(shown["exceptions"]["status"][0], json!(lid), "{shown}");

    // One goes and one stays, whoever says it; what is so already is no change.
    let (_, less) =
        put(&gateway, &second, json!({ "setting": "statusPrivacy", "remove": [lid, "6281299999999"] })).await;
    assert_eq!(phones(&less["data"]["people"]), [sari.as_str()], "{less}");
    let (_, more) = put(&gateway, &first, json!({ "setting": "statusPrivacy", "add": [sari, budi] })).await;
    assert_eq!(phones(&more["data"]["people"]), [sari.clone(), budi.clone()], "{more}");
    let (status, same) = put(&gateway, &first, json!({ "setting": "statusPrivacy", "people": [budi, sari] })).await;
    assert_eq!((status, phones(&same["data"]["people"]).len()), (200, 2), "{same}");
    let (_, gone) = put(&gateway, &first, json!({ "setting": "statusPrivacy", "people": [] })).await;
    assert_eq!(gone["data"]["people"], json!([]));
    let read = done(&gateway, &second, "GET", PATH, Value::Null).await;
    assert_eq!(read["data"], empty, "{read}");
    let path = "/admin/audit-logs?action=privacy.exceptions.updated";
    let (_, lines) = answer(gateway.admin("GET", path)).await;
    assert!(lines["data"].to_string().contains("statusPrivacy"), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_exceptions_is_named_and_changes_nothing() {
    let (gateway, [device, _], [budi, _]) = two_devices().await;
    for (body, expected) in [
        (json!({}), vec!["setting", "people"]),
        (json!({ "setting": "online", "people": ["0812"] }), vec!["setting", "people[0]"]),
        (json!({ "setting": "lastSeen", "people": [budi], "add": [budi] }), vec!["people"]),
        (json!({ "setting": "lastSeen", "add": [budi], "remove": ["6281299999999", budi] }), vec!["remove[1]"]),
        (json!({ "setting": "lastSeen", "add": "all" }), vec!["add"]),
        (json!({ "setting": "lastSeen", "people": ["120363000000000001@g.us"] }), vec!["people[0]"]),
    ] {
        let (status, refused) = put(&gateway, &device, body.clone()).await;
        assert_eq!((status, fields(&refused)), (400, expected.iter().map(ToString::to_string).collect()), "{body}");
    }

    let (status, nobody) = put(&gateway, &device, json!({ "setting": "last", "add": [budi, "6281299999999"] })).await;

    assert_eq!((status, &nobody["error"]["code"]), (409, &json!("CONFLICT")), "{nobody}");
    assert!(text(&nobody["error"]["message"]).contains("6281299999999"), "{nobody}");
    let read = done(&gateway, &device, "GET", PATH, Value::Null).await;
    assert_eq!(read["data"]["lastSeen"], json!([]), "{read}");
    let settings = done(&gateway, &device, "GET", "/privacy/settings", Value::Null).await;
    assert_eq!(settings["lastSeen"], "all", "{settings}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_another_device_changed_in_the_same_moment_is_left_as_it_is() {
    let (gateway, [first, second], [budi, sari]) = two_devices().await;
    let late = json!({
        "phone": gateway.info["devicePhone"],
        "match": { "tag": "iq", "direction": "in", "type": "set", "xmlns": "privacy" },
        "action": "delay",
        "delay_ms": 3_000,
        "count": 1
    });
    gateway.phones().post("/faults", late).await;

    let overtaken = put(&gateway, &first, json!({ "setting": "lastSeen", "people": [budi] }));
    let overtakes = async {
        until("the first change to be under way", async || {
            (gateway.phones().get("/faults").await == json!([])).then_some(())
        })
        .await;
        put(&gateway, &second, json!({ "setting": "lastSeen", "people": [sari] })).await
    };
    let ((status, refused), (done_status, _)) = tokio::join!(overtaken, overtakes);

    assert_eq!((status, done_status), (409, 200), "{refused}");
    assert!(text(&refused["error"]["message"]).contains("changed meanwhile"), "{refused}");
    let read = done(&gateway, &first, "GET", PATH, Value::Null).await;
    assert_eq!(phones(&read["data"]["lastSeen"]), [sari], "{read}");
}
