//! Businesses: what one shows of itself (`w:biz`), and its goods, which a query asks for.

use super::mex::{Answered, BAD_REQUEST, NOT_FOUND};
use crate::connection::Session;
use crate::node::{attr_jid, child, leaf, result};
use crate::world::World;
use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

/// An account that is a business.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Business {
    #[serde(default)]
    description: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    websites: Vec<String>,
    /// Id and name.
    #[serde(default)]
    categories: Vec<(String, String)>,
    timezone: Option<String>,
    #[serde(default)]
    hours: Vec<Hours>,
    /// Without it there is no catalog.
    products: Option<Vec<Product>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    day: String,
    mode: String,
    /// Minutes after midnight.
    open: Option<u32>,
    close: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    id: String,
    name: String,
    /// In thousandths.
    price: u64,
    currency: String,
    #[serde(default)]
    hidden: bool,
}

pub(super) fn handle(world: &World, session: &Session, node: &Node) {
    let asked = child(node, "business_profile").and_then(|asked| child(asked, "profile"));
    let jid = asked.and_then(|asked| attr_jid(asked, "jid"));
    let business = jid.as_ref().and_then(|jid| world.resolve(jid)?.0.state().business.clone());
    let profile = jid.zip(business).map(|(jid, business)| profile(&jid, &business));
    let shown = NodeBuilder::new("business_profile").attr("v", "244").children(profile).build();
    session.line.send(result(node, vec![shown]));
}

fn profile(jid: &Jid, business: &Business) -> Node {
    let texts = [("description", &business.description), ("address", &business.address), ("email", &business.email)];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let mut parts: Vec<Node> = texts.map(|(tag, text)| leaf(tag, text.clone().into_bytes())).collect();
    parts.extend(business.websites.iter().map(|website| leaf("website", website.clone().into_bytes())));
    let category = |(id, name): &(String, String)| {
        NodeBuilder::new("category").attr("id", id.clone()).bytes(name.clone().into_bytes()).build()
    };
    let categories: Vec<Node> = business.categories.iter().map(category).collect();
    parts.push(NodeBuilder::new("categories").children(categories).build());
    if let Some(timezone) = &business.timezone {
        let days: Vec<Node> = business.hours.iter().map(day).collect();
        let hours = NodeBuilder::new("business_hours").attr("timezone", timezone.clone());
        parts.push(hours.children(days).build());
    }
    NodeBuilder::new("profile").attr("jid", jid.to_non_ad()).children(parts).build()
}

fn day(hours: &Hours) -> Node {
    let mut node = NodeBuilder::new("business_hours_config")
        .attr("day_of_week", hours.day.clone())
        .attr("mode", hours.mode.clone());
    for (name, minute) in [("open_time", hours.open), ("close_time", hours.close)] {
        if let Some(minute) = minute {
            node = node.attr(name, minute);
        }
    }
    node.build()
}

/// Numbers come as texts, as the web client writes them. A page ends in the place of the next one.
pub(super) fn catalog(world: &World, asked: &Value) -> Answered {
    let asked = &asked["request"]["product_catalog"];
    let jid: Jid = asked["jid"].as_str().and_then(|jid| jid.parse().ok()).ok_or(BAD_REQUEST)?;
    let count = |value: &Value| value.as_str().and_then(|text| text.parse::<usize>().ok());
    let limit = count(&asked["limit"]).filter(|limit| *limit > 0).ok_or(BAD_REQUEST)?;
    let from = match &asked["after"] {
        Value::Null => 0,
        after => count(after).ok_or(BAD_REQUEST)?,
    };
    let (account, _) = world.resolve(&jid).ok_or(NOT_FOUND)?;
    let business = account.state().business.clone();
    let products = business.and_then(|business| business.products).ok_or(NOT_FOUND)?;
    let page: Vec<Value> = products.iter().skip(from).take(limit).map(product).collect();
    let next = from + page.len();
    let after = if next < products.len() { next.to_string() } else { String::new() };
    let catalog = json!({ "products": page, "paging": { "after": after, "before": "" } });
    Ok(("xwa_product_catalog_get_product_catalog", json!({ "product_catalog": catalog })))
}

fn product(product: &Product) -> Value {
    let image = format!("https://media.test/{}.jpg", product.id);
    json!({
        "id": product.id,
        "name": product.name,
        "description": null,
        "price": product.price.to_string(),
        "currency": product.currency,
        "is_hidden": if product.hidden { "ISHIDDEN_TRUE" } else { "ISHIDDEN_FALSE" },
        "product_availability": "IN_STOCK",
        "status_info": { "status": "APPROVED", "can_appeal": "false" },
        "media": { "images": [{ "id": product.id, "original_image_url": image, "request_image_url": image }] },
    })
}
