//! The bounds of the pins and of the checks, and what each default rests on.

use std::time::Duration;

/// Pins kept: more than the routing table of a network of a million nodes holds (k = 20, b = 5:
/// some 2 500), so that members need never leave.
pub const MAX_PINS: usize = 4096;
/// Bytes of certificates kept. One of ours has about 450 and one of the original's about 850, so
/// this is the tighter limit only where peers show certificates that are needlessly large. A pin
/// takes some 500 bytes besides.
pub const MAX_PIN_BYTES: usize = 4 * 1024 * 1024;
/// Checks in flight. A guess: a network in which more than eight keys change hands within
/// ten seconds is under attack, and its newcomers can come again.
pub const MAX_CHECKS: usize = 8;
/// PINGs to old owners within any minute, whatever causes them: twenty checks. What an attacker can
/// make this node send to others is this, and less than a connection costs the attacker.
pub const MAX_PINGS_PER_MINUTE: usize = 60;
/// How long an owner has to answer before its ID is given away: long enough that a short overload
/// is not taken for absence (PROTOCOL, section 4).
pub const TAKEOVER_GRACE: Duration = Duration::from_secs(10);
/// After an owner has answered, how long conflicts over its ID are refused without asking it again.
/// A guess: repeated takeover attempts cost the owner one answer a minute.
pub const COOL_DOWN: Duration = Duration::from_secs(60);
/// After an owner failed to respond, how long its ID is open to the next node that authenticates
/// it. A guess: long enough for a node that was refused to come again after its own backoff,
/// short enough that the owner's absence is still fresh.
pub const VACANCY: Duration = Duration::from_secs(10 * 60);

/// The bounds of the pins. See the constants for what each default rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinLimits {
    /// Pins kept, [`MAX_PINS`]. When there are more, those leave that were not seen for longest,
    /// members of the routing table last.
    pub max_pins: usize,
    /// Bytes of certificates kept, [`MAX_PIN_BYTES`]; the same happens at this limit.
    pub max_bytes: usize,
    /// Checks in flight, [`MAX_CHECKS`]. More newcomers are refused unchecked.
    pub max_checks: usize,
    /// PINGs to old owners within any minute, [`MAX_PINGS_PER_MINUTE`]. Likewise.
    pub pings_per_minute: usize,
    /// How long an owner has to answer, [`TAKEOVER_GRACE`].
    pub takeover_grace: Duration,
    /// [`COOL_DOWN`].
    pub cool_down: Duration,
    /// [`VACANCY`].
    pub vacancy: Duration,
}

impl Default for PinLimits {
    fn default() -> Self {
        Self {
            max_pins: MAX_PINS,
            max_bytes: MAX_PIN_BYTES,
            max_checks: MAX_CHECKS,
            pings_per_minute: MAX_PINGS_PER_MINUTE,
            takeover_grace: TAKEOVER_GRACE,
            cool_down: COOL_DOWN,
            vacancy: VACANCY,
        }
    }
}
