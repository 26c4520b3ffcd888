//! What the API document says beside the operations: who we are, how to call, and the refusals that every route of a kind
//! can answer. Those are added here, by the form of the route, so that no handler can forget them.

mod bodies;

use super::error::ErrorBody;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, schema,
};
use utoipa::{PartialSchema, ToResponse, ToSchema};

const ABOUT: &str = "A multi-tenant WhatsApp gateway. Tenants call with an API key, as `Authorization: Bearer <key>` or \
    `X-API-Key: <key>`; the operator with the master password, as `X-Master-Key: <password>`. Every answer has the \
    header `X-Request-Id`; an id of your own is taken over when it has at most 128 letters, digits, dots, dashes and \
    underscores. The routes below `/admin` are served below `/v1/admin` too.";

const TAGS: [(&str, &str); 17] = [
    ("Messages", "Sending, and what became of it."),
    ("Status", "Status posts: the account's own, and those of others."),
    ("Media", "Files: brought to be sent, or received."),
    ("Devices", "Linked WhatsApp accounts."),
    ("Pairing", "Linking a device to an account."),
    ("Chats", "Conversations: which there are, what stands in them, and what is done to one."),
    ("Groups", "Groups of a linked account."),
    ("Communities", "Groups that other groups are part of."),
    ("Newsletters", "What people call channels: followed, owned, and posted in."),
    ("Contacts", "People, as WhatsApp tells of them."),
    ("Account", "What a linked account shows of itself and lets others do: presence, privacy, profile, calls."),
    ("Events", "What happened."),
    ("Webhooks", "Being told what happened."),
    ("Keys", "The API keys of the tenant, with a key that may manage."),
    ("Plugins", "What stands between: components that see events and messages on their way."),
    ("Admin", "Tenants and their devices, as the operator makes them."),
    ("Public", "No key is asked for."),
];

pub(super) fn about() -> OpenApi {
    let info = InfoBuilder::new().title("Rijan").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT)).build();
    let tags = TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    OpenApiBuilder::new().info(info).tags(Some(tags)).build()
}

/// The refusals that routes of a kind share: HTTP status, name in the document, what it means.
const REFUSALS: [(&str, &str, &str); 13] = [
    ("400", "BadRequest", "A field needs correction; `details` names every one of them."),
    ("401", "NoKey", "The key is missing or not valid."),
    ("403", "Forbidden", "The key lacks the scope for this, or the tenant is suspended."),
    ("404", "NotFound", "There is no such thing, or it belongs to another tenant."),
    ("409", "Refusal", "The state does not allow it; the code says why."),
    ("413", "TooLarge", "The body is larger than this server accepts."),
    ("415", "NotJson", "The body is not of the kind that the route takes: JSON, or a form for an upload."),
    ("422", "PluginRejected", "A plugin of the tenant rejects the message; `details` says which, and why."),
    ("429", "RateLimited", "A rate limit was reached; `Retry-After` gives the seconds to wait."),
    ("500", "Internal", "Something failed on our side; the request id names it in the log."),
    ("501", "NotSupported", "The client library has no call for it; docs/capabilities.md names what is missing."),
    ("503", "Overloaded", "The server is stopping or cannot take more now."),
    ("504", "Timeout", "It took too long."),
];

/// A refusal that a handler names itself.
pub(super) struct Refusal;

impl<'r> ToResponse<'r> for Refusal {
    fn response() -> (&'r str, RefOr<Response>) {
        ("Refusal", refusal("The state does not allow it; the code says why.").into())
    }
}

/// A name in the path that does not read as what it names.
pub(super) struct Unfit;

impl<'r> ToResponse<'r> for Unfit {
    fn response() -> (&'r str, RefOr<Response>) {
        ("BadRequest", refusal("A field needs correction; `details` names every one of them.").into())
    }
}

/// Something that the body names is not there.
pub(super) struct Missing;

impl<'r> ToResponse<'r> for Missing {
    fn response() -> (&'r str, RefOr<Response>) {
        ("NotFound", refusal("There is no such thing, or it belongs to another tenant.").into())
    }
}

