// Package export makes the program that imports it a plugin: it holds the functions that the gateway calls.
package export

import _ "rijan/plugin/bindings/exports/wit_exports"
