//! An identity file with any content. A directory is opened with it, or refused with a reason; a
//! refusal leaves the file as it was.

#![no_main]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use libfuzzer_sys::fuzz_target;
use voiddht_fuzz::{Still, live_with, unheard};
use voiddht_store::DataDir;

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir().expect("a place for files");
    let path = directory.path().join("identity.pem");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).expect("our own");
    fs::write(&path, data).expect("our own");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("our own");
    match DataDir::open_by(Still::clocks(), directory.path(), unheard()) {
        Ok((store, loaded)) => {
            let identity = loaded.identity.clone().expect("an identity file that was accepted");
            // What was read can be written, and then is the same.
            store.save_identity(&identity).expect("the same node");
            store.close().expect("a disk that works");
            live_with(loaded);
            let (store, again) =
                DataDir::open_by(Still::clocks(), directory.path(), unheard()).expect("our own");
            assert_eq!(again.identity, Some(identity));
            drop(store);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(fs::read(&path).expect("still there"), data);
        }
    }
});
