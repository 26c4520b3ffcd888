// Package clock tells the gateway's time.
package clock

import (
	"time"

	generated "rijan/plugin/bindings/imports/rijan_plugin_clock"
)

// Now is the gateway's time, which a test can set.
func Now() time.Time { return time.UnixMilli(int64(generated.Now())).UTC() }

// Monotonic only rises.
func Monotonic() time.Duration { return time.Duration(generated.Monotonic()) }
