//! How long things take, counted into buckets: a few atomic numbers, and no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds; what takes longer is in one more bucket. From a
/// request on one machine to the longest timeout, in steps of about two and a half.
pub(crate) const BOUNDS_MICROS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// Durations, as they are being counted.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

/// Durations, as they were counted up to one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many fell into each bucket.
    pub(crate) buckets: [u64; BUCKETS],
    /// All of them together, in microseconds.
    pub(crate) sum_micros: u64,
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Durations {
        Durations {
            buckets: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
        }
    }
}

impl Durations {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What was counted since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let buckets = std::array::from_fn(|i| self.buckets[i].saturating_sub(earlier.buckets[i]));
        Self { buckets, sum_micros: self.sum_micros.saturating_sub(earlier.sum_micros) }
    }

    /// Counts another's too.
    pub(crate) fn add(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
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
        let histogram = Histogram::default();
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
        assert_eq!(durations.buckets[BUCKETS - 2..], [1, 1]);
        assert_eq!((durations.count(), durations.sum_micros), (5, 20_000_202));
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
        assert_eq!((since.count(), since.sum_micros), (2, 400));
        since.add(&earlier);
        assert_eq!(since, later);
    }
}
