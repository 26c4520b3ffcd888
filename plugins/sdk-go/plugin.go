// Package plugin is what the hooks and imports of a Rijan plugin have in common: what is received, what can be sent,
// and the errors that say "I could not decide".
//
// A plugin is a main package that hands its hooks over in an init function, with an empty main:
//
//	import (
//		"rijan/plugin"
//		_ "rijan/plugin/export" // makes this program a plugin
//		"rijan/plugin/inbound"
//	)
//
//	func init() { inbound.Handle(onEvent) }
//
//	func onEvent(event plugin.Event) (inbound.Outcome, error) { return inbound.Pass(), nil }
//
//	func main() {}
package plugin

import (
	"errors"

	types "rijan/plugin/bindings/imports/rijan_plugin_types"
	wit "rijan/plugin/wit/types"
)

// What was received, and what can be sent. A variant (Content, Sendable, Blob, MediaSource) has Tag(), to compare with
// the constants below, and a method per case.
type (
	Event         = types.Event
	Content       = types.Content
	Sender        = types.Sender
	Chat          = types.Chat
	Quoted        = types.Quoted
	Media         = types.Media
	Location      = types.Location
	Poll          = types.Poll
	ContactCard   = types.ContactCard
	Sendable      = types.Sendable
	OutboundMedia = types.OutboundMedia
	MediaSource   = types.MediaSource
	Template      = types.Template
	NewMessage    = types.NewMessage
	Field         = types.Field
	Blob          = types.Blob
	NamedJSON     = types.NamedJson
)

// The cases of Content, Sendable and Blob.
const (
	ContentText             = types.Content_Text
	ContentMedia            = types.Content_Media
	ContentLocation         = types.Content_Location
	ContentReaction         = types.Content_Reaction
	ContentPoll             = types.Content_Poll
	ContentContacts         = types.Content_Contacts
	ContentInteractiveReply = types.Content_InteractiveReply
	ContentOther            = types.Content_Other

	SendableText     = types.Sendable_Text
	SendableMedia    = types.Sendable_Media
	SendableLocation = types.Sendable_Location
	SendableContacts = types.Sendable_Contacts
	SendableReaction = types.Sendable_Reaction
	SendablePoll     = types.Sendable_Poll
	SendableTemplate = types.Sendable_Template
	SendableOther    = types.Sendable_Other

	BlobText  = types.Blob_Text
	BlobBytes = types.Blob_Bytes
)

// Makers of what is sent.
var (
	Text     = types.MakeSendableText
	SendFile = types.MakeSendableMedia
	FromURL  = types.MakeMediaSourceUrl
	FromFile = types.MakeMediaSourceHandle

	TextBlob  = types.MakeBlobText
	BytesBlob = types.MakeBlobBytes
)

// Some is an optional value that is there.
func Some[T any](value T) wit.Option[T] { return wit.Some(value) }

// None is an optional value that is not there; it is the zero value too.
func None[T any]() wit.Option[T] { return wit.None[T]() }

// TextOf gives the text of what was received, or the caption of media; empty when there is none.
func TextOf(event Event) string {
	if event.Content.IsNone() {
		return ""
	}
	switch content := event.Content.Some(); content.Tag() {
	case ContentText:
		return content.Text()
	case ContentMedia:
		return content.Media().Caption.SomeOr("")
	}
	return ""
}

// TextOfSendable gives the text of what is sent, or the caption of media; empty when there is none.
func TextOfSendable(content wit.Option[Sendable]) string {
	if content.IsNone() {
		return ""
	}
	switch content := content.Some(); content.Tag() {
	case SendableText:
		return content.Text()
	case SendableMedia:
		return content.Media().Caption.SomeOr("")
	}
	return ""
}

// Message is a message to this phone number, contact id or JID, from this device.
func Message(device, to string, content Sendable) NewMessage {
	return NewMessage{Device: device, To: to, Content: content}
}

// Error is a hook's "I could not decide". An error of another type counts as permanent.
type Error struct{ inner types.PluginError }

func (e Error) Error() string {
	switch e.inner.Tag() {
	case types.PluginError_BadConfig:
		return e.inner.BadConfig()
	case types.PluginError_Temporary:
		return e.inner.Temporary().Message
	default:
		return e.inner.Permanent()
	}
}

// BadConfig says that the configuration cannot work: a version that says so does not come to serve. Only for lifecycle.Handle.
func BadConfig(message string) error { return Error{types.MakePluginErrorBadConfig(message)} }

// Temporary asks for another attempt, after the gateway's own pause.
func Temporary(message string) error {
	return Error{types.MakePluginErrorTemporary(types.TemporaryError{Message: message})}
}

// TemporaryAfter asks for another attempt after this many milliseconds.
func TemporaryAfter(message string, milliseconds uint64) error {
	return Error{types.MakePluginErrorTemporary(types.TemporaryError{Message: message, RetryAfterMs: Some(milliseconds)})}
}

// Permanent says that no other attempt would end better.
func Permanent(message string) error { return Error{types.MakePluginErrorPermanent(message)} }

// Result is what the exported functions give back; the hook packages use it.
func Result[T any](value T, err error) wit.Result[T, types.PluginError] {
	if err == nil {
		return wit.Ok[T, types.PluginError](value)
	}
	var told Error
	if errors.As(err, &told) {
		return wit.Err[T](told.inner)
	}
	return wit.Err[T](types.MakePluginErrorPermanent(err.Error()))
}
