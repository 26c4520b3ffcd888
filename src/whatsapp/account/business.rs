//! What a business shows of itself, and its goods.
//!
//! Goods are asked for with the web client's own query, in the form in which that client writes it: numbers and switches are
//! texts there, which the library's types have otherwise. They are read in either form.

use super::mex::{number, words};
use super::{Account, AccountError, Person, person_jid};
use crate::domain::jid::PersonId;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wacore::iq::business;
use wacore::iq::mex_operations::query_catalog;
use wacore_binary::Jid;

const PROFILE: &str = "business profile";
const CATALOG: &str = "catalog";
/// Of the pictures that an answer links to.
const PICTURE_PIXELS: u32 = 640;

/// What a business shows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BusinessProfile {
    #[serde(flatten)]
    pub person: Person,
    pub description: Option<String>,
    pub address: Option<String>,
    pub email: Option<String>,
    pub websites: Vec<String>,
    pub categories: Vec<BusinessCategory>,
    pub hours: BusinessHours,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BusinessCategory {
    /// WhatsApp's.
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BusinessHours {
    #[schema(example = "Asia/Jakarta")]
    pub timezone: Option<String>,
    /// A day that is not here is closed, or not told; one that closes at noon may be here twice.
    pub days: Vec<OpeningHours>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpeningHours {
    #[schema(example = "mon")]
    pub day: String,
    /// `open_24h`, `specific_hours`, `appointment_only`, or another word of WhatsApp's.
    #[schema(example = "specific_hours")]
    pub mode: String,
    /// Minutes after midnight.
    #[schema(example = 480)]
    pub open_minute: Option<u32>,
    #[schema(example = 1080)]
    pub close_minute: Option<u32>,
}

/// A page of the goods of a business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    pub products: Vec<Product>,
    pub count: usize,
    /// Give it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// Something that a business sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    pub id: String,
    /// The seller's own number of it.
    pub retailer_id: Option<String>,
    pub name: String,
    pub description: Option<String>,
    /// In thousandths of the currency, as WhatsApp has prices.
    #[schema(example = 15_000_000)]
    pub price_amount1000: Option<u64>,
    #[schema(example = "IDR")]
    pub currency: Option<String>,
    /// While something costs less.
    pub sale: Option<Sale>,
    /// `in_stock`, `out_of_stock`, or another word of WhatsApp's.
    pub availability: Option<String>,
    /// How many somebody can order.
    pub max_available: Option<u64>,
    /// Only the seller sees it.
    pub hidden: bool,
    /// What WhatsApp's review said: `approved`, `pending`, `rejected`, or another word of WhatsApp's.
    pub review: Option<String>,
    pub url: Option<String>,
    pub images: Vec<ProductImage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sale {
    pub price_amount1000: Option<u64>,
    /// As WhatsApp writes it.
    pub starts: Option<String>,
    pub ends: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductImage {
    pub id: Option<String>,
    /// As it was uploaded. Links to WhatsApp's media host hold for some hours.
    pub url: Option<String>,
    pub small_url: Option<String>,
}

impl Account {
    /// Of this account when nobody is named.
    pub async fn business_profile(&self, of: Option<&PersonId>) -> Result<BusinessProfile, AccountError> {
        let (jid, person) = self.business(of).await?;
        let told = self.ask(PROFILE, self.client.get_business_profile(&jid)).await?;
        Ok(shown(person, told.ok_or(AccountError::NotFound(PROFILE))?))
    }

    /// Of this account when nobody is named; `cursor` is what the page before gave.
    pub async fn catalog(
        &self,
        of: Option<&PersonId>,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Catalog, AccountError> {
        use query_catalog::{DOC_ID, NAME};
        let (jid, _) = self.business(of).await?;
        let pixels = PICTURE_PIXELS.to_string();
        let mut asked = json!({
            "jid": jid.to_string(), "limit": limit.to_string(), "width": pixels, "height": pixels,
            "allow_shop_source": "ALLOWSHOPSOURCE_TRUE",
        });
        if let Some(cursor) = cursor {
            asked["after"] = cursor.into();
        }
        let asked = json!({ "request": { "product_catalog": asked } });
        let answer = self.query(CATALOG, "xwa_product_catalog_get_product_catalog", (NAME, DOC_ID), asked).await?;
        match &answer["product_catalog"] {
            Value::Null => Err(AccountError::NotFound(CATALOG)),
            catalog => Ok(read(catalog)),
        }
    }

    /// Businesses are asked about by phone number.
    async fn business(&self, of: Option<&PersonId>) -> Result<(Jid, Person), AccountError> {
        let jid = of.map_or_else(|| self.own_jid(), person_jid)?;
        let person = self.person(&jid).await;
        let jid = super::parsed(&person.jid)?;
        Ok((jid, person))
    }
}

fn shown(person: Person, told: business::BusinessProfile) -> BusinessProfile {
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    let category = |one: business::BusinessCategory| BusinessCategory { id: one.id, name: one.name };
    let day = |one: business::BusinessHoursConfig| OpeningHours {
        day: one.day_of_week.as_str().to_owned(),
        mode: one.mode.as_str().to_owned(),
        open_minute: one.open_time,
        close_minute: one.close_time,
    };
    BusinessProfile {
        person,
        description: said(Some(told.description)),
        address: said(told.address),
        email: said(told.email),
        websites: told.website,
        categories: told.categories.into_iter().map(category).collect(),
        hours: BusinessHours {
            timezone: told.business_hours.timezone,
            days: told.business_hours.business_config.into_iter().flatten().map(day).collect(),
        },
    }
}

/// What has no id cannot be named, and is left out.
fn read(catalog: &Value) -> Catalog {
    let products = catalog["products"].as_array().into_iter().flatten();
    let products: Vec<Product> = products.filter_map(product).collect();
    Catalog { count: products.len(), products, next_cursor: words(&catalog["paging"]["after"]) }
}

fn product(told: &Value) -> Option<Product> {
    let small = |value: &Value| words(value).map(|word| word.to_ascii_lowercase().replace(' ', "_"));
    let sale = &told["sale_price"];
    let image = |one: &Value| ProductImage {
        id: words(&one["id"]),
        url: words(&one["original_image_url"]),
        small_url: words(&one["request_image_url"]),
    };
    Some(Product {
        id: words(&told["id"])?,
        retailer_id: words(&told["retailer_id"]),
        name: words(&told["name"]).unwrap_or_default(),
        description: words(&told["description"]),
        price_amount1000: number(&told["price"]),
        currency: words(&told["currency"]),
        sale: sale.is_object().then(|| Sale {
            price_amount1000: number(&sale["price"]),
            starts: words(&sale["start_date"]),
            ends: words(&sale["end_date"]),
        }),
        availability: small(&told["product_availability"]),
        max_available: number(&told["max_available"]),
        hidden: is_on(&told["is_hidden"]),
        review: small(&told["status_info"]["status"]),
        url: words(&told["url"]),
        images: told["media"]["images"].as_array().into_iter().flatten().map(image).collect(),
    })
}

/// A switch, or the word for one: `true`, `ISHIDDEN_TRUE`.
fn is_on(told: &Value) -> bool {
    told.as_bool().unwrap_or_else(|| told.as_str().is_some_and(|word| word.to_ascii_lowercase().ends_with("true")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goods_are_read_whether_numbers_and_switches_are_texts_or_not() {
        let product = |price: Value, hidden: Value, most: Value| {
            json!({
                "id": "p1", "retailer_id": "SKU-1", "name": "Roti", "description": "", "price": price,
                "currency": "IDR", "is_hidden": hidden, "max_available": most, "product_availability": "IN_STOCK",
                "status_info": { "status": "APPROVED", "can_appeal": "false" }, "sale_price": null,
                "media": { "images": [{ "id": "i1", "request_image_url": "https://m/s", "original_image_url": null }] },
            })
        };
        let texts = product(json!("15000000"), json!("ISHIDDEN_TRUE"), json!("8"));
        let plain = product(json!(15_000_000), json!(true), json!(8));
        let page = |product: Value| json!({ "products": [product, { "name": "no id" }], "paging": { "after": "" } });

        let (texts, plain) = (read(&page(texts)), read(&page(plain)));

        assert_eq!(texts, plain);
        assert_eq!((texts.count, &texts.next_cursor), (1, &None));
        let product = &texts.products[0];
        assert_eq!(
            (product.price_amount1000, product.max_available, product.hidden),
            (Some(15_000_000), Some(8), true)
        );
        assert_eq!((product.availability.as_deref(), product.review.as_deref()), (Some("in_stock"), Some("approved")));
        assert_eq!((&product.description, &product.sale, &product.images[0].url), (&None, &None, &None));
        assert_eq!(read(&json!({ "products": [], "paging": { "after": "2" } })).next_cursor, Some("2".into()));
    }
}
