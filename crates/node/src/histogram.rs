//! Distributions, counted into buckets: a few atomic numbers, and no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of durations, in microseconds; what takes longer is in one more
/// bucket. From a request on one machine to the longest timeout, in steps of about two and a half.
pub(crate) const BOUNDS_MICROS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
/// Upper bounds of the buckets of copies of a value; more are in one more bucket. Fine around
/// none, which is a failed PUT, and around 20, which is the default.
const COPIES: [u64; 12] = [0, 1, 2, 3, 5, 8, 12, 16, 18, 19, 20, 40];

/// The buckets of a distribution, for display.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// The upper bound of each bucket but the last.
    pub(crate) upper: &'static [u64],
    /// How much of what is counted is one of what is shown.
    pub(crate) unit: f64,
}

/// Durations are counted in microseconds and shown in seconds.
pub(crate) const DURATION_BOUNDS: Bounds = Bounds { upper: &BOUNDS_MICROS, unit: 1e6 };
/// Copies of a value.
pub(crate) const COPIES_BOUNDS: Bounds = Bounds { upper: &COPIES, unit: 1.0 };

/// Numbers, as they are being counted.
#[derive(Debug)]
pub(crate) struct Histogram<const BUCKETS: usize> {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// Counts durations.
pub(crate) type DurationHistogram = Histogram<{ BOUNDS_MICROS.len() + 1 }>;
/// Counts copies of values.
pub(crate) type CopiesHistogram = Histogram<{ COPIES.len() + 1 }>;

/// Numbers, as they were counted up to one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distribution<const BUCKETS: usize> {
    /// How many fell into each bucket.
    pub(crate) buckets: [u64; BUCKETS],
    /// All of them together.
    pub(crate) sum: u64,
}

/// Durations in microseconds.
pub(crate) type Durations = Distribution<{ BOUNDS_MICROS.len() + 1 }>;
/// Copies of values.
pub(crate) type Copies = Distribution<{ COPIES.len() + 1 }>;

impl<const BUCKETS: usize> Default for Histogram<BUCKETS> {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl<const BUCKETS: usize> Default for Distribution<BUCKETS> {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum: 0 }
    }
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    fn count(&self, upper: &[u64], value: u64) {
        let bucket = upper.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Distribution<BUCKETS> {
        Distribution {
            buckets: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl DurationHistogram {
    pub(crate) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count(&BOUNDS_MICROS, micros);
    }
}

impl CopiesHistogram {
    pub(crate) fn observe(&self, copies: usize) {
        self.count(&COPIES, copies as u64);
    }
}

impl<const BUCKETS: usize> Distribution<BUCKETS> {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "shown by the dashboard"))]
impl Durations {
    /// What was counted since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let buckets = std::array::from_fn(|i| self.buckets[i].saturating_sub(earlier.buckets[i]));
        Self { buckets, sum: self.sum.saturating_sub(earlier.sum) }
    }

    /// Counts another's too.
    pub(crate) fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Below which time this share of them stayed, in milliseconds, as if those of a bucket lay
    /// evenly in it. `None` if there were none.
    pub(crate) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let rank = share * self.count() as f64;
        let mut below = 0.0;
        for (index, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if below + count >= rank {
                let lower = index.checked_sub(1).map_or(0, |before| BOUNDS_MICROS[before]) as f64;
                let upper = BOUNDS_MICROS.get(index).map_or(lower, |bound| *bound as f64);
                return Some((lower + (upper - lower) * (rank - below) / count) / 1000.0);
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(micros: &[u64]) -> Durations {
        let histogram = DurationHistogram::default();
        for micros in micros {
            histogram.observe(Duration::from_micros(*micros));
        }
        histogram.read()
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_nothing_is_lost_beyond_the_last() {
        let durations = counted(&[0, 100, 101, 10_000_000, 10_000_001]);
        assert_eq!(durations.buckets[0], 2);
        assert_eq!(durations.buckets[1], 1);
        assert_eq!(durations.buckets[BOUNDS_MICROS.len() - 1..], [1, 1]);
        assert_eq!((durations.count(), durations.sum), (5, 20_000_202));
    }

    #[test]
    fn copies_have_a_bucket_for_none_and_one_for_more_than_are_expected() {
        let histogram = CopiesHistogram::default();
        for copies in [0, 20, 20, 255] {
            histogram.observe(copies);
        }
        let copies = histogram.read();
        assert_eq!((copies.buckets[0], copies.buckets[10], copies.buckets[12]), (1, 2, 1));
        assert_eq!((copies.count(), copies.sum), (4, 295));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let durations = counted(&[300; 100]);
        assert_eq!(durations.quantile_ms(0.5), Some(0.375));
        assert_eq!(durations.quantile_ms(1.0), Some(0.5));
        assert_eq!(counted(&[]).quantile_ms(0.5), None);
        assert_eq!(counted(&[20_000_000]).quantile_ms(0.5), Some(10_000.0));
    }

    #[test]
    fn what_was_counted_since_is_the_difference() {
        let earlier = counted(&[50]);
        let later = counted(&[50, 200, 200]);
        let mut since = later.since(&earlier);
        assert_eq!((since.count(), since.sum), (2, 400));
        since.add(&earlier);
        assert_eq!(since, later);
    }
}
