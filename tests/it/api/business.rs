//! What a business shows of itself and sells, as its own device and others see it.

use super::chats::done;
use super::kinds::fields;
use crate::support::{Tenant, answer, tenant, text};
use serde_json::{Value, json};

async fn make_business(gateway: &Tenant, phone: &str, business: Value) {
    gateway.phones().post(&format!("/accounts/{phone}/business"), business).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_business_shows_is_read_by_itself_and_by_others() {
    let gateway = tenant().await;
    let (device, phone) = (text(&gateway.info["deviceId"]), text(&gateway.info["devicePhone"]));
    let other = gateway.link(&text(&gateway.info["contactPhone"])).await;
    let path = "/business-profile";
    let none = answer(gateway.request("GET", &gateway.device(path))).await;
    assert_eq!((none.0, &none.1["error"]["message"]), (404, &json!("no such business profile")));
    let hours = json!([
        { "day": "mon", "mode": "specific_hours", "open": 480, "close": 1080 }, { "day": "tue", "mode": "open_24h" }
    ]);
    let business = json!({
        "description": "Roti dan kopi", "email": "toko@example.id", "websites": ["https://toko.id", "https://b.id"],
        "categories": [["133436743388217", "Bakery"]], "timezone": "Asia/Jakarta", "hours": hours
    });
    make_business(&gateway, &phone, business).await;

    let own = done(&gateway, &device, "GET", path, Value::Null).await;
    let seen = done(&gateway, &other, "GET", &format!("{path}?of={phone}"), Value::Null).await;

    // A device that has not written to somebody may know the number alone.
    let both = [&own, &seen].map(|told| {
        let mut profile = told["data"].clone();
        profile["lid"] = Value::Null;
        profile
    });
    let [profile, shown] = &both;
    assert_eq!(profile, shown);
    assert_eq!((&profile["phone"], &profile["description"]), (&json!(phone), &json!("Roti dan kopi")), "{own}");
    assert_eq!((&profile["address"], &profile["email"]), (&Value::Null, &json!("toko@example.id")));
    assert_eq!(profile["websites"], json!(["https://toko.id", "https://b.id"]));
    assert_eq!(profile["categories"], json!([{ "id": "133436743388217", "name": "Bakery" }]));
    let days = json!([
        { "day": "mon", "mode": "specific_hours", "openMinute": 480, "closeMinute": 1080 },
        { "day": "tue", "mode": "open_24h", "openMinute": null, "closeMinute": null },
    ]);
    assert_eq!(profile["hours"], json!({ "timezone": "Asia/Jakarta", "days": days }));
    let (status, wrong) = answer(gateway.request("GET", &gateway.device("/business-profile?of=0812"))).await;
    assert_eq!((status, fields(&wrong)), (400, vec!["of".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_goods_of_a_business_are_read_page_by_page() {
    let gateway = tenant().await;
    let (device, phone) = (text(&gateway.info["deviceId"]), text(&gateway.info["devicePhone"]));
    let contact = text(&gateway.info["contactPhone"]);
    let other = gateway.link(&contact).await;
    let product = |n: u64| json!({ "id": format!("p{n}"), "name": format!("Roti {n}"), "price": n * 1_000, "currency": "IDR", "hidden": n == 3 });
    let products: Vec<Value> = (1..=5).map(product).collect();
    make_business(&gateway, &phone, json!({ "products": products })).await;
    make_business(&gateway, &contact, json!({ "products": [] })).await;

    let mut found = Vec::new();
    let mut path = format!("/catalog?of={phone}&limit=2");
    loop {
        let page = done(&gateway, &other, "GET", &path, Value::Null).await;
        let products = page["data"]["products"].as_array().unwrap();
        assert_eq!(page["data"]["count"], products.len());
        found.extend(products.iter().cloned());
        let Some(cursor) = page["data"]["nextCursor"].as_str() else { break };
        path = format!("/catalog?of={phone}&limit=2&cursor={cursor}");
    }

    let own = done(&gateway, &device, "GET", "/catalog", Value::Null).await;
    assert_eq!(own["data"]["products"], json!(found), "its own, on one page");
    assert_eq!(found.len(), 5);
    let third = &found[2];
    assert_eq!((&third["id"], &third["name"], &third["hidden"]), (&json!("p3"), &json!("Roti 3"), &json!(true)));
    assert_eq!((&third["priceAmount1000"], &third["currency"]), (&json!(3_000), &json!("IDR")), "{third}");
    assert_eq!((&third["availability"], &third["review"]), (&json!("in_stock"), &json!("approved")), "{third}");
    assert!(text(&third["images"][0]["url"]).starts_with("https://"), "{third}");
    let empty = done(&gateway, &other, "GET", "/catalog", Value::Null).await;
    assert_eq!(empty["data"], json!({ "products": [], "count": 0, "nextCursor": null }));
    for (query, field) in [("limit=0", "limit"), ("limit=101", "limit"), ("of=x", "of")] {
        let (status, wrong) = answer(gateway.request("GET", &gateway.device(&format!("/catalog?{query}")))).await;
        assert_eq!((status, fields(&wrong)), (400, vec![field.to_owned()]), "{query}");
    }
    let nobody = answer(gateway.request("GET", &gateway.device("/catalog?of=6281299999999"))).await;
    assert_eq!((nobody.0, &nobody.1["error"]["message"]), (404, &json!("no such catalog")));
}
