// Package runtime gives the server memory of this component to put values into.
package runtime

import (
	"runtime"
	"unsafe"
)

// What the server has put here stays until the hook has read it.
var arguments runtime.Pinner

// Unpin lets go of what the server had put here for a hook.
func Unpin() { arguments.Unpin() }

// Allocate gives memory that stays where it is until the pinner lets go of it.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	// Words of eight octets fit every alignment there is.
	pointer := unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	pinner.Pin(pointer)
	return pointer
}

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if old != nil || oldSize != 0 {
		panic("nothing is ever reallocated here")
	}
	return Allocate(&arguments, size, align)
}
