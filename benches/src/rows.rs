//! The rows of the table: what is measured of every system.

use std::collections::BTreeMap;

/// The figures of one run of one system. What a system cannot do, or does not tell, is absent.
pub(crate) type Figures = BTreeMap<String, f64>;

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its name in [`Figures`].
    pub(crate) id: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Seconds,
    PerSecond,
    Mebibytes,
    /// Of a hundred. Has no ratio.
    Percent,
    /// A number of things. Has no ratio.
    Count,
}

macro_rules! rows {
    ($($name:ident = $id:literal, $title:literal, $unit:ident;)*) => {
        $(pub(crate) const $name: &str = $id;)*
        /// All rows, from top to bottom.
        pub(crate) const ROWS: &[Row] = &[
            $(Row { id: $id, title: $title, unit: Unit::$unit },)*
        ];
    };
}

rows! {
    JOINED = "joined_s", "all joined", Seconds;
    MEMORY = "memory_mib", "memory per node, idle", Mebibytes;
    GET_P50 = "get_p50_ms", "GET, one at a time, p50", Milliseconds;
    GET_P99 = "get_p99_ms", "GET, one at a time, p99", Milliseconds;
    PUT_P50 = "put_p50_ms", "PUT, one at a time, p50", Milliseconds;
    PUT_P99 = "put_p99_ms", "PUT, one at a time, p99", Milliseconds;
    GET_RATE = "get_per_second", "GET, 64 at once", PerSecond;
    PUT_RATE = "put_per_second", "PUT, 64 at once", PerSecond;
    GET_PROCESSOR = "get_processor_ms", "processor time per GET", Milliseconds;
    PUT_PROCESSOR = "put_processor_ms", "processor time per PUT", Milliseconds;
    OWN_STORE = "own_store_percent", "GETs answered from the own store", Percent;
    FAILED = "failed_percent", "operations that failed, all living", Percent;
    KILLED_P50 = "killed_get_p50_ms", "30 % killed: GET p50", Milliseconds;
    KILLED_P99 = "killed_get_p99_ms", "30 % killed: GET p99", Milliseconds;
    KILLED_FAILED = "killed_failed_percent", "30 % killed: GETs that failed", Percent;
    KILLED_COUNT = "killed_gets", "30 % killed: GETs tried", Count;
    SILENT_P50 = "silent_get_p50_ms", "30 % silent: GET p50", Milliseconds;
    SILENT_P99 = "silent_get_p99_ms", "30 % silent: GET p99", Milliseconds;
    SILENT_FAILED = "silent_failed_percent", "30 % silent: GETs that failed", Percent;
    SILENT_COUNT = "silent_gets", "30 % silent: GETs tried", Count;
}

/// The floor: one request and its answer over TLS, no DHT around it.
pub(crate) const FLOOR_ONE_THREAD: &str = "floor_one_thread_ms";
pub(crate) const FLOOR_TWO_THREADS: &str = "floor_two_threads_ms";
