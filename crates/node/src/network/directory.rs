//! A data directory remembers its network, so that a node does not change over by mistake: a variable
//! that is lost must not turn a private node into a public one, with what it knows and holds.

use std::path::{Path, PathBuf};

use voiddht_identity::network::Fingerprint;
use voiddht_store::{Condition, Loaded};

/// Why a node does not start with this data directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryMismatch {
    /// It is a private network's, and there is no secret.
    #[error(
        "{directory} belongs to a private network, and no secret is given: name its file with \
         --network-secret (VOIDDHT_NETWORK_SECRET), or make the node a public one with `dht network \
         move --data-dir {directory} --public`",
        directory = directory.display()
    )]
    SecretMissing {
        /// The data directory.
        directory: PathBuf,
    },
    /// It is a public network's, and there is a secret.
    #[error(
        "{directory} belongs to a node of a public network: start without --network-secret, or move \
         the node to the private network with `dht network move --data-dir {directory} \
         --network-secret FILE`",
        directory = directory.display()
    )]
    WasPublic {
        /// The data directory.
        directory: PathBuf,
    },
    /// It is another private network's.
    #[error(
        "{directory} belongs to the private network of {remembered}, and the secret file has {given}: \
         give a file with a secret of that network, or move the node to the new one with `dht network \
         move --data-dir {directory} --network-secret FILE`",
        directory = directory.display()
    )]
    OtherSecrets {
        /// The data directory.
        directory: PathBuf,
        /// The fingerprints that it remembers.
        remembered: String,
        /// Those of the file.
        given: String,
    },
}

/// Whether a node with these secrets may go on with what a directory holds.
pub(crate) fn check_directory(
    directory: &Path,
    loaded: &Loaded,
    secrets: &[Fingerprint],
) -> Result<(), DirectoryMismatch> {
    let directory = directory.to_owned();
    let remembered: Vec<_> = loaded.network.iter().copied().map(Fingerprint).collect();
    match (remembered.as_slice(), secrets) {
        ([], []) => Ok(()),
        // Nothing in it is of any network.
        ([], _) if is_empty(loaded) => Ok(()),
        ([], _) => Err(DirectoryMismatch::WasPublic { directory }),
        (_, []) => Err(DirectoryMismatch::SecretMissing { directory }),
        (known, given) if given.iter().any(|one| known.contains(one)) => Ok(()),
        (known, given) => Err(DirectoryMismatch::OtherSecrets {
            directory,
            remembered: words(known),
            given: words(given),
        }),
    }
}

fn is_empty(loaded: &Loaded) -> bool {
    matches!(loaded.condition, Condition::New | Condition::DatabaseMissing)
}

fn words(fingerprints: &[Fingerprint]) -> String {
    fingerprints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Fingerprint = Fingerprint([1; 8]);
    const TWO: Fingerprint = Fingerprint([2; 8]);

    fn check(
        remembered: &[Fingerprint],
        condition: Condition,
        secrets: &[Fingerprint],
    ) -> Result<(), String> {
        let loaded = Loaded {
            identity: None,
            network: remembered.iter().map(|one| one.0).collect(),
            pins: Vec::new(),
            contacts: Vec::new(),
            records: Vec::new(),
            kept: Vec::new(),
            condition,
        };
        check_directory(Path::new("/data"), &loaded, secrets).map_err(|error| error.to_string())
    }

    #[test]
    fn one_secret_in_common_is_enough() {
        assert_eq!(check(&[], Condition::Intact, &[]), Ok(()));
        assert_eq!(check(&[ONE], Condition::Intact, &[TWO, ONE]), Ok(()));
        assert_eq!(check(&[ONE, TWO], Condition::CutShort, &[TWO]), Ok(()));
        for condition in [Condition::New, Condition::DatabaseMissing] {
            assert_eq!(check(&[], condition, &[ONE]), Ok(()));
        }
    }

    #[test]
    fn every_change_of_the_network_is_refused_with_what_to_do() {
        for (remembered, secrets, why) in [
            (&[ONE][..], &[][..], "no secret is given"),
            (&[], &[ONE], "a node of a public network"),
            (&[ONE], &[TWO], "0101010101010101, and the secret file has 0202020202020202"),
        ] {
            let error = check(remembered, Condition::Intact, secrets).unwrap_err();
            assert!(error.contains(why) && error.contains("dht network move"), "{error}");
        }
    }
}
