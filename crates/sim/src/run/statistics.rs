//! Means and percentiles.

use std::time::Duration;

use super::Row;

/// Numbers of which the distribution matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    numbers: Vec<f64>,
}

impl Sample {
    pub(super) fn add(&mut self, number: f64) {
        self.numbers.push(number);
    }

    pub(super) fn add_millis(&mut self, duration: Duration) {
        self.add(duration.as_secs_f64() * 1e3);
    }

    pub(super) fn mean(&self) -> f64 {
        self.numbers.iter().sum::<f64>() / self.numbers.len().max(1) as f64
    }

    pub(super) fn least(&self) -> f64 {
        self.numbers.iter().copied().reduce(f64::min).unwrap_or(0.0)
    }

    /// The least number that this share of them does not exceed (the nearest rank); 0 if there
    /// are none.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.numbers.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

/// How operations of one kind went.
#[derive(Clone, Debug, Default)]
pub(super) struct Operations {
    pub(super) millis: Sample,
    pub(super) requests: Sample,
    pub(super) timeouts: Sample,
    pub(super) hops: Sample,
}

impl Operations {
    pub(super) fn add(&mut self, report: &voiddht_core::report::Report) {
        self.millis.add_millis(report.took);
        self.requests.add(report.asked.into());
        self.timeouts.add(report.failed.into());
        self.hops.add(report.hops.into());
    }

    /// How long they took.
    pub(super) fn tell_times(&self, row: &mut Row, prefix: &str) {
        row.set(format!("{prefix}-p50-ms"), self.millis.percentile(0.5));
        row.set(format!("{prefix}-p99-ms"), self.millis.percentile(0.99));
    }
}

/// `part` of `whole`; 1 where there is nothing.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut sample = Sample::default();
        assert_eq!((sample.percentile(0.5), sample.mean()), (0.0, 0.0));
        (1..=200).rev().for_each(|number| sample.add(f64::from(number)));
        assert_eq!((sample.percentile(0.5), sample.percentile(0.99)), (100.0, 198.0));
        assert_eq!((sample.mean(), sample.least()), (100.5, 1.0));
    }
}
