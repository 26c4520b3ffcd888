// Package inbound is the hook for every event that the manifest subscribes to, in order per chat, before it reaches
// webhooks.
package inbound

import (
	"rijan/plugin"
	generated "rijan/plugin/bindings/imports/rijan_plugin_inbound"
	types "rijan/plugin/bindings/imports/rijan_plugin_types"
	"rijan/plugin/internal/collector"
	wit "rijan/plugin/wit/types"
)

type (
	Outcome = generated.Outcome
	Verdict = generated.Verdict
	Patch   = generated.Patch
	Effect  = generated.Effect
)

// Effects: nothing has happened when the hook returns; they commit with the event.
var (
	// Send sends another message.
	Send = generated.MakeEffectSend
	// Forward sends the event's message on to a phone number, contact id or JID.
	Forward = generated.MakeEffectForward
	// React puts an emoji on the event's message.
	React = generated.MakeEffectReact
	// MarkRead sends the read receipt.
	MarkRead = generated.MakeEffectMarkRead
)

// Reply answers to the same chat, quoting the message.
func Reply(text string) Effect { return generated.MakeEffectReply(plugin.Text(text)) }

// ReplyWith is Reply with something other than text.
func ReplyWith(content plugin.Sendable) Effect { return generated.MakeEffectReply(content) }

// Route delivers this event only to webhooks of these names.
func Route(webhooks ...string) Effect { return generated.MakeEffectRoute(webhooks) }

// Pass lets the event go on as it is.
func Pass(effects ...Effect) Outcome {
	return Outcome{Verdict: generated.MakeVerdictPass(), Effects: effects}
}

// Patched lets the event go on changed.
func Patched(patch Patch, effects ...Effect) Outcome {
	return Outcome{Verdict: generated.MakeVerdictPatch(patch), Effects: effects}
}

// Drop keeps the event with this reason; it goes no further.
func Drop(why string, effects ...Effect) Outcome {
	return Outcome{Verdict: generated.MakeVerdictDrop(why), Effects: effects}
}

var handler func(plugin.Event) (Outcome, error)

// Handle names the hook.
//
//go:noinline
func Handle(onEvent func(event plugin.Event) (Outcome, error)) { handler = onEvent }

// Call is for the exported function.
func Call(event plugin.Event) wit.Result[Outcome, types.PluginError] {
	collector.Enter()
	if handler == nil {
		return plugin.Result(Outcome{}, plugin.Permanent("inbound.Handle was not called"))
	}
	return plugin.Result(handler(event))
}
