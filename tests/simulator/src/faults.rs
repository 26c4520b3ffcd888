//! What goes wrong on purpose: rules that match stanzas and act on them a number of times.

use crate::node::{attr, body, children};
use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent};

/// The tag by which downloads from the media host are matched.
const DOWNLOAD: &str = "download";

/// Rules that may stand at once.
pub(crate) const FAULTS_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// The stanza does not arrive.
    Drop,
    /// It arrives `delay_ms` later by the simulator's clock (from the client only).
    Delay,
    /// It arrives twice (to the client only).
    Duplicate,
    /// It arrives behind the next one (to the client only).
    Reorder,
    /// A message or a request from the client is refused with `code`, or a download with the HTTP status `code`.
    Nack,
    /// The stream ends with `code`: 401, 515 or `conflict`.
    StreamError,
    /// The connection is closed.
    Close,
    /// The connection stays open and nothing passes any more, until the faults are cleared. A download goes on then.
    Swallow,
    /// Ciphertext is damaged: to the client, or from it when `match.direction` is `in`.
    Corrupt,
    /// A message to the client comes without its content, as one that only the phone can read.
    Withhold,
    /// A client's IK handshake is answered with XX.
    RefuseIk,
    /// The end of the offline phase is never announced.
    StallOffline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Match {
    pub(crate) tag: Option<String>,
    pub(crate) direction: Option<Direction>,
    pub(crate) r#type: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) xmlns: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// The account whose linked devices it concerns; all of them when absent.
    pub(crate) phone: Option<String>,
    #[serde(default)]
    pub(crate) r#match: Match,
    pub(crate) action: Action,
    /// How often it acts; without end when absent.
    pub(crate) count: Option<u32>,
    pub(crate) delay_ms: Option<u64>,
    pub(crate) code: Option<String>,
}

#[derive(Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> bool {
        let room = self.0.len() < FAULTS_MAX;
        if room {
            self.0.push(fault);
        }
        room
    }

    /// The fault that a stanza from the client meets, if any; uses it up once.
    pub(crate) fn incoming(&mut self, phone: &str, node: &Node) -> Option<Fault> {
        self.take(|fault| {
            fault.r#match.direction != Some(Direction::Out)
                && !matches!(
                    fault.action,
                    Action::Duplicate | Action::Reorder | Action::Withhold | Action::RefuseIk | Action::StallOffline
                )
                && (fault.action != Action::Corrupt || fault.r#match.direction == Some(Direction::In))
                && concerns(fault, phone)
                && matches(&fault.r#match, node)
        })
    }

    /// What becomes of a stanza to the client: nothing, itself, or itself twice; `true` holds it back.
    pub(crate) fn outgoing(&mut self, phone: &str, node: Node) -> Vec<(Node, bool)> {
        let met = self.take(|fault| {
            let outgoing = fault.r#match.direction == Some(Direction::Out)
                || (fault.r#match.direction.is_none()
                    && matches!(
                        fault.action,
                        Action::Duplicate | Action::Reorder | Action::Corrupt | Action::Withhold
                    ));
            outgoing && concerns(fault, phone) && matches(&fault.r#match, &node)
        });
        match met.map(|fault| fault.action) {
            Some(Action::Drop) => Vec::new(),
            Some(Action::Duplicate) => vec![(node.clone(), false), (node, false)],
            Some(Action::Reorder) => vec![(node, true)],
            Some(Action::Corrupt) => vec![(corrupted(&node), false)],
            Some(Action::Withhold) => vec![(withheld(&node), false)],
            _ => vec![(node, false)],
        }
    }

    /// The fault that a download meets. Nobody's phone is known of it.
    pub(crate) fn download(&mut self) -> Option<Fault> {
        self.take(|fault| fault.r#match.tag.as_deref() == Some(DOWNLOAD))
    }

    pub(crate) fn refuses_ik(&mut self) -> bool {
        self.take(|fault| fault.action == Action::RefuseIk).is_some()
    }

    pub(crate) fn stalls_offline(&mut self, phone: &str) -> bool {
        self.take(|fault| fault.action == Action::StallOffline && concerns(fault, phone)).is_some()
    }

    fn take(&mut self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let index = self.0.iter().position(wanted)?;
        let fault = self.0[index].clone();
        match &mut self.0[index].count {
            Some(0 | 1) => {
                self.0.remove(index);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Some(fault)
    }
}

fn concerns(fault: &Fault, phone: &str) -> bool {
    fault.phone.as_deref().is_none_or(|only| only == phone)
}

fn matches(rule: &Match, node: &Node) -> bool {
    let is = |wanted: &Option<String>, key: &str| wanted.as_ref().is_none_or(|value| attr(node, key) == *value);
    let attributes = [(&rule.r#type, "type"), (&rule.class, "class"), (&rule.xmlns, "xmlns")];
    rule.tag.as_ref().is_none_or(|tag| node.tag == tag.as_str())
        && attributes.into_iter().all(|(wanted, key)| is(wanted, key))
}

/// The stanza with a word in place of what is encrypted.
fn withheld(node: &Node) -> Node {
    let mut copy = node.clone();
    copy.content = NodeBuilder::new("message").children([NodeBuilder::new("unavailable").build()]).build().content;
    copy
}

/// Which byte of a ciphertext is damaged, from its end: within the MAC, also where key ids follow it, so that the message
/// still parses and does not open.
const CORRUPTED_FROM_END: usize = 12;

/// The stanza with a byte of every `<enc>` changed, at whatever depth.
pub(crate) fn corrupted(node: &Node) -> Node {
    let mut copy = node.clone();
    if node.tag == "enc" {
        let mut bytes = body(node);
        let place = bytes.len().saturating_sub(CORRUPTED_FROM_END);
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 0xff;
        }
        copy.content = Some(NodeContent::Bytes(bytes));
    } else if !children(node).is_empty() {
        let damaged: Vec<Node> = children(node).iter().map(corrupted).collect();
        copy.content = NodeBuilder::new("message").children(damaged).build().content;
    }
    copy
}
