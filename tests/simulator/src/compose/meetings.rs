//! Where somebody is just now, and where and when people meet; and what nobody has heard of.

use super::Location;
use crate::wa;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveLocation {
    latitude: f64,
    longitude: f64,
    accuracy: Option<u32>,
    caption: Option<String>,
    sequence: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupInvite {
    /// The group's id, without its server.
    group: String,
    name: String,
    code: String,
    /// Unix seconds, as all times here.
    expires_at: Option<i64>,
    caption: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meeting {
    name: String,
    description: Option<String>,
    location: Option<Location>,
    starts_at: i64,
    ends_at: Option<i64>,
    #[serde(default)]
    cancelled: bool,
}

/// A kind that few know, and one that no version of the protocol has.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Strange {
    PaymentInvite,
    Future,
}

impl LiveLocation {
    pub(super) fn written(&self) -> wa::Message {
        wa::Message {
            live_location_message: Some(Box::new(wa::LiveLocationMessage {
                degrees_latitude: Some(self.latitude),
                degrees_longitude: Some(self.longitude),
                accuracy_in_meters: self.accuracy,
                caption: self.caption.clone(),
                sequence_number: self.sequence,
                context_info: None,
            })),
            ..Default::default()
        }
    }
}

impl GroupInvite {
    pub(super) fn written(&self) -> wa::Message {
        wa::Message {
            group_invite_message: Some(Box::new(wa::GroupInviteMessage {
                group_jid: Some(format!("{}@g.us", self.group)),
                invite_code: Some(self.code.clone()),
                invite_expiration: self.expires_at,
                group_name: Some(self.name.clone()),
                caption: self.caption.clone(),
                context_info: None,
            })),
            ..Default::default()
        }
    }
}

impl Meeting {
    pub(super) fn written(&self) -> wa::Message {
        wa::Message {
            event_message: Some(Box::new(wa::EventMessage {
                context_info: None,
                is_canceled: Some(self.cancelled),
                name: Some(self.name.clone()),
                description: self.description.clone(),
                location: self.location.as_ref().map(|location| Box::new(location.place())),
                start_time: Some(self.starts_at),
                end_time: self.ends_at,
            })),
            ..Default::default()
        }
    }
}

impl Strange {
    pub(super) fn written(&self) -> wa::Message {
        match self {
            Self::PaymentInvite => wa::Message {
                payment_invite_message: Some(wa::PaymentInviteMessage {
                    service_type: Some(1),
                    expiry_timestamp: None,
                }),
                ..Default::default()
            },
            Self::Future => wa::Message {
                future_message: Some(wa::FutureMessage { text: Some("from tomorrow".to_owned()) }),
                ..Default::default()
            },
        }
    }
}
