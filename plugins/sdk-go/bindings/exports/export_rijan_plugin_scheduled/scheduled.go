// Package export_rijan_plugin_scheduled is called by the generated export.
package export_rijan_plugin_scheduled

import "rijan/plugin/scheduled"

var Tick = scheduled.Call
