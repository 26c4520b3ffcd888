// Package webhook is the hook that writes the body of a delivery, for webhooks whose format names this plugin.
package webhook

import (
	"rijan/plugin"
	types "rijan/plugin/bindings/imports/rijan_plugin_types"
	generated "rijan/plugin/bindings/imports/rijan_plugin_webhook"
	"rijan/plugin/internal/collector"
	wit "rijan/plugin/wit/types"
)

type (
	Webhook   = generated.WebhookRef
	Request   = generated.Request
	Formatted = generated.Formatted
)

// Default leaves the gateway's own body.
func Default() Formatted { return generated.MakeFormattedDefault() }

// Skip makes no delivery of this event to this webhook.
func Skip() Formatted { return generated.MakeFormattedSkip() }

// JSON posts this document.
func JSON(document []byte) Formatted {
	return With(Request{ContentType: "application/json", Body: plugin.TextBlob(string(document))})
}

// With delivers this request.
func With(request Request) Formatted { return generated.MakeFormattedRequest(request) }

var handler func(plugin.Event, Webhook) (Formatted, error)

// Handle names the hook.
//
//go:noinline
func Handle(format func(event plugin.Event, webhook Webhook) (Formatted, error)) { handler = format }

// Call is for the exported function.
func Call(event plugin.Event, webhook Webhook) wit.Result[Formatted, types.PluginError] {
	collector.Enter()
	if handler == nil {
		return plugin.Result(Formatted{}, plugin.Permanent("webhook.Handle was not called"))
	}
	return plugin.Result(handler(event, webhook))
}
