//! The account's name, as its phone writes it into the app state: the first patch of a collection. A client waits for it
//! after linking, and again at every login until it has it.

use crate::patch::Setting;
use crate::snapshot::Records;
use crate::wa;

pub(crate) const COLLECTION: &str = "critical_block";

/// The patch that makes version 1 of the collection.
pub(crate) fn patch(name: &str, key_id: &[u8], key: &[u8], now: u64) -> Vec<u8> {
    let value = wa::SyncActionValue {
        timestamp: Some(i64::try_from(now).unwrap_or(0) * 1_000),
        push_name_setting: Some(wa::PushNameSetting { name: Some(name.to_owned()) }),
        ..Default::default()
    };
    let setting = Setting { collection: COLLECTION, index: br#"["setting_pushName"]"#, action_version: 1, value };
    setting.patch(1, Records::new(), key_id, key)
}
