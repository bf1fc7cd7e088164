//! Answers everything but a PING, and everything as late as it may: just before the requester
//! gives up.

use std::time::Duration;

use voiddht_core::config::FAIL_AFTER;
use voiddht_session::Output;
use voiddht_wire::peer::Body;

use super::interceptor::{Adversary, Around, Speech, reply_in};

/// What is left of the time for the way back.
const MARGIN: Duration = Duration::from_millis(250);

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Slow;

impl Adversary for Slow {
    fn speak(&mut self, _around: &mut Around<'_>, output: Output) -> Speech {
        match reply_in(&output) {
            Some((_, message)) if !matches!(message.body, Body::PingReply { .. }) => {
                Speech::Later(FAIL_AFTER.0 - MARGIN, output)
            }
            _ => Speech::Say(output),
        }
    }
}
