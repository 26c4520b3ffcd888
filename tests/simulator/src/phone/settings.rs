//! What a person sets on the phone for all devices of the account: the address book, labels, whose status posts are muted.

use crate::account::{Account, Collection, lid_of};
use crate::compose::Unfit;
use crate::handlers::tell_of_patch;
use crate::patch::Setting;
use crate::snapshot;
use crate::wa;
use crate::world::World;
use serde::Deserialize;
use serde_json::json;

/// Exactly one of them.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Change {
    /// Somebody's name in the address book.
    Contact {
        phone: String,
        name: String,
    },
    /// Makes a label or names it otherwise; without a name it goes.
    Label {
        id: String,
        name: Option<String>,
        color: Option<i32>,
    },
    /// Puts a label on the chat with somebody, or takes it from there.
    LabelChat {
        id: String,
        phone: String,
        on: bool,
    },
    MuteStatus {
        phone: String,
        on: bool,
    },
}

/// Writes it into the app state, and tells every linked device.
pub(crate) fn set(world: &World, account: &Account, change: Change) -> Result<(), Unfit> {
    let jid = |phone: &str| format!("{phone}@s.whatsapp.net");
    let mut value = wa::SyncActionValue { timestamp: i64::try_from(world.clock.now_ms()).ok(), ..Default::default() };
    let (collection, index, action_version) = match change {
        Change::Contact { phone, name } => {
            let first = name.split(' ').next().map(str::to_owned);
            value.contact_action = Some(wa::ContactAction {
                full_name: Some(name),
                first_name: first,
                lid_jid: Some(format!("{}@lid", lid_of(&phone))),
            });
            ("critical_unblock_low", json!(["contact", jid(&phone)]), 2)
        }
        Change::Label { id, name, color } => {
            value.label_edit_action = Some(wa::LabelEditAction { deleted: Some(name.is_none()), name, color });
            ("regular", json!(["label_edit", id]), 3)
        }
        Change::LabelChat { id, phone, on } => {
            value.label_association_action = Some(wa::LabelAssociationAction { labeled: Some(on) });
            ("regular", json!(["label_jid", id, jid(&phone)]), 3)
        }
        Change::MuteStatus { phone, on } => {
            value.user_status_mute_action = Some(wa::UserStatusMuteAction { muted: Some(on) });
            ("regular_high", json!(["userStatusMute", jid(&phone)]), 7)
        }
    };
    let index = index.to_string();
    let setting = Setting { collection, index: index.as_bytes(), action_version, value };
    let version = {
        let mut state = account.state();
        let Collection { version, patches } = state.collections.entry(collection.to_owned()).or_default();
        let records = snapshot::records(patches).map_err(Unfit::Failed)?;
        let records = records.ok_or_else(|| Unfit::Wrong("patches in files of their own are not read".to_owned()))?;
        let (key_id, key) = &account.sync_key;
        *version += 1;
        patches.push(setting.patch(*version, records, key_id, key));
        *version
    };
    tell_of_patch(world, account, None, collection, version);
    Ok(())
}
