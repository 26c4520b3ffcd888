//! Groups: made, changed and read back by another account, and told as events.

use crate::support::{Gateway, Tenant, answer, simulator, tenant, text, until};
use serde_json::{Value, json};

/// A tenant with a second device, linked to its contact, and a group of both that the first one made.
struct Pair {
    gateway: Tenant,
    contact: String,
    /// The contact's device.
    other: String,
    group: String,
}

impl Pair {
    async fn new() -> Self {
        let gateway = tenant().await;
        let contact = text(&gateway.info["contactPhone"]);
        let other = gateway.link(&contact).await;
        let body = json!({ "subject": "Order 42", "participants": [contact] });
        let (status, made) = answer(gateway.request("POST", &gateway.device("/groups/create")).json(&body)).await;
        assert_eq!(status, 200, "{made}");
        let group = text(&made["data"]["groupJid"]);
        Self { gateway, contact, other, group }
    }

    /// By the device that made the group.
    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = self.gateway.device(&format!("/groups/{}{path}", self.group));
        answer(self.gateway.request(method, &path).json(&body)).await
    }

    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// By the contact's device.
    async fn other(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/v1/devices/{}{path}", self.other);
        answer(self.gateway.request(method, &path).json(&body)).await
    }

    /// The group as the contact's device reads it.
    async fn read(&self) -> Value {
        let (status, group) = self.other("GET", &format!("/groups/{}", self.group), Value::Null).await;
        assert_eq!(status, 200, "{group}");
        group
    }

    /// One event of this type at the contact's device.
    async fn told(&self, type_: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/devices/{}/events?cursor=0&type={type_}&limit=500", self.other);
        until(type_, async || {
            let events = self.gateway.get(&path).await.as_array().cloned().unwrap();
            let mut found = events.into_iter().filter(|event| fits(&event["payload"]));
            let first = found.next()?;
            assert!(found.next().is_none(), "{type_} was told twice");
            Some(first["payload"].clone())
        })
        .await
    }

    async fn new_person(&self, last: u8) -> String {
        let phone = format!("{}{last}", self.contact);
        self.gateway.phones().post("/accounts", json!({ "phone": phone, "name": "Sari" })).await;
        phone
    }
}

fn jid(phone: &str) -> String {
    format!("{phone}@s.whatsapp.net")
}

