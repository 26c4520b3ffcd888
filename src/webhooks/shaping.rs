//! The form of a delivery whose webhook names a plugin: asked for once, before the first attempt, and kept.

use crate::domain::aftermath::Aftermath;
use crate::domain::delivery::Form;
use crate::domain::event::{Event, EventType};
use crate::plugins::Plugins;
use crate::plugins::pipeline::Formatted;
use crate::store::{DueDelivery, Store, StoreError};
use std::time::Duration;

/// How long after its event a plugin may ask for more time; then it has failed.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Times the plugin runs again because a value it relied on had changed.
const RERUNS_MAX: u32 = 20;

pub(super) enum Shaping {
    Form(Form),
    Parked(String),
    /// It waits, or is not wanted: there is no attempt now.
    NotNow,
}

pub(super) async fn form(store: &Store, plugins: &Plugins, delivery: &DueDelivery) -> Result<Shaping, StoreError> {
    let Some(plugin) = &delivery.webhook.format else { return Ok(Shaping::Form(Form::Default)) };
    if let Some(form) = &delivery.form {
        return Ok(Shaping::Form(form.clone()));
    }
    for _ in 0..RERUNS_MAX {
        let (formatted, aftermath) = asked(store, plugins, plugin, delivery).await;
        let kept = match &formatted {
            Formatted::Form(form) => store.keep_form(delivery, form.clone(), aftermath).await,
            Formatted::Skip => store.skip_delivery(delivery, aftermath).await,
            Formatted::Park(_) => store.commit_aftermath(&delivery.webhook.tenant, aftermath).await,
            Formatted::Later(wait) => {
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                store.postpone_delivery(delivery, store.clock().now_ms().saturating_add(wait)).await
            }
        };
        match kept {
            Err(StoreError::Moved) => continue,
            other => other?,
        }
        return Ok(match formatted {
            Formatted::Form(form) => Shaping::Form(form),
            Formatted::Skip | Formatted::Later(_) => Shaping::NotNow,
            Formatted::Park(reason) => Shaping::Parked(reason),
        });
    }
    store.postpone_delivery(delivery, store.clock().now_ms().saturating_add(1_000)).await?;
    Ok(Shaping::NotNow)
}

async fn asked(store: &Store, plugins: &Plugins, plugin: &str, delivery: &DueDelivery) -> (Formatted, Aftermath) {
    let (row, webhook) = (&delivery.event, &delivery.webhook);
    // An event of a newer version has a type that this one does not know: it goes out as it is.
    let Some(type_) = EventType::parse(&row.type_) else {
        return (Formatted::Form(Form::Default), Aftermath::default());
    };
    let Some(pipeline) = plugins.pipeline(&row.tenant) else {
        return (Formatted::Park(crate::plugins::pipeline::no_such(plugin)), Aftermath::default());
    };
    let event = Event {
        id: row.id.clone(),
        ..Event::new(row.tenant.clone(), row.device.clone(), type_, row.at, row.data.clone())
    };
    let patience = i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX);
    let last_try = store.clock().now_ms() > row.at.saturating_add(patience);
    let name = webhook.name.as_deref().unwrap_or_default();
    pipeline.format(plugin, &event, webhook.id.as_str(), name, last_try).await
}
