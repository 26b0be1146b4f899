//! What a person sees while the load runs: on stderr, one line that renews itself on a
//! terminal, a plain line every ten seconds elsewhere. Never from a sending thread.

use std::{io::IsTerminal, sync::atomic::Ordering, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    clock::Clock,
    compare::{Comparison, Status},
    experiment::News,
    units::{SECOND_NS, seconds},
};

/// How often a plain line is written.
const PLAIN_NS: u64 = 10 * SECOND_NS;

/// The display of one run.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    clock: Clock,
    next_plain_ns: u64,
    total_ns: u64,
    sent: u64,
    failed: u64,
    in_flight: u64,
    round: u32,
    rounds: u32,
    finding: String,
}

impl Progress {
    /// A display for a run of so many rounds and so much time.
    pub(super) fn new(total_ns: u64, rounds: u32) -> Self {
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        let terminal = std::io::stderr().is_terminal() && !ci;
        let bar = terminal.then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(Some(total_ns / 1_000_000), target);
            let template = "{bar:24} {msg}";
            let style = ProgressStyle::with_template(template).expect("a valid template");
            bar.set_style(style.progress_chars("=> "));
            bar
        });
        Self {
            bar,
            clock: Clock::start(),
            next_plain_ns: PLAIN_NS,
            total_ns,
            sent: 0,
            failed: 0,
            in_flight: 0,
            round: 0,
            rounds,
            finding: String::new(),
        }
    }

    /// Takes the news of a run.
    pub(super) fn tell(&mut self, news: &News<'_>) {
        match news {
            News::Tick(gauge) => {
                self.sent = gauge.sent.load(Ordering::Relaxed);
                self.failed = gauge.failed.load(Ordering::Relaxed);
                self.in_flight = gauge.in_flight.load(Ordering::Relaxed);
                self.draw();
            }
            News::Slot(slot) => self.round = self.round.max(slot.round),
            News::Judged(comparison) => self.finding = finding(comparison),
        }
    }

    /// Takes the display away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn draw(&mut self) {
        let now_ns = self.clock.now_ns();
        if let Some(bar) = &self.bar {
            bar.set_position(now_ns.min(self.total_ns) / 1_000_000);
            bar.set_message(self.line(now_ns));
        } else if now_ns >= self.next_plain_ns {
            self.next_plain_ns = now_ns + PLAIN_NS;
            super::say(&self.line(now_ns));
        }
    }

    fn line(&self, now_ns: u64) -> String {
        let elapsed = Duration::from_secs(now_ns / SECOND_NS);
        let rate = crate::units::count(self.sent) / seconds(now_ns).max(0.1);
        format!(
            "{} of {:.0}s, round {} of {}, {rate:.0}/s, {} failed, {} in flight{}",
            humantime::format_duration(elapsed),
            seconds(self.total_ns),
            self.round,
            self.rounds,
            self.failed,
            self.in_flight,
            self.finding,
        )
    }
}

fn finding(comparison: &Comparison) -> String {
    let gate = comparison.changes.iter().filter(|change| change.gate);
    let (mut decided, mut all) = (0, 0);
    for change in gate.filter(|change| change.status != Status::NotJudged) {
        all += 1;
        decided += u32::from(change.status != Status::Inconclusive);
    }
    format!(", {decided} of {all} decided")
}
