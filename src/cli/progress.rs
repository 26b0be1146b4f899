//! What a person sees while the load runs: on stderr, a board that renews itself on a terminal,
//! a plain line every ten seconds elsewhere. Never from a sending thread.

mod board;

use std::{io::IsTerminal, sync::atomic::Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    clock::Clock,
    experiment::News,
    units::{SECOND_NS, whole},
};
use board::{Board, Look, Metrics};

/// How often a plain line is written.
const PLAIN_NS: u64 = 10 * SECOND_NS;
/// How often the board is drawn at the most, in a second.
const DRAWS: u8 = 10;
/// The width of a terminal that does not tell its own.
const WIDTH: u16 = 80;

/// The display of one run.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    clock: Clock,
    next_plain_ns: u64,
    board: Board,
}

impl Progress {
    /// A display for a run of so many rounds and so much time.
    pub(super) fn new(total_ns: u64, rounds: u32) -> Self {
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let terminal = std::io::stderr().is_terminal() && !ci && !dumb;
        let bar = terminal.then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(DRAWS);
            let bar = ProgressBar::with_draw_target(None, target);
            let style = ProgressStyle::with_template("{msg}").expect("a valid template");
            bar.set_style(style);
            bar
        });
        Self {
            bar,
            clock: Clock::start(),
            next_plain_ns: PLAIN_NS,
            board: Board {
                total_ns,
                rounds,
                ..Board::default()
            },
        }
    }

    /// Takes the news of a run.
    pub(super) fn tell(&mut self, news: &News<'_>) {
        let board = &mut self.board;
        match news {
            News::Tick(gauge) => {
                board.sent = gauge.sent.load(Ordering::Relaxed);
                board.failed = gauge.failed.load(Ordering::Relaxed);
                board.in_flight = gauge.in_flight.load(Ordering::Relaxed);
                self.draw();
            }
            News::Slot(slot) => {
                board.round = board.round.max(slot.round);
                board.lag_ns = slot
                    .health
                    .lag
                    .quantile_ns(0.99)
                    .map(whole)
                    .or(board.lag_ns);
            }
            News::Judged(comparison) => board.metrics = Metrics::of(comparison),
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
            bar.set_message(self.board.lines(now_ns, look()).join("\n"));
        } else if now_ns >= self.next_plain_ns {
            self.next_plain_ns = now_ns + PLAIN_NS;
            super::say(&self.board.plain(now_ns));
        }
    }
}

/// How the terminal of stderr is drawn on; its size may change while the load runs.
fn look() -> Look {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    let width = size.map_or(WIDTH, |size| size.ws_col);
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let unicode = locale.is_none_or(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    });
    Look {
        // The last column stays free: some terminals break the line when it is written to.
        width: usize::from(if width == 0 { WIDTH } else { width }).saturating_sub(1),
        colour: !is_set("NO_COLOR"),
        unicode,
    }
}
