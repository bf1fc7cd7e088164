//! Finds out the versions of the peers. Looks whether OpenDHT's C library is installed, and links it
//! if so.

use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(opendht)");
    for input in ["build.rs", "Cargo.lock", "/usr/include/opendht/opendht_c.h"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let asked = Command::new("pkg-config").args(["--modversion", "opendht-c"]).output();
    if let Some(output) = asked.ok().filter(|output| output.status.success()) {
        println!("cargo::rustc-cfg=opendht");
        println!("cargo::rustc-link-lib=opendht-c");
        let version = String::from_utf8_lossy(&output.stdout);
        println!("cargo::rustc-env=VERSION_OF_OPENDHT={}", version.trim());
    }
    let locked = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    for (name, variable) in [("libp2p-kad", "LIBP2P_KAD"), ("mainline", "MAINLINE")] {
        let line = format!("name = \"{name}\"\nversion = \"");
        let version = locked.split(&line).nth(1).and_then(|rest| rest.split('"').next());
        println!("cargo::rustc-env=VERSION_OF_{variable}={}", version.unwrap_or_default());
    }
}
