// Package media reads the bytes of stored media.
package media

import (
	"errors"
	"io"

	"rijan/plugin"
	generated "rijan/plugin/bindings/imports/rijan_plugin_media"
	"rijan/plugin/internal/collector"
)

const chunkBytes = 1 << 20

// Open gives a reader over media. The first read may download it.
func Open(handle string) io.Reader { return &reader{handle: handle} }

type reader struct {
	handle string
	offset uint64
}

func (r *reader) Read(into []byte) (int, error) {
	result := generated.Read(r.handle, r.offset, uint32(min(len(into), chunkBytes)))
	if result.IsErr() {
		return 0, told(result.Err())
	}
	chunk := result.Ok()
	if len(chunk) == 0 && len(into) > 0 {
		return 0, io.EOF
	}
	r.offset += uint64(len(chunk))
	read := copy(into, chunk)
	collector.Received(len(chunk))
	return read, nil
}

// ErrNotFound says that there is no such media, or no longer.
var ErrNotFound = errors.New("media: not found")

func told(err generated.Error) error {
	switch err.Tag() {
	case generated.Error_NotFound:
		return ErrNotFound
	case generated.Error_Denied:
		return plugin.Permanent("media: denied")
	default:
		return plugin.Temporary("media: " + err.Unavailable())
	}
}
