// Answers "ping" with "pong".
package main

import (
	"strings"

	"rijan/plugin"
	_ "rijan/plugin/export" // makes this program a plugin
	"rijan/plugin/inbound"
	"rijan/plugin/log"
)

// One Handle per hook; rijan-plugin.toml names the same ones.
func init() { inbound.Handle(onEvent) }

func onEvent(event plugin.Event) (inbound.Outcome, error) {
	if strings.EqualFold(strings.TrimSpace(plugin.TextOf(event)), "ping") {
		log.Info("answered a ping", "event", event.Id)
		// Effects happen when the gateway commits the event, not before.
		return inbound.Pass(inbound.Reply("pong")), nil
	}
	return inbound.Pass(), nil
}

// A plugin is called by its hooks; main never runs. Go's collector runs between calls: rijan/plugin sees to it.
func main() {}
