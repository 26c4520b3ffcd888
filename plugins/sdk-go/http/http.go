// Package http fetches at once, and only from hosts that the manifest and the tenant both name.
package http

import (
	"fmt"
	"time"

	"rijan/plugin"
	generated "rijan/plugin/bindings/imports/rijan_plugin_http"
	"rijan/plugin/internal/collector"
	wit "rijan/plugin/wit/types"
)

// Request is what to fetch. Method is GET when empty; Timeout is the gateway's when zero.
type Request struct {
	Method  string
	URL     string
	Headers []plugin.Field
	Body    []byte
	Timeout time.Duration
}

// Response is what came back.
type Response struct {
	Status  int
	Headers []plugin.Field
	Body    []byte
}

// IdempotencyKey is the key that the next Fetch of this call carries; a repeated call repeats it.
func IdempotencyKey() string { return generated.IdempotencyKey() }

// Fetch acts at once and is not undone.
func Fetch(request Request) (Response, error) {
	asked := generated.Request{Method: request.Method, Url: request.URL, Headers: request.Headers}
	if asked.Method == "" {
		asked.Method = "GET"
	}
	if request.Body != nil {
		asked.Body = plugin.Some(plugin.BytesBlob(request.Body))
	}
	if request.Timeout > 0 {
		asked.TimeoutMs = wit.Some(uint32(request.Timeout.Milliseconds()))
	}
	result := generated.Fetch(asked)
	if result.IsErr() {
		return Response{}, told(result.Err())
	}
	response := result.Ok()
	body := []byte(nil)
	if response.Body.Tag() == plugin.BlobText {
		body = []byte(response.Body.Text())
	} else {
		body = response.Body.Bytes()
	}
	collector.Received(len(body))
	return Response{Status: int(response.Status), Headers: response.Headers, Body: body}, nil
}

func told(err generated.Error) error {
	switch err.Tag() {
	case generated.Error_Denied:
		return plugin.Permanent("http: denied: " + err.Denied())
	case generated.Error_Invalid:
		return plugin.Permanent("http: invalid: " + err.Invalid())
	case generated.Error_TooLarge:
		return plugin.Permanent(fmt.Sprintf("http: the answer is larger than %d bytes", err.TooLarge()))
	case generated.Error_Timeout:
		return plugin.Temporary("http: timeout")
	case generated.Error_RateLimited:
		return plugin.Temporary("http: rate limited")
	default:
		return plugin.Temporary("http: " + err.Network())
	}
}
