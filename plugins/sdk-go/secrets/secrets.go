// Package secrets gives values that the tenant grants by name.
package secrets

import (
	"rijan/plugin"
	generated "rijan/plugin/bindings/imports/rijan_plugin_secrets"
)

// Get gives a secret of the manifest's wants.secrets.
func Get(name string) (string, error) {
	result := generated.Get(name)
	if result.IsOk() {
		return result.Ok(), nil
	}
	switch result.Err() {
	case generated.Error_NotGranted:
		return "", plugin.Permanent("secrets: " + name + " is not granted")
	case generated.Error_NotSet:
		return "", plugin.Permanent("secrets: " + name + " is not set")
	default:
		return "", plugin.Temporary("secrets: unavailable")
	}
}
