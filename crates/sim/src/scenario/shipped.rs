//! The scenarios that come with the program: the files of `scenarios/`.

/// Their names and texts, in the order in which they are listed.
pub const ALL: &[(&str, &str)] = &[
    ("smoke", include_str!("../../../../scenarios/smoke.toml")),
    ("s-kademlia", include_str!("../../../../scenarios/s-kademlia.toml")),
    ("hostile", include_str!("../../../../scenarios/hostile.toml")),
    ("neighbourhood", include_str!("../../../../scenarios/neighbourhood.toml")),
    ("hops", include_str!("../../../../scenarios/hops.toml")),
    ("mass-kill", include_str!("../../../../scenarios/mass-kill.toml")),
    ("sessions", include_str!("../../../../scenarios/sessions.toml")),
    ("full-pools", include_str!("../../../../scenarios/full-pools.toml")),
    ("wide-area", include_str!("../../../../scenarios/wide-area.toml")),
    ("day", include_str!("../../../../scenarios/day.toml")),
];

/// The text of one.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
