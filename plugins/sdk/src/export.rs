//! `export!`: what makes a type the plugin that the component is.

/// `export!(MyPlugin: inbound, scheduled)`, or with a configuration `export!(MyPlugin: config, inbound)`.
///
/// Once per crate. The instance is made at the first call, or from the configuration before it.
#[macro_export]
macro_rules! export {
    ($plugin:ty: config $(, $hook:ident)+ $(,)?) => {
        const _: () = {
            static PLUGIN: ::std::sync::OnceLock<$plugin> = ::std::sync::OnceLock::new();

            struct Exports;

            impl Exports {
                fn plugin() -> $crate::Result<&'static $plugin> {
                    PLUGIN.get().ok_or_else(|| $crate::PluginError::permanent("a hook was called before init"))
                }
            }

            impl $crate::bindings::lifecycle::exports::rijan::plugin::lifecycle::Guest for Exports {
                fn init(config: $crate::Json) -> $crate::Result<()> {
                    let plugin = <$plugin as $crate::FromConfig>::from_config(&config)?;
                    PLUGIN.set(plugin).map_err(|_| $crate::PluginError::permanent("init was called twice"))
                }
            }
            $crate::bindings::lifecycle::__export_lifecycle!(Exports);
            $($crate::__export_hook!($hook, Exports);)+
        };
    };
    ($plugin:ty: $($hook:ident),+ $(,)?) => {
        const _: () = {
            static PLUGIN: ::std::sync::OnceLock<$plugin> = ::std::sync::OnceLock::new();

            struct Exports;

            impl Exports {
                fn plugin() -> $crate::Result<&'static $plugin> {
                    Ok(PLUGIN.get_or_init(<$plugin as ::std::default::Default>::default))
                }
            }

            $($crate::__export_hook!($hook, Exports);)+
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (inbound, $exports:ident) => {
        impl $crate::bindings::inbound::exports::rijan::plugin::inbound::Guest for $exports {
            fn on_event(event: $crate::Event) -> $crate::Result<$crate::inbound::Outcome> {
                $crate::Inbound::on_event($exports::plugin()?, event)
            }
        }
        $crate::bindings::inbound::__export_inbound!($exports);
    };
    (outbound, $exports:ident) => {
        impl $crate::bindings::outbound::exports::rijan::plugin::outbound::Guest for $exports {
            fn on_send(message: $crate::outbound::Message) -> $crate::Result<$crate::outbound::Verdict> {
                $crate::Outbound::on_send($exports::plugin()?, message)
            }
        }
        $crate::bindings::outbound::__export_outbound!($exports);
    };
    (webhook, $exports:ident) => {
        impl $crate::bindings::webhook::exports::rijan::plugin::webhook::Guest for $exports {
            fn format(
                event: $crate::Event,
                webhook: $crate::webhook::WebhookRef,
            ) -> $crate::Result<$crate::webhook::Formatted> {
                $crate::Webhook::format($exports::plugin()?, event, webhook)
            }
        }
        $crate::bindings::webhook::__export_webhook!($exports);
    };
    (scheduled, $exports:ident) => {
        impl $crate::bindings::scheduled::exports::rijan::plugin::scheduled::Guest for $exports {
            fn tick(
                name: ::std::string::String,
                scheduled_for: $crate::Millis,
                now: $crate::Millis,
            ) -> $crate::Result<::std::vec::Vec<$crate::scheduled::Effect>> {
                $crate::Scheduled::tick($exports::plugin()?, &name, scheduled_for, now)
            }
        }
        $crate::bindings::scheduled::__export_scheduled!($exports);
    };
    ($other:ident, $exports:ident) => {
        compile_error!(concat!(
            "`",
            stringify!($other),
            "` is no hook: use inbound, outbound, webhook, scheduled, and config before them"
        ));
    };
}
