//! Kept values while nodes come and go; the long runs are in `examples/signed.rs`.

use voiddht_sim::kept::{costs, endurance};

#[test]
fn kept_values_stay_for_days_of_churn_and_end_with_unkeep() {
    let endured = endurance(24, 4, 1, 71).expect("the settings are checked");
    assert_eq!(endured.right, endured.gets, "{endured:?}");
    assert_eq!((endured.right_after, endured.lost), (0, 0), "{endured:?}");
    assert!(endured.sessions > 300, "{endured:?}");
}

#[test]
fn republishing_needs_few_lookups() {
    let costs = costs(60, 300, 72).expect("the settings are checked");
    assert_eq!((costs.put_lookups, costs.complete), (300, 300), "{costs:?}");
    assert!(costs.kept_lookups * 5 <= costs.put_lookups, "{costs:?}");
    assert!(costs.kept.bytes < costs.put.bytes, "{costs:?}");
}
