//! What shops and their customers send: products and orders. What opens an order is in neither.

use super::{Said, received};
use serde_json::json;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::order_message::OrderStatus;

pub(super) fn said(message: &wa::Message) -> Option<Said> {
    if let Some(message) = message.product_message.as_option() {
        let product = message.product.as_option().cloned().unwrap_or_default();
        return received(
            "product",
            json!({
                "productId": product.product_id,
                "title": product.title,
                "description": product.description,
                "price": amount(product.price_amount1000),
                "salePrice": amount(product.sale_price_amount1000),
                "currency": product.currency_code,
                "retailerId": product.retailer_id,
                "url": product.url,
                "seller": message.business_owner_jid,
                "body": message.body,
                "footer": message.footer,
            }),
        );
    }
    let order = message.order_message.as_option()?;
    let status = order.status.map(|status| match status {
        OrderStatus::INQUIRY => "inquiry",
        OrderStatus::ACCEPTED => "accepted",
        OrderStatus::DECLINED => "declined",
    });
    received(
        "order",
        json!({
            "orderId": order.order_id,
            "title": order.order_title,
            "body": order.message,
            "itemCount": order.item_count,
            "total": amount(order.total_amount1000),
            "currency": order.total_currency_code,
            "orderStatus": status,
            "seller": order.seller_jid,
        }),
    )
}

/// WhatsApp counts thousandths; here they are a decimal text, so that no price is rounded: `12.5` of 12500.
fn amount(thousandths: Option<i64>) -> Option<String> {
    let thousandths = thousandths?;
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, part) = (thousandths.unsigned_abs() / 1_000, thousandths.unsigned_abs() % 1_000);
    let text = format!("{sign}{whole}.{part:03}");
    Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_as_people_write_it() {
        let cases = [(0, "0"), (5, "0.005"), (12_500, "12.5"), (150_000_000, "150000"), (-1_250, "-1.25")];
        for (thousandths, text) in cases {
            assert_eq!(amount(Some(thousandths)).as_deref(), Some(text));
        }
        assert_eq!(amount(Some(i64::MIN)).as_deref(), Some("-9223372036854775.808"));
        assert_eq!(amount(None), None);
    }
}
