// Package collector runs Go's garbage collector when nothing of the host is under way.
//
// A cycle that ends while the host is copying arguments in (cabi_realloc) reads the clock, which a component may not do
// at that moment: it traps with "cannot leave component instance", after some thousands of calls on one instance. So the
// automatic collector is off, and a cycle runs inside a hook: every CALLS_PER_CYCLE calls, and whenever a call has
// brought BYTES_PER_CYCLE in.
package collector

import (
	"runtime"
	"runtime/debug"
)

const (
	callsPerCycle = 256
	bytesPerCycle = 8 << 20
)

var calls, bytes int

func init() { debug.SetGCPercent(-1) }

// Enter begins every hook.
func Enter() {
	if calls++; calls >= callsPerCycle {
		collect()
	}
}

// Received counts what an import has brought in.
func Received(size int) {
	if bytes += size; bytes >= bytesPerCycle {
		collect()
	}
}

func collect() {
	calls, bytes = 0, 0
	runtime.GC()
}
