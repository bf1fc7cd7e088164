//! The results of a chaos test, as a table.

use std::fmt;
use std::time::Duration;

use super::load::Tally;

/// What one case has shown.
#[derive(Clone, Debug)]
pub(super) struct Report {
    case: &'static str,
    /// What was done, in one line.
    title: String,
    rows: Vec<Row>,
    took: Duration,
    /// A way to look into what went wrong.
    hint: Option<String>,
}

#[derive(Clone, Debug)]
struct Row {
    what: String,
    value: String,
    /// Whether it is as promised; `None` where nothing is promised.
    holds: Option<bool>,
}

impl Report {
    pub(super) fn new(case: &'static str, title: String) -> Self {
        Self { case, title, rows: Vec::new(), took: Duration::ZERO, hint: None }
    }

    /// Something worth knowing.
    pub(super) fn tell(&mut self, what: &str, value: impl fmt::Display) {
        let row = Row { what: what.to_owned(), value: value.to_string(), holds: None };
        self.rows.push(row);
    }

    /// Something that was promised.
    pub(super) fn promise(&mut self, what: &str, value: impl fmt::Display, holds: bool) {
        let row = Row { what: what.to_owned(), value: value.to_string(), holds: Some(holds) };
        self.rows.push(row);
    }

    /// That every one of these GETs brings its value.
    pub(super) fn promise_all_found(&mut self, what: &str, gets: &Tally) {
        let mut value = format!("{} of {}", gets.found, gets.gets());
        if gets.wrong > 0 {
            value += &format!(", {} wrong", gets.wrong);
        }
        self.promise(what, value, gets.failed_gets() == 0 && gets.found > 0);
    }

    /// That every value lies on so many nodes.
    pub(super) fn promise_held(&mut self, what: &str, holders: &[usize], wanted: usize) {
        let enough = holders.iter().filter(|count| **count >= wanted).count();
        let fewest = holders.iter().min().copied().unwrap_or(0);
        let value = format!("{enough} of {}, the fewest on {fewest}", holders.len());
        self.promise(what, value, enough == holders.len() && enough > 0);
    }

    /// The test is over.
    pub(super) fn end(&mut self, took: Duration, hint: Option<String>) {
        self.took = took;
        self.hint = hint;
    }

    /// Whether everything that was promised holds.
    pub(super) fn is_passed(&self) -> bool {
        self.rows.iter().all(|row| row.holds != Some(false))
    }

    /// One line of a summary of several.
    pub(super) fn summary(&self) -> String {
        let promised = self.rows.iter().filter(|row| row.holds.is_some()).count();
        let kept = self.rows.iter().filter(|row| row.holds == Some(true)).count();
        let verdict = if self.is_passed() { "passed" } else { "FAILED" };
        let seconds = self.took.as_secs();
        format!("{:16} {verdict}   {kept} of {promised} promises kept   {seconds} s", self.case)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.case, self.title)?;
        let width = self.rows.iter().map(|row| row.what.len()).max().unwrap_or(0);
        for Row { what, value, holds } in &self.rows {
            let mark = match holds {
                Some(true) => "ok",
                Some(false) => "NO",
                None => "  ",
            };
            writeln!(f, "  {mark}  {what:width$}   {value}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "  {hint}")?;
        }
        Ok(())
    }
}

/// Seconds, with as many digits as matter.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_marks_what_was_promised_and_one_broken_promise_is_a_failure() {
        let mut report = Report::new("case", "what was done".to_owned());
        report.tell("restart", seconds(Duration::from_millis(1234)));
        report.promise_all_found("found", &Tally { found: 3, ..Tally::default() });
        report.promise_held("held", &[20, 21], 20);
        assert!(report.is_passed());
        assert_eq!(
            report.to_string(),
            "case: what was done\n      restart   1.23 s\n  ok  found     3 of 3\n  \
             ok  held      2 of 2, the fewest on 20\n"
        );
        report.promise_held("held", &[20, 19], 20);
        assert!(!report.is_passed());
        assert!(report.to_string().contains("  NO  held      1 of 2, the fewest on 19\n"));
        assert!(report.summary().starts_with("case             FAILED   2 of 3 promises kept"));
    }

    #[test]
    fn nothing_found_is_no_success() {
        for gets in [
            Tally::default(),
            Tally { found: 3, missing: 1, ..Tally::default() },
            Tally { found: 3, wrong: 1, ..Tally::default() },
        ] {
            let mut report = Report::new("case", String::new());
            report.promise_all_found("found", &gets);
            assert!(!report.is_passed(), "{gets:?}");
        }
        let mut report = Report::new("case", String::new());
        report.promise_held("held", &[], 20);
        assert!(!report.is_passed());
    }
}
