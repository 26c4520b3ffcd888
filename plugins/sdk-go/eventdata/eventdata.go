// Package eventdata gives the detail behind the event of this call: the data of the webhook body.
package eventdata

import (
	"encoding/json"

	generated "rijan/plugin/bindings/imports/rijan_plugin_event_data"
)

// Get gives the whole document. Parsing it is what costs: prefer Find for a value or two.
func Get() []byte { return []byte(generated.Get()) }

// Find reads the value at a JSON Pointer, such as /sender/contactId, into a variable, and says whether there was one.
func Find(pointer string, into any) (bool, error) {
	found := generated.Find(pointer)
	if found.IsNone() {
		return false, nil
	}
	return true, json.Unmarshal([]byte(found.Some()), into)
}
