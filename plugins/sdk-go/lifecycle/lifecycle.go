// Package lifecycle is where the configuration arrives. A plugin has it when its manifest has a [config.schema].
package lifecycle

import (
	"rijan/plugin"
	types "rijan/plugin/bindings/imports/rijan_plugin_types"
	wit "rijan/plugin/wit/types"
)

var handler func(config []byte) error

// Handle names the function that takes the configuration, a JSON document that has passed the manifest's schema. It is
// called once, before any hook; kv and http are refused in it.
//
//go:noinline
func Handle(init func(config []byte) error) { handler = init }

// Call is for the exported function.
func Call(config string) wit.Result[wit.Unit, types.PluginError] {
	if handler == nil {
		return plugin.Result(wit.Unit{}, plugin.Permanent("lifecycle.Handle was not called"))
	}
	return plugin.Result(wit.Unit{}, handler([]byte(config)))
}
