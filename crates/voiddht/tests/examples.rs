//! The examples run, on real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, unreachable_pub, reason = "each example is a program too")]

#[path = "../examples/host_metrics.rs"]
mod host_metrics;
#[path = "../examples/own_storage.rs"]
mod own_storage;
#[path = "../examples/signed_value.rs"]
mod signed_value;
#[path = "../examples/two_nodes.rs"]
mod two_nodes;

#[tokio::test]
async fn two_nodes_share_a_value() {
    two_nodes::run().await.unwrap();
}

#[tokio::test]
async fn values_survive_a_restart_in_own_storage() {
    own_storage::run().await.unwrap();
}

#[tokio::test]
async fn a_signed_value_is_replaced_by_its_owner_only() {
    signed_value::run().await.unwrap();
}

#[tokio::test]
async fn metrics_are_in_the_registry_of_the_host() {
    host_metrics::run().await.unwrap();
}
