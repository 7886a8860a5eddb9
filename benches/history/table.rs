//! What was measured, for people: a line per state of the shop, and ratios.

use std::{fmt, time::Duration};

use crate::{cost::Spent, load::Report};

/// Cost per order in one state of the shop.
pub(crate) struct Line {
    what: String,
    /// Milliseconds of CPU per order.
    postgres: f64,
    ours: f64,
    commits: f64,
    statements: f64,
    kilobytes: f64,
    /// Of answers, milliseconds.
    p50: f64,
    p99: f64,
    /// From the last answer to its delivery, milliseconds.
    behind: f64,
    /// Orders delivered per second, at most.
    peak: f64,
    refused: u32,
}

impl Line {
    pub(crate) fn of(what: &str, report: &Report, spent: Spent, peak: &Report) -> Self {
        let orders = f64::from(report.placed.max(1));
        #[expect(clippy::cast_precision_loss, reason = "microseconds of an answer")]
        let quantile = |q| report.latency.value_at_quantile(q) as f64 / 1_000.0;
        Self {
            what: what.to_owned(),
            p50: quantile(0.5),
            p99: quantile(0.99),
            behind: report.behind.as_secs_f64() * 1_000.0,
            peak: f64::from(peak.placed) / peak.took.as_secs_f64(),
            refused: report.refused + peak.refused,
            ..Self::per(orders, spent)
        }
    }

    pub(crate) fn of_reference(orders: f64, spent: Spent, peak: f64) -> Self {
        let what = "the same rows in one transaction (pgbench)".to_owned();
        Self { what, peak, ..Self::per(orders, spent) }
    }

    fn per(orders: f64, spent: Spent) -> Self {
        Self {
            what: String::new(),
            postgres: spent.postgres * 1_000.0 / orders,
            ours: spent.ours * 1_000.0 / orders,
            commits: spent.commits / orders,
            statements: spent.statements / orders,
            kilobytes: spent.bytes / 1_024.0 / orders,
            p50: 0.0,
            p99: 0.0,
            behind: 0.0,
            peak: 0.0,
            refused: 0,
        }
    }

    fn cpu(&self) -> f64 {
        self.postgres + self.ours
    }
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<Line>,
    reference: Option<Line>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn add(&mut self, line: Line) {
        println!("{line}");
        self.lines.push(line);
    }

    pub(crate) fn reference(&mut self, line: Line) {
        println!("{line}");
        self.reference = Some(line);
    }

    pub(crate) fn written(&mut self, orders: u32, took: Duration, bytes: f64) {
        let each = bytes / 1_024.0 / f64::from(orders.max(1));
        self.note(format!("{orders} orders were written in {took:.0?}, {each:.1} KB each"));
    }

    pub(crate) fn verified(&mut self, orders: u32, took: Duration) {
        self.note(format!(
            "all invariants of {orders} orders were verified in {took:.1?} (goal: 20 s)"
        ));
    }

    pub(crate) fn at_rest(&mut self, what: &str, spent: Spent, took: Duration) {
        let percent = |seconds: f64| seconds * 100.0 / took.as_secs_f64();
        let (postgres, ours) = (percent(spent.postgres), percent(spent.ours));
        let (statements, commits) = (spent.statements, spent.commits);
        let each = |number: f64| number / took.as_secs_f64();
        self.note(format!(
            "{what}: {:.2} % of a core (Postgres {postgres:.2}, ours {ours:.2}; goal: 1.5), \
             {:.0} statements and {:.0} commits per second",
            postgres + ours,
            each(statements),
            each(commits)
        ));
    }

    fn note(&mut self, note: String) {
        println!("{note}");
        self.notes.push(note);
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, postgres, ours, commits, statements, kilobytes, .. } = self;
        let Self { p50, p99, behind, peak, refused, .. } = self;
        write!(
            f,
            "{what:<44} {postgres:>7.1} {ours:>6.1} {commits:>7.1} {statements:>7.1} \
             {kilobytes:>6.1} {p50:>6.0} {p99:>6.0} {behind:>7.0} {peak:>7.0}"
        )?;
        if *refused > 0 {
            write!(f, "   {refused} refused")?;
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nper order: milliseconds of CPU, commits, statements, KB; answers in ms")?;
        writeln!(
            f,
            "{:<44} {:>7} {:>6} {:>7} {:>7} {:>6} {:>6} {:>6} {:>7} {:>7}",
            "", "Postgr.", "ours", "commits", "statem.", "KB", "p50", "p99", "behind", "most/s"
        )?;
        for line in self.lines.iter().chain(&self.reference) {
            writeln!(f, "{line}")?;
        }
        if let Some(fresh) = self.lines.first() {
            writeln!(f)?;
            for line in &self.lines[1..] {
                let (ratio, what) = (line.cpu() / fresh.cpu(), &line.what);
                writeln!(f, "CPU, {what} / fresh   {ratio:.2}   goal: 1.2")?;
            }
            if let Some(reference) = &self.reference {
                for line in &self.lines {
                    let (ratio, what) = (line.cpu() / reference.cpu(), &line.what);
                    let most = line.peak / reference.peak;
                    writeln!(f, "{what} / one transaction   CPU {ratio:.2}, most/s {most:.2}")?;
                }
            }
        }
        writeln!(f)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
