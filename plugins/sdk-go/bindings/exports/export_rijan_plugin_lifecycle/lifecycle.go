// Package export_rijan_plugin_lifecycle is called by the generated export.
package export_rijan_plugin_lifecycle

import "rijan/plugin/lifecycle"

var Init = lifecycle.Call
