//! The allocator of the programs: mimalloc. A program that names this crate has it.
//!
//! mimalloc 3 gives a freed page back to the system a second later, but looks at the time only when the
//! same thread allocates or frees something else: after a burst of values has expired, a node without
//! work would keep what they took up for good. So the programs have it give pages back at once, which
//! costs a call of the kernel for each 64 KiB that have become free together.

use std::env;
use std::ffi::c_int;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3, which the bindings do not name. That it is the right one is
/// what this crate's test shows.
const PURGE_DELAY: c_int = 15;

/// Has freed memory given back to the system at once, unless the environment has another
/// `MIMALLOC_PURGE_DELAY` (in milliseconds). For the first line of `main`: it is meant for a program that
/// has no other thread yet.
pub fn give_back_freed_memory() {
    if env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
        return;
    }
    #[expect(unsafe_code, reason = "an option of mimalloc, which no library wraps")]
    // SAFETY: it checks the index, and stores one word in mimalloc's own table, without a lock, as
    // mimalloc does itself when a thread first reads an option. Either value is one that it works with.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 0);
    }
}
