//! Any sequence of inputs, fed to a node: the runs and the rules of the core's own tests.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/core/tests/any_input"]
mod any_input {
    pub(crate) mod rules;
    pub(crate) mod step;
    pub(crate) mod universe;
    pub(crate) mod world;
}

fuzz_target!(|data: &[u8]| {
    any_input::world::run(data, false);
});
