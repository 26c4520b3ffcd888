// Package scheduled is the hook for the schedules of the manifest.
package scheduled

import (
	"time"

	"rijan/plugin"
	generated "rijan/plugin/bindings/imports/rijan_plugin_scheduled"
	types "rijan/plugin/bindings/imports/rijan_plugin_types"
	"rijan/plugin/internal/collector"
	wit "rijan/plugin/wit/types"
)

type Effect = generated.Effect

// Send sends a message.
var Send = generated.MakeEffectSend

var handler func(name string, scheduledFor, now time.Time) ([]Effect, error)

// Handle names the hook. A tick that did not commit comes again with the same scheduledFor.
//
//go:noinline
func Handle(tick func(name string, scheduledFor, now time.Time) ([]Effect, error)) { handler = tick }

// Call is for the exported function.
func Call(name string, scheduledFor, now uint64) wit.Result[[]Effect, types.PluginError] {
	collector.Enter()
	if handler == nil {
		return plugin.Result[[]Effect](nil, plugin.Permanent("scheduled.Handle was not called"))
	}
	return plugin.Result(handler(name, time.UnixMilli(int64(scheduledFor)).UTC(), time.UnixMilli(int64(now)).UTC()))
}
