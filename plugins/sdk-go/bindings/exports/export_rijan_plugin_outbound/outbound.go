// Package export_rijan_plugin_outbound is called by the generated export.
package export_rijan_plugin_outbound

import "rijan/plugin/outbound"

var OnSend = outbound.Call
