// Package log keeps lines for the plugin's logs in the gateway.
package log

import (
	"fmt"

	"rijan/plugin"
	generated "rijan/plugin/bindings/imports/rijan_plugin_log"
)

// Debug, Info, Warn and Error take a message and pairs of name and value: log.Info("dropped", "event", event.Id).
func Debug(message string, pairs ...any) { generated.Log(generated.Level_Debug, message, fields(pairs)) }
func Info(message string, pairs ...any)  { generated.Log(generated.Level_Info, message, fields(pairs)) }
func Warn(message string, pairs ...any)  { generated.Log(generated.Level_Warn, message, fields(pairs)) }
func Error(message string, pairs ...any) { generated.Log(generated.Level_Error, message, fields(pairs)) }

func fields(pairs []any) []plugin.Field {
	fields := make([]plugin.Field, 0, len(pairs)/2)
	for at := 0; at+1 < len(pairs); at += 2 {
		fields = append(fields, plugin.Field{Name: fmt.Sprint(pairs[at]), Value: fmt.Sprint(pairs[at+1])})
	}
	return fields
}
