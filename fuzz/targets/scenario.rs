//! Scenario files of the simulator. One that is accepted has settings that a world can be made of;
//! a refusal says what is wrong.

#![no_main]

use libfuzzer_sys::fuzz_target;
use voiddht_sim::scenario::Plan;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    match Plan::parse("f", text) {
        Ok(plan) => {
            assert!(plan.jobs().count() > 0);
            for scenario in plan.points.iter().flat_map(|point| &point.rounds) {
                let scenario = &scenario.scenario;
                assert!(scenario.node.config().check().is_ok());
                let _ = scenario.network.config();
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
