//! Looks whether OpenDHT's C library is installed, and in which version, and links it if so.

use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(opendht)");
    for input in ["build.rs", "/usr/include/opendht/opendht_c.h"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let asked = Command::new("pkg-config").args(["--modversion", "opendht-c"]).output();
    if let Some(output) = asked.ok().filter(|output| output.status.success()) {
        println!("cargo::rustc-cfg=opendht");
        println!("cargo::rustc-link-lib=opendht-c");
        let version = String::from_utf8_lossy(&output.stdout);
        println!("cargo::rustc-env=VERSION_OF_OPENDHT={}", version.trim());
    }
}
