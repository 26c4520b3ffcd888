// Package export_rijan_plugin_inbound is called by the generated export.
package export_rijan_plugin_inbound

import "rijan/plugin/inbound"

var OnEvent = inbound.Call