/// The client library has no call for it.
pub(super) struct NotSupported;

impl<'r> ToResponse<'r> for NotSupported {
    fn response() -> (&'r str, RefOr<Response>) {
        (
            "NotSupported",
            refusal("The client library has no call for it; docs/capabilities.md names what is missing.").into(),
        )
    }
}

fn refusal(about: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name()))).build();
    ResponseBuilder::new().description(about).content("application/json", content).build()
}

const TENANT_KEY: [&str; 2] = ["bearer", "apiKey"];
const MASTER_KEY: &str = "masterKey";

pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    let mut schemas = vec![(ErrorBody::name().into_owned(), ErrorBody::schema())];
    ErrorBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for (_, name, about) in REFUSALS {
        components.responses.insert(name.to_owned(), refusal(about).into());
    }
    let in_header = |name: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(name)));
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.add_security_scheme("apiKey", in_header("X-API-Key"));
    components.add_security_scheme(MASTER_KEY, in_header("X-Master-Key"));
    for (path, item) in &mut document.paths.paths {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten();
        for operation in operations {
            complete_operation(path, operation);
        }
    }
    bodies::complete(&mut document);
    document
}

/// What an answer is called that its handler says nothing of.
fn described(status: &str) -> &'static str {
    match status {
        "101" => "The connection is a WebSocket now.",
        "201" => "Made.",
        "204" => "Done; there is nothing to tell.",
        _ => "Done.",
    }
}

fn named(path: &str, name: &str) -> String {
    if path.starts_with("/admin") && name == "tenant" {
        return "The id of the tenant, or its slug.".to_owned();
    }
    format!("The id of the {name}.")
}

fn complete_operation(path: &str, operation: &mut Operation) {
    let names: Vec<&str> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
    let takes_body = operation.request_body.is_some();
    let has_tag = |tag: &str| operation.tags.iter().flatten().any(|one| one == tag);
    let is_message = path.contains("/messages/") && has_tag("Messages");
    let is_post = has_tag("Status") && !path.ends_with("/view");
    let (sends, public) = (takes_body && (is_message || is_post), has_tag("Public"));
    let takes_query = operation.parameters.iter().flatten().next().is_some();
    for name in &names {
        let parameter = ParameterBuilder::new()
            .name(*name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(named(path, name)))
            .schema(Some(ObjectBuilder::new().schema_type(schema::Type::String)))
            .build();
        operation.parameters.get_or_insert_default().push(parameter.into());
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = described(status).to_owned();
        }
    }
    let mut refuse = |status: &str| {
        if let Some((_, name, _)) = REFUSALS.iter().find(|(of, _, _)| *of == status) {
            let responses = &mut operation.responses.responses;
            responses.entry(status.to_owned()).or_insert_with(|| Ref::from_response_name(*name).into());
        }
    };
    ["429", "500", "503", "504"].into_iter().for_each(&mut refuse);
    if takes_body || takes_query {
        refuse("400");
    }
    if takes_body {
        ["413", "415"].into_iter().for_each(&mut refuse);
    }
    if sends {
        refuse("422");
    }
    if !names.is_empty() {
        refuse("404");
    }
    if public {
        // Where the operator asks for a token.
        if path == "/metrics" {
            refuse("401");
        }
        return;
    }
    refuse("401");
    let key = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    operation.security = Some(if path.starts_with("/admin") {
        vec![key(MASTER_KEY)]
    } else {
        refuse("403");
        TENANT_KEY.iter().map(|name| key(name)).collect()
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The file is what clients are generated from: this test rewrites it and fails when it was not up to date.
    #[test]
    fn the_document_in_docs_is_the_one_that_is_served() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
        let now = format!("{}\n", super::super::document().to_pretty_json().expect("it can be written"));
        let before = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::write(&file, &now).expect("docs/ can be written");
        assert!(before == now, "docs/openapi.json was out of date; it is rewritten now, look at the difference");
    }
}
