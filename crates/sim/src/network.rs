//! The network between the hosts: latency, loss, partitions.
//!
//! Connections are TCP: a lost packet is a delay, never a gap, and order is preserved. What is sent
//! to a host across a partition, or to one that died without closing, vanishes, until the sender's
//! connection breaks.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use voiddht_core::config::PEER_KEEPALIVE;

use crate::host_id::HostId;

/// Steps in which a distribution of latencies is tabulated.
const QUANTILES: usize = 4096;
/// The pause before TCP sends again what was lost (RFC 6298: one second before the first
/// measurement; Linux goes down to this afterwards).
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// Losses of one message in a row, at most: ten doublings are minutes.
const MAX_LOSSES: u32 = 8;

/// How long a message takes from one host to another, one way. Each pair of hosts has its own
/// time, the same in both directions and throughout a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// The same for all.
    Constant(Duration),
    /// Anything between, all alike.
    Uniform(Duration, Duration),
    /// Half of the pairs are quicker than `median`, and the logarithm is normal around it: what
    /// measurements of the Internet look like (median round trip 80 to 160 ms, sigma 0.5).
    LogNormal {
        /// The middle.
        median: Duration,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
    },
}

/// The network's settings.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Base time between two hosts.
    pub latency: Latency,
    /// Each message takes up to this share of the base time longer.
    pub jitter: f64,
    /// Share of messages of which a packet is lost, and sent again after a pause.
    pub loss: f64,
    /// Round trips before the first request can go out on a new connection: one of TCP and one of TLS,
    /// during which the pushed certificate arrives.
    pub handshake_round_trips: u32,
    /// When a dial without an answer is given up.
    pub dial_timeout: Duration,
    /// When a connection breaks whose other end is unresponsive, after the last time that it was heard:
    /// keepalive probes, or data that is not acknowledged.
    pub break_after: Duration,
    /// After how long without a message each end is probed.
    pub keepalive: Duration,
    /// Connections and dials that the session of each host has at most: as many as the node's default.
    pub connections: usize,
    /// Whether hosts show certificates of their own, which others pin. Costs half a millisecond and
    /// some kilobytes for each host, and a pin for each pair that connects.
    pub certificates: bool,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            latency: Latency::LogNormal { median: Duration::from_millis(40), sigma: 0.5 },
            jitter: 0.1,
            loss: 0.0,
            handshake_round_trips: 2,
            dial_timeout: Duration::from_secs(3),
            break_after: PEER_KEEPALIVE.total(),
            keepalive: PEER_KEEPALIVE.after,
            connections: 1024,
            certificates: false,
        }
    }
}

/// The network of one run.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) config: NetworkConfig,
    seed: u64,
    /// Microseconds, ascending.
    quantiles: Vec<u32>,
}

impl Network {
    pub(crate) fn new(config: NetworkConfig, seed: u64) -> Self {
        let quantiles = tabulate(config.latency);
        Self { config, seed, quantiles }
    }

    /// The base time between two hosts, one way.
    pub(crate) fn one_way(&self, a: HostId, b: HostId) -> Duration {
        let pair = (u64::from(a.0.min(b.0)) << 32) | u64::from(a.0.max(b.0));
        let index = mix(pair ^ self.seed) as usize % QUANTILES;
        Duration::from_micros(self.quantiles[index].into())
    }

    pub(crate) fn round_trip(&self, a: HostId, b: HostId) -> Duration {
        2 * self.one_way(a, b)
    }

    /// How long this one message takes.
    pub(crate) fn delay(&self, a: HostId, b: HostId, random: &mut ChaCha8Rng) -> Duration {
        let base = self.one_way(a, b);
        let mut delay = base;
        if self.config.jitter > 0.0 {
            delay += base.mul_f64(self.config.jitter * random.random_range(0.0..1.0));
        }
        if self.config.loss > 0.0 {
            let mut losses = 0;
            while losses < MAX_LOSSES && random.random_bool(self.config.loss) {
                delay += (RETRANSMISSION + 2 * base) * (1 << losses);
                losses += 1;
            }
        }
        delay
    }
}

/// A well-mixed function of its argument (the finaliser of SplitMix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn tabulate(latency: Latency) -> Vec<u32> {
    let micros = |duration: Duration| duration.as_micros().clamp(1, u32::MAX.into()) as u32;
    let share = |index: usize| (index as f64 + 0.5) / QUANTILES as f64;
    (0..QUANTILES)
        .map(|index| match latency {
            Latency::Constant(time) => micros(time),
            Latency::Uniform(least, most) => {
                micros(least + most.saturating_sub(least).mul_f64(share(index)))
            }
            Latency::LogNormal { median, sigma } => {
                // Box and Muller: even and odd places give the two normals of one pair.
                let radius = (-2.0 * share(index).ln()).sqrt();
                let angle = TAU * (mix(index as u64) as f64 / u64::MAX as f64);
                micros(median.mul_f64((sigma * radius * angle.cos()).exp()))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn network(latency: Latency) -> Network {
        let config = NetworkConfig { latency, jitter: 0.0, ..NetworkConfig::default() };
        Network::new(config, 7)
    }

    #[test]
    fn a_pair_has_one_time_in_both_directions() {
        let ms = Duration::from_millis;
        let network = network(Latency::Uniform(ms(10), ms(20)));
        let times: Vec<_> = (1..200).map(|host| network.one_way(HostId(0), HostId(host))).collect();
        assert_eq!(network.one_way(HostId(3), HostId(0)), times[2]);
        assert!(times.iter().all(|time| (ms(10)..=ms(20)).contains(time)));
        assert!(times.iter().any(|time| *time < ms(12)) && times.iter().any(|it| *it > ms(18)));
    }

    #[test]
    fn a_log_normal_has_its_median_and_spread() {
        let median = Duration::from_millis(40);
        let network = network(Latency::LogNormal { median, sigma: 0.5 });
        let mut sorted = network.quantiles.clone();
        sorted.sort_unstable();
        let at = |share: f64| f64::from(sorted[(share * QUANTILES as f64) as usize]) / 1000.0;
        assert!((at(0.5) - 40.0).abs() < 2.0, "median {}", at(0.5));
        // One standard deviation up and down: 40·e^±0.5.
        assert!((at(0.841) - 65.9).abs() < 5.0, "upper {}", at(0.841));
        assert!((at(0.159) - 24.3).abs() < 3.0, "lower {}", at(0.159));
    }

    #[test]
    fn a_loss_is_a_delay() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut network = network(Latency::Constant(Duration::from_millis(10)));
        network.config.loss = 0.5;
        let (a, b) = (HostId(0), HostId(1));
        let late = (0..1000)
            .filter(|_| network.delay(a, b, &mut random) >= Duration::from_millis(200))
            .count();
        assert!((400..600).contains(&late), "{late}");
    }
}