fn role(group: &Value, phone: &str) -> Value {
    let members = group["participants"].as_array().unwrap();
    members.iter().find(|one| one["phone"] == phone).map_or(Value::Null, |one| one["role"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_group_has_its_id_in_the_answer_and_its_member_hears_of_it() {
    let pair = Pair::new().await;
    let device = text(&pair.gateway.info["devicePhone"]);
    let body = json!({ "subject": " Order 43 ", "participants": [pair.contact, "6281299999999"] });
    let (_, made) = answer(pair.gateway.request("POST", &pair.gateway.device("/groups/create")).json(&body)).await;

    assert_eq!((&made["success"], &made["subject"]), (&json!(true), &json!("Order 43")));
    let results: Vec<_> =
        made["data"]["participants"].as_array().unwrap().iter().map(|p| (&p["jid"], &p["status"])).collect();
    let (contact, stranger) = (json!(jid(&pair.contact)), json!(jid("6281299999999")));
    assert_eq!(results, [(&contact, &json!("200")), (&stranger, &json!("403"))]);

    let read = pair.read().await;
    assert_eq!(
        (&read["id"], &read["subject"], &read["owner"]),
        (&json!(pair.group), &json!("Order 42"), &json!(jid(&device)))
    );
    assert_eq!((role(&read, &device), role(&read, &pair.contact)), (json!("superadmin"), json!("member")));
    assert!(read["creation"].is_i64(), "{read}");
    let (_, listed) = pair.other("GET", "/groups", Value::Null).await;
    assert_eq!((&listed["data"]["count"], &listed["data"]["groups"][0]["subject"]), (&json!(2), &json!("Order 42")));

    let created = pair.told("group.created", |data| data["group"] == json!(pair.group)).await;
    assert_eq!((&created["subject"], &created["by"]["phone"]), (&json!("Order 42"), &json!(device)));
    let lines = audit(&pair.gateway, "group.created").await;
    assert!(lines.iter().any(|line| line["resource_id"] == json!(pair.group)), "{lines:?}");
}

async fn audit(gateway: &Tenant, action: &str) -> Vec<Value> {
    let tenant = text(&gateway.info["tenantId"]);
    let path = format!("/admin/audit-logs?tenantId={tenant}&action={action}");
    let (status, lines) = answer(gateway.admin("GET", &path)).await;
    assert_eq!(status, 200, "{lines}");
    let lines = lines["data"].as_object().unwrap().values().find_map(Value::as_array).cloned();
    lines.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_member_has_a_result_of_their_own_and_events_name_what_happened_to_them() {
    let pair = Pair::new().await;
    let (sari, shy) = (pair.new_person(1).await, pair.new_person(2).await);
    let shy_device = pair.gateway.link(&shy).await;
    let path = format!("/v1/devices/{shy_device}/privacy/settings");
    answer(pair.gateway.request("POST", &path).json(&json!({ "groupAdd": "contacts" }))).await;

    let people = json!({ "participants": [sari, pair.contact, "6281299999999", shy] });
    let added = pair.done("POST", "/participants/add", people).await;
    let status = |phone: &str| {
        let results = added["results"].as_array().unwrap();
        results.iter().find(|one| one["phone"] == phone).map(|one| text(&one["status"])).unwrap()
    };
    assert_eq!((added["success"].clone(), added["added"].clone()), (json!(true), json!([jid(&sari)])));
    assert_eq!(
        [status(&sari), status(&pair.contact), status("6281299999999"), status(&shy)],
        ["200", "409", "404", "403"]
    );
    let invitation = added["results"].as_array().unwrap().iter().find(|one| one["phone"] == json!(shy)).unwrap();
    assert!(invitation["inviteCode"].is_string() && invitation["inviteExpiresAt"].is_i64(), "{invitation}");

    let one = json!({ "participants": [sari] });
    let promoted = pair.done("POST", "/participants/promote", one.clone()).await;
    assert_eq!(promoted["data"]["results"][0]["status"], "200");
    assert_eq!(role(&pair.read().await, &sari), json!("admin"));
    pair.done("POST", "/participants/demote", one.clone()).await;
    assert_eq!(role(&pair.read().await, &sari), json!("member"));
    let removed = pair.done("POST", "/participants/remove", one).await;
    assert_eq!(removed["removed"], json!([jid(&sari)]));
    assert_eq!(role(&pair.read().await, &sari), Value::Null);

    for type_ in ["participant.added", "participant.promoted", "participant.demoted", "participant.removed"] {
        let told = pair.told(type_, |data| data["group"] == json!(pair.group)).await;
        assert_eq!(told["participants"][0]["phone"], json!(sari), "{type_}: {told}");
        assert_eq!(told["by"]["phone"], pair.gateway.info["devicePhone"], "{type_}");
    }
    let lines = [
        audit(&pair.gateway, "group.participant.added").await,
        audit(&pair.gateway, "group.participant.removed").await,
    ];
    assert_eq!(lines.map(|lines| lines.len()), [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_on_a_group_is_read_back_by_another_account() {
    let pair = Pair::new().await;

    pair.done("PUT", "/subject", json!({ "subject": "Orders" })).await;
    pair.done("PUT", "/description", json!({ "description": "all of them" })).await;
    let settings = json!({ "announce": true, "locked": true, "joinApproval": true, "ephemeralSeconds": 86400, "memberAdd": "admins" });
    let set = pair.done("PATCH", "/settings", settings).await;
    let names = json!(["announce", "locked", "joinApproval", "ephemeralSeconds", "memberAdd"]);
    assert_eq!(set["data"]["updated"], names);
    let picture = pair.done("PUT", "/picture", json!({ "picture": "/9j/4AAQSkZJRg==" })).await;

    let read = pair.read().await;
    let expected = json!({
        "subject": "Orders", "description": "all of them", "announce": true, "locked": true, "joinApproval": true,
        "ephemeralSeconds": 86400, "memberAdd": "admins"
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&read[name], value, "{name}");
    }
    let path = format!("/groups/{}/picture", pair.group);
    let (_, found) = pair.other("GET", &path, Value::Null).await;
    assert_eq!(found["data"]["id"], picture["data"]["id"]);
    for change in
        ["subject", "description", "announce", "locked", "joinApproval", "ephemeralSeconds", "memberAdd", "picture"]
    {
        let told = pair.told("group.updated", |data| data["changes"].get(change).is_some()).await;
        let expected = expected.get(change).unwrap_or(&picture["data"]["id"]);
        assert_eq!(&told["changes"][change], expected, "{change}");
    }

    pair.done("DELETE", "/picture", Value::Null).await;
    pair.done("PUT", "/description", json!({ "description": "" })).await;
    pair.done("PATCH", "/settings", json!({ "announce": false, "ephemeralSeconds": 0 })).await;
    let read = pair.read().await;
    assert_eq!(
        (&read["description"], &read["announce"], &read["ephemeralSeconds"]),
        (&Value::Null, &json!(false), &json!(0))
    );
    assert_eq!(pair.other("GET", &path, Value::Null).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_leads_in_through_an_admin_and_nowhere_once_it_is_revoked() {
    let pair = Pair::new().await;
    let sari = pair.new_person(1).await;
    let device = pair.gateway.link(&sari).await;
    let as_sari = async |method: &str, path: &str, body: Value| {
        let path = format!("/v1/devices/{device}{path}");
        answer(pair.gateway.request(method, &path).json(&body)).await
    };
    let link = text(&pair.done("GET", "/invite", Value::Null).await["data"]["link"]);
    let code = text(&pair.done("GET", "/invite", Value::Null).await["data"]["code"]);
    pair.done("PATCH", "/settings", json!({ "joinApproval": true })).await;

    let (_, seen) = as_sari("GET", &format!("/groups/preview?code={code}"), Value::Null).await;
    assert_eq!((&seen["data"]["subject"], &seen["data"]["id"]), (&json!("Order 42"), &json!(pair.group)));
    let (_, joined) = as_sari("POST", "/groups/join", json!({ "code": link })).await;
    assert_eq!(joined["data"], json!({ "groupJid": pair.group, "waitsForApproval": true }));
    let waiting = pair.done("GET", "/requests", Value::Null).await;
    assert_eq!((&waiting["data"]["count"], &waiting["data"]["requests"][0]["phone"]), (&json!(1), &json!(sari)));
    pair.told("group.updated", |data| data["changes"]["joinRequested"][0]["phone"] == json!(sari)).await;

    let one = json!({ "participants": [sari] });
    let rejected = pair.done("POST", "/requests/reject", one.clone()).await;
    assert_eq!(rejected["data"]["results"][0]["status"], "200");
    assert_eq!(role(&pair.read().await, &sari), Value::Null);
    as_sari("POST", "/groups/join", json!({ "code": link })).await;
    pair.done("POST", "/requests/approve", one.clone()).await;
    assert_eq!(role(&pair.read().await, &sari), json!("member"));
    let again = pair.done("POST", "/requests/approve", one).await;
    assert_eq!(again["data"]["results"][0]["status"], "404");

    let new = pair.done("DELETE", "/invite", Value::Null).await;
    assert_ne!(new["data"]["link"], json!(link));
    let (status, gone) = as_sari("GET", &format!("/groups/preview?code={code}"), Value::Null).await;
    assert_eq!((status, &gone["error"]["code"]), (404, &json!("NOT_FOUND")));

    let (status, _) = as_sari("POST", &format!("/groups/{}/leave", pair.group), Value::Null).await;
    assert_eq!((status, role(&pair.read().await, &sari)), (200, Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsapps_refusals_are_clear_errors_and_never_a_500() {
    let pair = Pair::new().await;
    let code = |answer: &(u16, Value)| (answer.0, text(&answer.1["error"]["code"]));
    let group = pair.group.clone();

    let no_admin = pair
        .other("POST", &format!("/groups/{group}/participants/add"), json!({ "participants": ["6281299999999"] }))
        .await;
    pair.done("PATCH", "/settings", json!({ "memberAdd": "admins" })).await;
    let no_admin_now = pair
        .other("POST", &format!("/groups/{group}/participants/add"), json!({ "participants": ["6281299999999"] }))
        .await;
    let link_of_no_admin = pair.other("GET", &format!("/groups/{group}/invite"), Value::Null).await;
    let unknown = pair.other("GET", "/groups/120363999999999999@g.us", Value::Null).await;
    let no_group = pair.other("GET", "/groups/6281234567890@s.whatsapp.net", Value::Null).await;
    let no_link = pair.other("POST", "/groups/join", json!({ "code": "nothing" })).await;
    let member_already = {
        let link = pair.done("GET", "/invite", Value::Null).await["data"]["link"].clone();
        pair.other("POST", "/groups/join", json!({ "code": link })).await
    };

    assert_eq!(no_admin.0, 200, "every member may add: {}", no_admin.1);
    assert_eq!(code(&no_admin_now), (403, "FORBIDDEN".into()));
    assert_eq!(code(&link_of_no_admin), (403, "FORBIDDEN".into()));
    assert_eq!(code(&unknown), (404, "NOT_FOUND".into()));
    assert_eq!(code(&no_group), (404, "NOT_FOUND".into()));
    assert_eq!(code(&no_link), (404, "NOT_FOUND".into()));
    assert_eq!(code(&member_already), (409, "CONFLICT".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_field_of_a_group_is_named_at_once() {
    let gateway = tenant().await;
    let group = gateway.device("/groups/120363000000000001@g.us");
    let refused = async |method: &str, path: &str, body: Value| {
        let (status, answer) = answer(gateway.request(method, path).json(&body)).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("VALIDATION_ERROR")), "{method} {path}: {answer}");
        let details = answer["error"]["details"].as_array().unwrap();
        details.iter().map(|one| text(&one["field"])).collect::<Vec<_>>()
    };

    let create = json!({ "subject": " ", "participants": ["0812", "120363000000000001@g.us", 7] });
    let wrong = refused("POST", &gateway.device("/groups/create"), create).await;
    assert_eq!(wrong, ["subject", "participants[0]", "participants[1]", "participants[2]"]);
    assert_eq!(
        refused("POST", &format!("{group}/participants/add"), json!({ "participants": [] })).await,
        ["participants"]
    );
    assert_eq!(refused("PUT", &format!("{group}/subject"), json!({})).await, ["subject"]);
    let settings = json!({ "announce": "yes", "ephemeralSeconds": 5, "memberAdd": "nobody" });
    assert_eq!(
        refused("PATCH", &format!("{group}/settings"), settings).await,
        ["announce", "ephemeralSeconds", "memberAdd"]
    );
    assert_eq!(refused("PATCH", &format!("{group}/settings"), json!({})).await, ["body"]);
    assert_eq!(refused("PUT", &format!("{group}/picture"), json!({ "picture": "aGVsbG8=" })).await, ["picture"]);
    assert_eq!(
        refused("POST", &gateway.device("/groups/join"), json!({ "code": "https://example.com" })).await,
        ["code"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_twenty_first_group_operation_of_a_minute_is_refused_and_reading_costs_nothing() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start_with(folder.path(), &simulator, &["--limits", "--set", "limits.tenant=off"]);
    let body = json!({ "subject": "Order 42", "participants": [gateway.info["contactPhone"]] });
    let (_, made) = answer(gateway.request("POST", &gateway.device("/groups/create")).json(&body)).await;
    let group = gateway.device(&format!("/groups/{}", text(&made["data"]["groupJid"])));
    let rename = async |subject: &str| {
        let path = format!("{group}/subject");
        gateway.request("PUT", &path).json(&json!({ "subject": subject })).send().await.unwrap()
    };

    for number in 2..=20 {
        let renamed = rename(&format!("Order {number}")).await;
        assert_eq!(renamed.status().as_u16(), 200);
        assert_eq!(renamed.headers()["x-ratelimit-remaining"], (20 - number).to_string().as_str());
    }

    assert_eq!(rename("").await.status().as_u16(), 400, "what is not understood is not counted");
    let refused = rename("one more").await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (429, true));
    assert_eq!(gateway.get(&group).await["subject"], "Order 20");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_that_comes_twice_is_told_once() {
    let pair = Pair::new().await;
    let twice = json!({
        "phone": pair.contact,
        "match": { "tag": "notification", "direction": "out", "type": "w:gp2" },
        "action": "duplicate",
        "count": 2
    });
    pair.gateway.phones().post("/faults", twice).await;

    pair.done("PUT", "/subject", json!({ "subject": "Orders" })).await;
    pair.done("PUT", "/description", json!({ "description": "all of them" })).await;
    pair.done("PATCH", "/settings", json!({ "locked": true })).await;

    pair.told("group.updated", |data| data["changes"].get("locked").is_some()).await;
    for change in ["subject", "description"] {
        pair.told("group.updated", |data| data["changes"].get(change).is_some()).await;
    }
}
