//! The contract of `wit/` as Rust types. Generated; the only place that names the generator.

wasmtime::component::bindgen!({
    path: "wit",
    world: "full-plugin",
    imports: {
        default: trappable,
        "rijan:plugin/kv": async | trappable,
        "rijan:plugin/http.fetch": async | trappable,
        "rijan:plugin/media.read": async | trappable,
    },
    exports: { default: async },
    additional_derives: [Clone, PartialEq],
});

pub(super) use self::exports::rijan::plugin::{inbound, lifecycle, outbound, scheduled, webhook};
pub(super) use self::rijan::plugin::{clock, event_data, http, kv, log, media, random, secrets, types};
