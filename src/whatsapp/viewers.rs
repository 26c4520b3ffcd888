//! Who got a status post, and who saw it. The library reports a single receipt for one without the person it is from, so the
//! stanza is read here; several in one stanza it reports with everybody in it.

use crate::domain::outgoing::Status;
use crate::store::ReceiptNews;
use wacore::stanza::receipt::{collect_simple_message_ids, downgrade_for_feature_incapable};
use wacore::types::presence::ReceiptType;
use wacore_binary::NodeRef;

const STATUS: &str = "status@broadcast";

/// `None` for every other stanza.
pub(super) fn told(stanza: &NodeRef<'_>) -> Option<ReceiptNews> {
    let attr = |name: &str| stanza.get_attr(name).map(|value| value.as_str().into_owned());
    if stanza.tag.as_ref() != "receipt" || attr("from")? != STATUS {
        return None;
    }
    let status = match attr("type").as_deref() {
        // A device that cannot take posts says so this way.
        None if downgrade_for_feature_incapable(stanza, ReceiptType::Delivered) != ReceiptType::Delivered => {
            return None;
        }
        None => Status::Delivered,
        Some("read") => Status::Read,
        Some("played") => Status::Played,
        Some(_) => return None,
    };
    let by = stanza.get_attr("participant")?.to_jid()?.to_non_ad().to_string();
    let seconds = attr("t").and_then(|at| at.parse::<i64>().ok());
    let at = seconds.map_or_else(wacore::time::now_millis, |seconds| seconds.saturating_mul(1_000));
    Some(ReceiptNews { wa_ids: collect_simple_message_ids(stanza, &attr("id")?, false), status, at, by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    #[test]
    fn a_device_that_cannot_take_posts_has_not_got_one() {
        let receipt = |reason: &str| {
            let error = NodeBuilder::new("error").attr("reason", reason.to_owned()).attr("type", "feature-incapable");
            let receipt = NodeBuilder::new("receipt").attr("from", STATUS).attr("participant", "1001:3@lid");
            receipt.attr("id", "A").attr("t", "7").children([error.build()]).build()
        };

        assert!(told(&receipt("lid").as_node_ref()).is_none());
        assert_eq!(told(&receipt("other").as_node_ref()).map(|news| news.status), Some(Status::Delivered));
    }

    #[test]
    fn a_receipt_for_a_post_names_who_it_is_from_and_every_post() {
        let item = NodeBuilder::new("item").attr("id", "B").build();
        let list = NodeBuilder::new("list").children([item]).build();
        let receipt = |from: &str, kind: &str| {
            NodeBuilder::new("receipt")
                .attr("from", from.to_owned())
                .attr("participant", "1001:3@lid")
                .attr("id", "A")
                .attr("t", "7")
                .attr("type", kind.to_owned())
                .children([list.clone()])
                .build()
        };

        let news = told(&receipt(STATUS, "read").as_node_ref()).expect("is one");

        assert_eq!((news.by.as_str(), news.status, news.at), ("1001@lid", Status::Read, 7_000));
        assert_eq!(news.wa_ids, ["B", "A"]);
        assert!(told(&receipt("120363000000000001@g.us", "read").as_node_ref()).is_none(), "a group's");
        assert!(told(&receipt(STATUS, "retry").as_node_ref()).is_none(), "the library answers it");
    }
}
