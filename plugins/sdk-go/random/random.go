// Package random gives numbers that cannot be foretold.
package random

import generated "rijan/plugin/bindings/imports/rijan_plugin_random"

// Next gives 32 random bits.
func Next() uint32 { return generated.Next() }

// Bytes gives at most 64 KiB.
func Bytes(length uint32) []byte { return generated.Bytes(length) }
