//! The body of a delivery, as a plugin shapes it. Made once; every attempt sends the same bytes.

use super::run::Run;
use super::shadow::What;
use super::{Pipeline, chat_of};
use crate::domain::aftermath::Aftermath;
use crate::domain::delivery::{Form, Shape};
use crate::domain::event::Event;
use crate::plugins::bindings::types::Blob;
use crate::plugins::bindings::webhook::{self, WebhookRef};
use crate::plugins::convert;
use crate::plugins::instance::{Answer, Ask, Failure};
use crate::plugins::manifest::Hook;
use crate::plugins::settings::WebhookError;
use crate::plugins::state::Document;
use http::{HeaderName, HeaderValue};
use serde_json::json;
use std::time::Duration;

const METHODS: [&str; 3] = ["POST", "PUT", "PATCH"];
const HEADERS_MAX: usize = 32;
const BODY_BYTES_MAX: usize = 1 << 20;
const WAIT_MS: u64 = 1_000;
const WAIT_MS_MAX: u64 = 300_000;
/// Headers of the way and of the caller; a plugin sets none of them.
const RESERVED: [&str; 14] = [
    "host",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "authorization",
    "cookie",
    "expect",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Formatted {
    Form(Form),
    /// No delivery of this event to this webhook.
    Skip,
    /// Nothing is sent: to the dead letter queue, with this reason.
    Park(String),
    /// A plugin asked for time. Nothing of this run is kept.
    Later(Duration),
}

impl Pipeline {
    /// Asks the plugin that shapes this webhook's bodies. A plugin that is not there shapes nothing: that is a failure,
    /// because the receiver expects another form.
    pub async fn format(
        &self,
        plugin: &str,
        event: &Event,
        webhook_id: &str,
        webhook_name: &str,
        last_try: bool,
    ) -> (Formatted, Aftermath) {
        let mut run = Run::new(event.id.as_str());
        let way = self.way(chat_of(event).as_deref());
        let watched = way.place_of(plugin).and_then(|place| {
            let (_, shadow) = way.shadow_at(place).filter(|(shadow, _)| shadow.has(Hook::Webhook))?;
            let (event, webhook_name) = (event.clone(), webhook_name.to_owned());
            let what = What::Format { event, webhook_id: webhook_id.to_owned(), webhook_name };
            Some(run.watch(shadow, &way.entries[place], what, webhook_id.to_owned()))
        });
        let formatted = way.shape(&mut run, plugin, event, webhook_id, webhook_name, last_try).await;
        if let Formatted::Later(_) = formatted {
            return (formatted, Aftermath::default());
        }
        if let Some(watched) = watched {
            run.watched(watched, way.shapes(plugin));
        }
        self.show_shadows(&mut run);
        (formatted, run.aftermath)
    }

    pub(super) async fn shape(
        &self,
        run: &mut Run,
        plugin: &str,
        event: &Event,
        webhook_id: &str,
        webhook_name: &str,
        last_try: bool,
    ) -> Formatted {
        let Some(entry) = self.entry(plugin).filter(|entry| entry.has(Hook::Webhook)) else {
            return Formatted::Park(no_such(plugin));
        };
        let seen = run.named(convert::event(event));
        let webhook = WebhookRef { id: webhook_id.to_owned(), name: webhook_name.to_owned() };
        let document = Document::new(event.data.clone());
        let told = run.ask(self, entry, Hook::Webhook, Ask::Format(&seen, &webhook), document).await;
        let (failure, took) = match told {
            Ok(told) => {
                let Answer::Format(said) = told.answer else { return Formatted::Form(Form::Default) };
                match shaped(said) {
                    Ok((formatted, decision)) => {
                        run.accept(entry, told.writes);
                        let detail = json!({ "webhook": webhook_id });
                        run.trace(self, entry, Hook::Webhook, decision, detail, told.took);
                        return formatted;
                    }
                    Err(failure) => {
                        run.refuse(self, entry, &failure);
                        (failure, told.took)
                    }
                }
            }
            Err((Failure::Temporary { retry_after_ms, .. }, _)) if !last_try => {
                let wait = retry_after_ms.unwrap_or(WAIT_MS).clamp(1, WAIT_MS_MAX);
                return Formatted::Later(Duration::from_millis(wait));
            }
            Err(failed) => failed,
        };
        match entry.settings.on_error.webhook {
            WebhookError::Default => {
                run.trace_failure(self, entry, Hook::Webhook, &failure, "default", took);
                Formatted::Form(Form::Default)
            }
            WebhookError::Park => {
                run.trace_failure(self, entry, Hook::Webhook, &failure, "park", took);
                Formatted::Park(format!("plugin {plugin:?} could not shape it: {failure}"))
            }
        }
    }
}

/// Why a webhook whose format names a plugin that is not there delivers nothing.
pub fn no_such(plugin: &str) -> String {
    format!("the webhook's format names the plugin {plugin:?}, which is not there or has no webhook hook")
}

fn shaped(said: webhook::Formatted) -> Result<(Formatted, &'static str), Failure> {
    let request = match said {
        webhook::Formatted::Default => return Ok((Formatted::Form(Form::Default), "default")),
        webhook::Formatted::Skip => return Ok((Formatted::Skip, "skip")),
        webhook::Formatted::Request(request) => request,
    };
    let refused = |why: String| Failure::refused(why);
    let method = request.method.unwrap_or_else(|| "POST".to_owned()).to_ascii_uppercase();
    if !METHODS.contains(&method.as_str()) {
        return Err(refused(format!("the method {method:?} is none of POST, PUT, PATCH")));
    }
    if HeaderValue::try_from(&request.content_type).is_err() || request.content_type.is_empty() {
        return Err(refused("the content type is not valid".to_owned()));
    }
    if request.headers.len() > HEADERS_MAX {
        return Err(refused(format!("more than {HEADERS_MAX} headers")));
    }
    let mut headers = Vec::with_capacity(request.headers.len());
    for field in request.headers {
        let name = field.name.to_ascii_lowercase();
        let reserved =
            RESERVED.contains(&name.as_str()) || name.starts_with("webhook-") || name.starts_with("x-rijan-");
        if reserved {
            return Err(refused(format!("the header {name:?} is the gateway's")));
        }
        if HeaderName::try_from(&name).is_err() || HeaderValue::try_from(&field.value).is_err() {
            return Err(refused(format!("the header {name:?} is not valid")));
        }
        headers.push((name, field.value));
    }
    let body = match request.body {
        Blob::Text(text) => text.into_bytes(),
        Blob::Bytes(bytes) => bytes,
    };
    if body.len() > BODY_BYTES_MAX {
        return Err(refused(format!("the body has more than {BODY_BYTES_MAX} bytes")));
    }
    let shape = Shape { method, content_type: request.content_type, headers };
    Ok((Formatted::Form(Form::Shaped { shape, body }), "request"))
}
