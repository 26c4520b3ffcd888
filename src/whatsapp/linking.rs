//! How a device comes to be linked, as what, and how it leaves.

use super::PairingCode;
use crate::domain::clock::Clock;
use crate::domain::device::Ended;
use crate::domain::ids::DeviceId;
use crate::domain::jid::PhoneNumber;
use crate::store::Link;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinError;
use wacore::iq::devices::RemoveCompanionDeviceSpec;
use whatsapp_rust::client::Client;
use whatsapp_rust::pair_code::PairCodeOptions;

/// The eight characters of a pairing code hold for about three minutes.
const PAIRING_CODE_VALID_MS: i64 = 180_000;

/// How long WhatsApp may take to answer a logout.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(10);

/// A code to type into the phone.
pub(super) async fn ask_code(client: &Arc<Client>, clock: &Clock, phone: &PhoneNumber) -> Result<PairingCode, String> {
    let options = PairCodeOptions { phone_number: phone.as_str().to_owned(), ..Default::default() };
    let code = client.pair_with_code(options).await.map_err(|error| error.to_string())?;
    Ok(PairingCode { code: dashed(&code), expires_at: clock.now_ms() + PAIRING_CODE_VALID_MS })
}

/// Asks WhatsApp to unlink the device. Bounded: a dead server must not keep the owner from logging out here.
pub(super) async fn leave(client: Arc<Client>) -> Result<(), String> {
    let own = client.pn().ok_or("the device has no address")?;
    match tokio::time::timeout(LEAVE_TIME_MAX, client.execute(RemoveCompanionDeviceSpec::new(&own))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {} s", LEAVE_TIME_MAX.as_secs())),
    }
}

pub(super) fn left(device: &DeviceId, answer: Result<Result<(), String>, JoinError>) -> Ended {
    let detail = match answer.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(()) => "logged out by the owner".to_owned(),
        Err(error) => {
            tracing::warn!(%device, %error, "whatsapp did not unlink a device that logs out");
            "logged out by the owner, and whatsapp did not confirm it: the phone may still list the device".to_owned()
        }
    };
    Ended::Unlinked { detail }
}

/// Who the session is of.
pub(super) fn link_of(client: &Client) -> Link {
    let jid = |jid: Option<wacore_binary::Jid>| jid.map(|jid| jid.to_non_ad().to_string()).unwrap_or_default();
    link(&jid(client.pn()), &jid(client.lid()), &client.push_name())
}

/// Empty parts are not known yet and leave what is stored.
pub(super) fn link(jid: &str, lid: &str, name: &str) -> Link {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let without_device = |text: &str| match text.split_once('@') {
        Some((user, server)) => format!("{}@{server}", user.split(':').next().unwrap_or(user)),
        None => text.to_owned(),
    };
    let jid = known(jid).map(|jid| without_device(&jid));
    let phone_number = jid.as_deref().and_then(|jid| jid.strip_suffix("@s.whatsapp.net")).map(str::to_owned);
    Link { phone_number, jid, lid: known(lid).map(|lid| without_device(&lid)), name: known(name) }
}

/// `ABCDEFGH` as people read it: `ABCD-EFGH`.
pub(super) fn dashed(code: &str) -> String {
    let plain: String = code.chars().filter(|c| *c != '-').collect();
    match plain.split_at_checked(4) {
        Some((first, second)) if !second.is_empty() => format!("{first}-{second}"),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_in_two_groups() {
        assert_eq!(dashed("ABCDEFGH"), "ABCD-EFGH");
        assert_eq!(dashed("ABCD-EFGH"), "ABCD-EFGH");
        assert_eq!(dashed("AB"), "AB");
    }

    #[test]
    fn a_link_drops_the_device_part_and_leaves_out_what_is_unknown() {
        let link = link("6281234567890:3@s.whatsapp.net", "", "Toko");
        assert_eq!(link.jid.as_deref(), Some("6281234567890@s.whatsapp.net"));
        assert_eq!(link.phone_number.as_deref(), Some("6281234567890"));
        assert_eq!((link.lid, link.name.as_deref()), (None, Some("Toko")));
    }
}
