// Package export_rijan_plugin_webhook is called by the generated export.
package export_rijan_plugin_webhook

import "rijan/plugin/webhook"

var Format = webhook.Call
