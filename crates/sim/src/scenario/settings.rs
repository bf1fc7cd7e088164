//! The tables `[network]` and `[node]`: what differs from the defaults.

use serde::Deserialize;
use voiddht_core::Config;
use voiddht_core::config::Diversity;

use super::span::Span;
use crate::network::{Latency, NetworkConfig};

/// `[network]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkSettings {
    /// One-way latency between hosts: [`NetworkConfig::latency`].
    pub latency: Option<LatencySettings>,
    /// Variation of the latency: [`NetworkConfig::jitter`].
    pub jitter: Option<f64>,
    /// Share of lost packets: [`NetworkConfig::loss`].
    pub loss: Option<f64>,
    /// Round trips of a handshake: [`NetworkConfig::handshake_round_trips`].
    pub handshake_round_trips: Option<u32>,
    /// Timeout of a dial: [`NetworkConfig::dial_timeout`].
    pub dial_timeout: Option<Span>,
    /// Time until an unresponsive connection breaks: [`NetworkConfig::break_after`].
    pub break_after: Option<Span>,
    /// Connections and dials of a host: [`NetworkConfig::connections`].
    pub connections: Option<usize>,
    /// Whether hosts have certificates of their own: [`NetworkConfig::certificates`].
    pub certificates: Option<bool>,
}

/// A distribution of one-way times.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum LatencySettings {
    /// The same for all hosts: [`Latency::Constant`].
    Constant(Span),
    /// Uniformly distributed: [`Latency::Uniform`].
    Uniform {
        /// The least.
        from: Span,
        /// The most.
        to: Span,
    },
    /// Log-normally distributed: [`Latency::LogNormal`].
    LogNormal {
        /// The middle.
        median: Span,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
    },
}

/// `[node]`. What is not named is as shipped.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodeSettings {
    /// Replicas of a record: [`Config::k`]. Replication follows it, unless it is given too.
    pub k: Option<usize>,
    /// Requests of one lookup in flight: [`Config::alpha`].
    pub alpha: Option<usize>,
    /// Bits per step: [`Config::b`].
    pub b: Option<usize>,
    /// Candidates of a bucket: [`Config::replacement_cache`].
    pub replacement_cache: Option<usize>,
    /// Paths of a lookup: [`Config::disjoint_paths`].
    pub disjoint_paths: Option<usize>,
    /// Votes that end a GET: [`Config::vote_quorum`].
    pub vote_quorum: Option<usize>,
    /// Replicas of a record: [`Config::replication`].
    pub replication: Option<usize>,
    /// TTL of values without one: [`Config::default_ttl`].
    pub default_ttl: Option<Span>,
    /// Interval of bucket refreshes: [`Config::refresh_interval`].
    pub refresh_interval: Option<Span>,
    /// Interval of renewals: [`Config::upkeep_interval`].
    pub upkeep_interval: Option<Span>,
    /// Whether the limits of address diversity hold. They do as shipped.
    pub diversity: Option<bool>,
}

impl NetworkSettings {
    /// The network's settings.
    pub fn config(&self) -> NetworkConfig {
        let usual = NetworkConfig::default();
        NetworkConfig {
            latency: self.latency.map_or(usual.latency, Into::into),
            jitter: self.jitter.unwrap_or(usual.jitter),
            loss: self.loss.unwrap_or(usual.loss),
            handshake_round_trips: self
                .handshake_round_trips
                .unwrap_or(usual.handshake_round_trips),
            dial_timeout: self.dial_timeout.map_or(usual.dial_timeout, |span| span.0),
            break_after: self.break_after.map_or(usual.break_after, |span| span.0),
            keepalive: usual.keepalive,
            connections: self.connections.unwrap_or(usual.connections),
            certificates: self.certificates.unwrap_or(usual.certificates),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let NetworkConfig { jitter, loss, connections, .. } = self.config();
        if !(0.0..1.0).contains(&loss) {
            return Err(format!("loss is {loss}, and must be a share from 0 to less than 1"));
        }
        if !(0.0..=100.0).contains(&jitter) {
            return Err(format!("jitter is {jitter}, and must be a share of the base time"));
        }
        if let Some(LatencySettings::LogNormal { sigma, .. }) = self.latency
            && !(0.0..=5.0).contains(&sigma)
        {
            return Err(format!("sigma is {sigma}, and must be from 0 to 5"));
        }
        if connections < 2 {
            return Err("a host needs two connections at least".to_owned());
        }
        Ok(())
    }
}

impl From<LatencySettings> for Latency {
    fn from(settings: LatencySettings) -> Self {
        match settings {
            LatencySettings::Constant(time) => Self::Constant(time.0),
            LatencySettings::Uniform { from, to } => Self::Uniform(from.0, to.0),
            LatencySettings::LogNormal { median, sigma } => {
                Self::LogNormal { median: median.0, sigma }
            }
        }
    }
}

impl NodeSettings {
    /// Every node's settings. Whether they contradict each other, [`Config::check`] says.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut config.k, self.k);
        config.replication = self.replication.unwrap_or(config.k);
        set(&mut config.alpha, self.alpha);
        set(&mut config.b, self.b);
        set(&mut config.replacement_cache, self.replacement_cache);
        set(&mut config.disjoint_paths, self.disjoint_paths);
        set(&mut config.vote_quorum, self.vote_quorum);
        set(&mut config.default_ttl, self.default_ttl.map(|span| span.0));
        set(&mut config.refresh_interval, self.refresh_interval.map(|span| span.0));
        set(&mut config.upkeep_interval, self.upkeep_interval.map(|span| span.0));
        if self.diversity == Some(false) {
            config.diversity = Diversity::NONE;
        }
        config
    }
}
