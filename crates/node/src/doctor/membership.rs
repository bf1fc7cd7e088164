//! The private network: whether this node's secrets are those of the others, and if not, which step of
//! a rotation it has missed (docs/private-networks.md).
//!
//! A node without the new secret cannot open what moved nodes push, and refuses their proofs. One that
//! still has the old secret first is refused by nodes that have deleted it. One that still has it at
//! all has it for nothing.

use voiddht_identity::network::Fingerprint;

use super::check::{Check, Grade};
use super::findings::Findings;
use crate::network::survey::Survey;
use crate::snapshot::{NetworkView, SecretView};

/// Judges the membership; `None` in a public network.
pub(super) fn check(found: &Findings<'_>) -> Option<Check> {
    let network = found.snapshot.network.as_ref()?;
    let (first, others) = network.secrets.split_first()?;
    let total = first.connections + others.iter().map(|one| one.connections).sum::<usize>();
    let grade = if total == 0 { Grade::Failed } else { Grade::Warning };
    Some(
        missing(network, found.survey, grade)
            .or_else(|| not_moved(network, found.survey, first, others, grade))
            .unwrap_or_else(|| in_order(first, others, total)),
    )
}

fn say(result: Grade, text: String, advice: impl Into<String>) -> Check {
    Check::new("membership", result, text, advice)
}

/// Step 1: the secret of the others is not in the file.
fn missing(network: &NetworkView, survey: &Survey, grade: Grade) -> Option<Check> {
    let (now, before) = (survey.unopened, network.recent_unopened_contacts);
    let what = match (now, before) {
        // Wrong proofs alone may be an outsider's.
        (0, 0) => return None,
        (0, _) => format!("In the last ten minutes {before} dials of contacts met a certificate"),
        _ => format!("{now} of the contacts that were looked at push a certificate"),
    };
    let text = format!(
        "{what} that no secret of the file opens; {} peers proved membership by a secret that is not in \
         it in the last ten minutes. This node missed step 1 of a rotation.",
        network.recent_wrong_proofs
    );
    let advice = "Add the new secret to this node's file as a further line, and run dht network \
                  reload; dht network show on another node has its fingerprint.";
    Some(say(grade, text, advice))
}

/// Step 2: the secret of the others is in the file, and not the first.
fn not_moved(
    network: &NetworkView,
    survey: &Survey,
    first: &SecretView,
    others: &[SecretView],
    grade: Grade,
) -> Option<Check> {
    let uses = |secret: &SecretView| {
        let of_it = |(known, uses): (&Fingerprint, &usize)| {
            (known.to_string() == secret.fingerprint).then_some(*uses)
        };
        survey.by_secret.iter().find_map(of_it).unwrap_or(0)
    };
    let leading = others.iter().max_by_key(|one| (uses(one), one.connections))?;
    let newer = &leading.fingerprint;
    let text = if uses(leading) > uses(first) {
        format!(
            "{} of the contacts that were looked at use {newer}, and {} this node's first secret {}.",
            uses(leading),
            uses(first),
            first.fingerprint
        )
    } else if network.recent_closed_by_newer > 0 {
        format!(
            "Peers that use {newer} refused the proof by this node's first secret {} ({}× in the last \
             ten minutes).",
            first.fingerprint, network.recent_closed_by_newer
        )
    } else {
        return None;
    };
    let text = format!("{text} The others have moved on: this node missed step 2 of a rotation.");
    let advice = format!(
        "If the rotation has come so far, make {newer} the first line of this node's file, and run dht \
         network reload."
    );
    Some(say(grade, text, advice))
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

    const OLD: Fingerprint = Fingerprint([1; 8]);
    const NEW: Fingerprint = Fingerprint([2; 8]);

    fn secret(name: Fingerprint, connections: usize, has_been_first: bool) -> SecretView {
        SecretView { fingerprint: name.to_string(), connections, has_been_first }
    }

    /// Of these, each contact that was looked at has used one; zeros: none that the file has.
    fn judged_with(network: NetworkView, used: &[Fingerprint]) -> (Grade, String) {
        let mut snapshot = snapshot();
        snapshot.network = Some(network);
        let mut survey = Survey::default();
        for secret in used {
            match secret.0 {
                [0, ..] => survey.unopened += 1,
                _ => *survey.by_secret.entry(*secret).or_default() += 1,
            }
        }
        let check = check(&Findings { survey: &survey, ..findings(&snapshot) }).unwrap();
        (check.result, format!("{} {}", check.text, check.advice))
    }

    fn judged(network: NetworkView) -> (Grade, String) {
        judged_with(network, &[])
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
        let old = |connections| secret(OLD, connections, true);
        let unknown = Fingerprint([0; 8]);
        let (grade, text) = judged_with(with(vec![old(2)]), &[unknown, OLD]);
        assert!(grade == Grade::Warning && text.contains("1 of the contacts"), "{text}");
        assert!(text.contains("missed step 1"), "{text}");
        let cut_off = NetworkView { recent_unopened_contacts: 3, ..with(vec![old(0)]) };
        let (grade, text) = judged(cut_off);
        assert!(grade == Grade::Failed && text.contains("missed step 1"), "{text}");

        // Its own connections are still by the old one.
        let behind = || with(vec![old(4), secret(NEW, 0, false)]);
        let (grade, text) = judged_with(behind(), &[NEW, NEW, OLD]);
        assert!(grade == Grade::Warning && text.contains("missed step 2"), "{text}");
        assert!(text.contains("make 0202020202020202 the first line"), "{text}");
        let refused = with(vec![old(0), secret(NEW, 0, false)]);
        let (grade, text) = judged(NetworkView { recent_closed_by_newer: 2, ..refused });
        assert!(grade == Grade::Failed && text.contains("missed step 2"), "{text}");

        let (grade, text) = judged(with(vec![secret(NEW, 5, true), old(0)]));
        assert!(grade == Grade::Warning && text.contains("step 3"), "{text}");
    }

    #[test]
    fn what_is_in_order_is_said_so() {
        for (secrets, expected) in [
            (vec![secret(OLD, 5, true)], "All 5 connections are authenticated by 0101"),
            (vec![secret(NEW, 5, true), secret(OLD, 2, true)], "under way: 5 of 7"),
            (vec![secret(OLD, 5, true), secret(NEW, 0, false)], "0101010101010101; 1 more"),
        ] {
            let (grade, text) = judged(with(secrets));
            assert!(grade == Grade::Well && text.contains(expected), "{text}");
        }
        // A proof by an unknown secret may be an outsider's.
        let probed = NetworkView { recent_wrong_proofs: 9, ..with(vec![secret(OLD, 5, true)]) };
        assert_eq!(judged(probed).0, Grade::Well);
    }
}
