// Package outbound is the hook for every message before it is accepted. It runs inside the caller's request.
package outbound

import (
	"rijan/plugin"
	generated "rijan/plugin/bindings/imports/rijan_plugin_outbound"
	types "rijan/plugin/bindings/imports/rijan_plugin_types"
	"rijan/plugin/internal/collector"
	wit "rijan/plugin/wit/types"
)

type (
	Message = generated.Message
	Verdict = generated.Verdict
	Patch   = generated.Patch
	Origin  = generated.Origin
	Kind    = generated.Kind
)

// The cases of Origin and Kind.
const (
	OriginAPI       = generated.Origin_Api
	OriginBulk      = generated.Origin_Bulk
	OriginScheduled = generated.Origin_Scheduled
	OriginPlugin    = generated.Origin_Plugin
	OriginOther     = generated.Origin_Other

	KindNew     = generated.Kind_New
	KindEdit    = generated.Kind_Edit
	KindDelete  = generated.Kind_Delete
	KindForward = generated.Kind_Forward
)

// Pass accepts the message as it is.
func Pass() Verdict { return generated.MakeVerdictPass() }

// Patched accepts it changed.
func Patched(patch Patch) Verdict { return generated.MakeVerdictPatch(patch) }

// Reject refuses it: the caller gets a 422 with this code for programs and this message for people.
func Reject(code, message string) Verdict {
	return generated.MakeVerdictReject(generated.Rejection{Code: code, Message: message})
}

var handler func(Message) (Verdict, error)

// Handle names the hook.
//
//go:noinline
func Handle(onSend func(message Message) (Verdict, error)) { handler = onSend }

// Call is for the exported function.
func Call(message Message) wit.Result[Verdict, types.PluginError] {
	collector.Enter()
	if handler == nil {
		return plugin.Result(Verdict{}, plugin.Permanent("outbound.Handle was not called"))
	}
	return plugin.Result(handler(message))
}
