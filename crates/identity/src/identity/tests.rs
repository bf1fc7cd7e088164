use std::net::IpAddr;

use super::*;

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 7));

#[test]
fn every_kind_is_made_and_taken_up_again() {
    for kind in KeyKind::ALL {
        for policy in Policy::ALL {
            let made = Identity::generate(kind, policy, HOST).unwrap();
            assert_eq!(made.certificate().key_kind(), kind);
            assert_eq!(made.certificate().address(), HOST);
            let again =
                Identity::from_parts(&made.private_key_der(), made.certificate().der(), policy)
                    .unwrap();
            assert_eq!(again.certificate(), made.certificate());
            assert_eq!(again.node_id(), made.node_id());
        }
    }
}
