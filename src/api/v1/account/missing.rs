//! What clients ask for and the pinned client library has no call for. The routes are there, so that a client is told what
//! is missing in place of finding nothing; docs/capabilities.md has the same table, and tests hold the two together.

use crate::api::Api;
use crate::api::caller::{Manages, OwnDevice};
use crate::api::envelope::{Answer, Done, Envelope};
use crate::api::error::ApiError;
use crate::whatsapp::ENGINE_VERSION;
use axum::extract::State;

/// Operations, and the call that they miss.
pub(in crate::api) struct Missing {
    #[cfg_attr(not(test), expect(dead_code, reason = "for the table in docs"))]
    operations: &'static [&'static str],
    call: &'static str,
}

const BUSINESS_PROFILE: Missing =
    Missing { operations: &["setBusinessProfile"], call: "the form of the input of mex_operations::edit_biz_profile" };
/// To a newsletter alone.
pub(in crate::api::v1) const POST_FILES: Missing = Missing {
    operations: &["sendMedia", "sendImage", "sendVideo", "sendAudio", "sendDocument", "sendSticker", "sendTemplate"],
    call: "an upload without encryption beside Client::upload, for files in newsletters",
};
pub(in crate::api::v1) const COMMUNITY_LEAVE: Missing =
    Missing { operations: &["leaveCommunity"], call: "a form for communities beside Groups::leave" };

/// All of them.
#[cfg(test)]
const ALL: [Missing; 3] = [BUSINESS_PROFILE, POST_FILES, COMMUNITY_LEAVE];

pub(in crate::api::v1) fn missing(what: &Missing) -> ApiError {
    ApiError::NotSupported(format!("{ENGINE_VERSION} has no call for it: {} is missing", what.call))
}

/// Change what a business shows of itself
///
/// Can be read, and not set: the library has the operation, with an input that it does not describe.
#[utoipa::path(patch, path = "/devices/{device}/business-profile", operation_id = "setBusinessProfile", tag = "Account",
    responses((status = 200, body = Envelope<Done>), (status = 501, response = crate::api::openapi::NotSupported)))]
pub(in crate::api) async fn business_profile(State(_): State<Api>, _: OwnDevice<Manages>) -> Answer<Done> {
    Err(missing(&BUSINESS_PROFILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Operations that the API document says answer 501, with method and path.
    fn documented() -> Vec<(String, String)> {
        let document = serde_json::to_value(crate::api::document()).expect("it can be written");
        let mut found = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                if operation["responses"].get("501").is_some() {
                    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
                    found.push((id, format!("{} {path}", method.to_uppercase())));
                }
            }
        }
        found
    }

    #[test]
    fn the_table_in_docs_has_every_operation_that_is_missing_and_no_other() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/capabilities.md"))
            .expect("docs/capabilities.md");
        let rows: BTreeSet<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let documented = documented();
        let missing: Vec<_> =
            ALL.iter().flat_map(|one| one.operations.iter().map(|operation| (*operation, one.call))).collect();
        assert_eq!(documented.len(), missing.len(), "{documented:?}");

        for (operation, call) in &missing {
            let (_, route) = documented.iter().find(|(id, _)| id == operation).expect(operation);
            let row = format!("| `{route}` | {call} |");
            assert!(rows.contains(row.as_str()), "docs/capabilities.md lacks {row}");
        }
        assert_eq!(rows.len(), missing.len(), "{rows:?}");
    }
}
