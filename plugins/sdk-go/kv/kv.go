// Package kv keeps durable values of this tenant and this plugin. Writes commit with the decision of the call, or not
// at all; a call reads its own writes.
package kv

import (
	"fmt"
	"time"

	"rijan/plugin"
	generated "rijan/plugin/bindings/imports/rijan_plugin_kv"
	wit "rijan/plugin/wit/types"
)

// Forever keeps a value until it is deleted.
const Forever time.Duration = 0

type (
	Entry = generated.Entry
	Page  = generated.Page
)

// Get gives the value and its version; ok is false when there is none.
func Get(key string) (entry Entry, ok bool, err error) {
	got, err := value(generated.Get(key))
	if err != nil || got.IsNone() {
		return Entry{}, false, err
	}
	return got.Some(), true, nil
}

// Text gives a value as text, empty when there is none.
func Text(key string) (string, error) {
	entry, ok, err := Get(key)
	if err != nil || !ok {
		return "", err
	}
	if entry.Value.Tag() == plugin.BlobBytes {
		return string(entry.Value.Bytes()), nil
	}
	return entry.Value.Text(), nil
}

// Set keeps a value for a time that counts from the commit.
func Set(key string, blob plugin.Blob, ttl time.Duration) error {
	_, err := value(generated.Set(key, blob, milliseconds(ttl)))
	return err
}

// SetText is Set with text.
func SetText(key, text string, ttl time.Duration) error { return Set(key, plugin.TextBlob(text), ttl) }

// Delete says whether there was one.
func Delete(key string) (bool, error) { return value(generated.Delete(key)) }

// CompareAndSet sets when the version is still the expected one; 0 means "must not exist".
func CompareAndSet(key string, expected uint64, blob plugin.Blob, ttl time.Duration) (bool, error) {
	return value(generated.Cas(key, expected, blob, milliseconds(ttl)))
}

// Increment adds, and gives the new value as this call sees it. A missing key counts as 0.
func Increment(key string, by int64, ttl time.Duration) (int64, error) {
	return value(generated.Increment(key, by, milliseconds(ttl)))
}

// Keys calls visit with every key that begins with prefix, in order, until it returns an error.
func Keys(prefix string, visit func(key string) error) error {
	cursor := plugin.None[string]()
	for {
		page, err := value(generated.ListKeys(prefix, cursor, 100))
		if err != nil {
			return err
		}
		for _, key := range page.Keys {
			if err := visit(key); err != nil {
				return err
			}
		}
		if cursor = page.Next; cursor.IsNone() {
			return nil
		}
	}
}

func milliseconds(ttl time.Duration) wit.Option[uint64] {
	if ttl == Forever {
		return plugin.None[uint64]()
	}
	return plugin.Some(uint64(ttl.Milliseconds()))
}

func value[T any](result wit.Result[T, generated.Error]) (T, error) {
	if result.IsOk() {
		return result.Ok(), nil
	}
	var none T
	return none, told(result.Err())
}

func told(err generated.Error) error {
	switch err.Tag() {
	case generated.Error_KeyTooLong:
		return plugin.Permanent(fmt.Sprintf("kv: the key is longer than %d bytes", err.KeyTooLong()))
	case generated.Error_ValueTooLarge:
		return plugin.Permanent(fmt.Sprintf("kv: the value is larger than %d bytes", err.ValueTooLarge()))
	case generated.Error_QuotaExceeded:
		return plugin.Permanent("kv: the quota is used up")
	case generated.Error_NotANumber:
		return plugin.Permanent("kv: the value is no whole number")
	case generated.Error_RateLimited:
		return plugin.Temporary("kv: rate limited")
	default:
		return plugin.Temporary("kv: " + err.Unavailable())
	}
}
