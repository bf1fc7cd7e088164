//! The private network: whether this node's secrets are those of the others, and if not, which step of
//! a rotation it has missed (docs/private-networks.md).
//!
//! A node without the new secret cannot open what moved nodes push, and refuses their proofs. One that
//! still has the old secret first is refused by nodes that have deleted it. One that still has it at
//! all has it for nothing.

use super::{Check, Findings, Grade};
use crate::snapshot::{NetworkView, SecretView};

/// Judges the membership; `None` in a public network.
pub(super) fn check(found: &Findings<'_>) -> Option<Check> {
    let network = found.snapshot.network.as_ref()?;
    let (first, others) = network.secrets.split_first()?;
    let total = first.connections + others.iter().map(|one| one.connections).sum::<usize>();
    let grade = if total == 0 { Grade::Failed } else { Grade::Warning };
    Some(
        missing(network, grade)
            .or_else(|| not_moved(network, first, others, grade))
            .unwrap_or_else(|| in_order(first, others, total)),
    )
}

fn say(result: Grade, text: String, advice: impl Into<String>) -> Check {
    Check::new("membership", result, text, advice)
}

/// Step 1: the secret of the others is not in the file.
fn missing(network: &NetworkView, grade: Grade) -> Option<Check> {
    let (unopened, wrong) = (network.recent_unopened_contacts, network.recent_wrong_proofs);
    if unopened == 0 {
        // Proofs alone may be an outsider's.
        return None;
    }
    let text = format!(
        "In the last ten minutes no secret of the file opened what contacts pushed ({unopened}×), and \
         {wrong} peers proved membership by a secret that is not in it: this node missed step 1 of a \
         rotation."
    );
    let advice = "Add the new secret to this node's file as a further line, and run dht network \
                  reload; dht network show on another node has its fingerprint.";
    Some(say(grade, text, advice))
}

/// Step 2: the secret of the others is in the file, and not the first.
fn not_moved(
    network: &NetworkView,
    first: &SecretView,
    others: &[SecretView],
    grade: Grade,
) -> Option<Check> {
    let advice = |newer: &str| {
        format!(
            "If the rotation has come so far, make {newer} the first line of this node's file, and \
             run dht network reload."
        )
    };
    let leading = others.iter().max_by_key(|one| one.connections)?;
    if network.recent_closed_by_newer > 0 {
        let text = format!(
            "Peers sealed their certificate with another secret of the file than the first, and then \
             refused the proof by {} ({}× in the last ten minutes): this node missed step 2 of a \
             rotation.",
            first.fingerprint, network.recent_closed_by_newer
        );
        return Some(say(grade, text, advice("that secret")));
    }
    if leading.connections <= first.connections {
        return None;
    }
    let text = format!(
        "More peers prove membership by {} ({}) than by this node's first secret {} ({}): the others \
         have moved on, and this node missed step 2 of a rotation.",
        leading.fingerprint, leading.connections, first.fingerprint, first.connections
    );
    Some(say(Grade::Warning, text, advice(&leading.fingerprint)))
}

fn in_order(first: &SecretView, others: &[SecretView], total: usize) -> Check {
    let by_others = total - first.connections;
    if by_others > 0 {
        let text = format!(
            "A rotation is under way: {} of {total} connections are authenticated by the first \
             secret {}.",
            first.connections, first.fingerprint
        );
        let advice = "Nothing has to be done here: connections are renewed within ten minutes after \
                      the other nodes have moved the new secret to the first line.";
        return say(Grade::Well, text, advice);
    }
    if let Some(old) = others.iter().find(|one| one.has_been_first) {
        let text = format!(
            "No connection is authenticated by the former first secret {}.",
            old.fingerprint
        );
        let advice = "When dht network show has 0 for it on every node, delete its line everywhere: \
                      step 3 of the rotation.";
        return say(Grade::Warning, text, advice);
    }
    match others {
        [] => say(
            Grade::Well,
            format!("All {total} connections are authenticated by {}.", first.fingerprint),
            "",
        ),
        _ => say(
            Grade::Well,
            format!(
                "All {total} connections are authenticated by the first secret {}; {} more accepted.",
                first.fingerprint,
                others.len()
            ),
            "A new secret is moved to the first line in step 2 of a rotation; an old one is deleted in \
             step 3.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{findings, snapshot};
    use super::*;

    fn secret(name: &str, connections: usize, has_been_first: bool) -> SecretView {
        SecretView { fingerprint: name.to_owned(), connections, has_been_first }
    }

    fn judged(network: NetworkView) -> (Grade, String) {
        let mut snapshot = snapshot();
        snapshot.network = Some(network);
        let check = check(&findings(&snapshot)).unwrap();
        (check.result, format!("{} {}", check.text, check.advice))
    }

    fn with(secrets: Vec<SecretView>) -> NetworkView {
        NetworkView { secrets, ..NetworkView::default() }
    }

    #[test]
    fn a_public_node_has_no_membership_to_judge() {
        assert_eq!(check(&findings(&snapshot())), None);
    }

    #[test]
    fn each_missed_step_is_named() {
        let old = |connections| secret("old", connections, true);
        let without_new = NetworkView { recent_unopened_contacts: 3, ..with(vec![old(0)]) };
        let (grade, text) = judged(without_new);
        assert!(grade == Grade::Failed && text.contains("missed step 1"), "{text}");

        let (grade, text) = judged(with(vec![old(1), secret("new", 4, false)]));
        assert!(grade == Grade::Warning && text.contains("missed step 2"), "{text}");
        assert!(text.contains("make new the first line"), "{text}");
        let refused = with(vec![old(0), secret("new", 0, false)]);
        let (grade, text) = judged(NetworkView { recent_closed_by_newer: 2, ..refused });
        assert!(grade == Grade::Failed && text.contains("missed step 2"), "{text}");

        let (grade, text) = judged(with(vec![secret("new", 5, true), old(0)]));
        assert!(grade == Grade::Warning && text.contains("step 3"), "{text}");
    }

    #[test]
    fn what_is_in_order_is_said_so() {
        for (secrets, expected) in [
            (vec![secret("only", 5, true)], "All 5 connections are authenticated by only"),
            (vec![secret("new", 5, true), secret("old", 2, true)], "under way: 5 of 7"),
            (vec![secret("old", 5, true), secret("new", 0, false)], "the first secret old; 1 more"),
        ] {
            let (grade, text) = judged(with(secrets));
            assert!(grade == Grade::Well && text.contains(expected), "{text}");
        }
        // A proof by an unknown secret may be an outsider's.
        let probed = NetworkView { recent_wrong_proofs: 9, ..with(vec![secret("only", 5, true)]) };
        assert_eq!(judged(probed).0, Grade::Well);
    }
}
