//! The laws of the core's parts, as its own tests have them: lookups, operations, votes, records.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/core/tests/laws"]
mod laws {
    pub(crate) mod lookup;
    pub(crate) mod operations;
    pub(crate) mod records;
    pub(crate) mod source;
    pub(crate) mod vote;
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    match choice % 6 {
        0 => laws::lookup::lookup(bytes),
        1 => laws::operations::get(bytes),
        2 => laws::operations::put(bytes),
        3 => laws::vote::vote(bytes),
        4 => laws::records::records(bytes),
        _ => laws::records::replicas_agree(bytes),
    }
});
