//! What is shipped for orchestrators names options that exist: a variable that no option reads is
//! ignored without a word.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use voiddht_cli::arguments;
use voiddht_cli::server::args::Arguments;

/// Files that set variables of a node, from the repository's root.
const FILES: [&str; 7] = [
    "docker/Dockerfile",
    "docker/compose.yaml",
    "docker/compose.private.yaml",
    "docker/stack.private.yaml",
    "packaging/kubernetes/statefulset.yaml",
    "packaging/kubernetes-private/network-secret.yaml",
    "packaging/private-network.conf",
];
/// Read by docker/stack.yaml and docker/stack.private.yaml themselves.
const NOT_OF_THE_NODE: [&str; 2] = ["VOIDDHT_IMAGE", "VOIDDHT_SECRET"];

#[test]
fn every_variable_that_is_set_for_a_node_is_read_by_it() {
    let command = arguments::command::<Arguments>();
    let known: BTreeSet<_> = command
        .get_arguments()
        .filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()))
        .collect();
    assert!(known.contains("VOIDDHT_PEER"), "{known:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for file in FILES {
        let text = fs::read_to_string(root.join(file)).expect(file);
        let words = text.split(|one: char| !(one.is_ascii_uppercase() || one == '_'));
        let named: BTreeSet<_> = words.filter(|word| word.starts_with("VOIDDHT_")).collect();
        assert!(!named.is_empty(), "{file}");
        for name in named.into_iter().filter(|name| !NOT_OF_THE_NODE.contains(name)) {
            assert!(known.contains(name), "{file} sets {name}");
        }
    }
}
