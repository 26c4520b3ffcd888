//! What the generated bindings call at run time. On `wasm32-wasip2` the allocator entry `cabi_realloc` comes with the
//! standard library.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{NonNull, null_mut};

/// Keeps the section that describes the imports in the link.
pub fn maybe_link_cabi_realloc() {}

/// Runs the static constructors before the first exported call, and only then.
#[cfg(target_arch = "wasm32")]
pub fn run_ctors_once() {
    use std::sync::Once;
    static ONCE: Once = Once::new();
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the linker makes this function of the module's constructors; it may run once, and `Once` sees to that.
    ONCE.call_once(|| unsafe { __wasm_call_ctors() });
}

/// Memory of arguments that are on their way to the host; freed when dropped.
pub struct Cleanup {
    start: NonNull<u8>,
    layout: Layout,
}

impl Cleanup {
    pub fn new(layout: Layout) -> (*mut u8, Option<Self>) {
        if layout.size() == 0 {
            return (null_mut(), None);
        }
        // SAFETY: the layout is not of size zero.
        match NonNull::new(unsafe { alloc(layout) }) {
            Some(start) => (start.as_ptr(), Some(Self { start, layout })),
            None => handle_alloc_error(layout),
        }
    }

    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed nowhere else.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
