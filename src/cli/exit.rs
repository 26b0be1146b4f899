//! Every exit code, and the one rule that chooses among them. A verdict is never 1, 2 or 101.

use crate::{
    cli::settings::InconclusiveAs,
    compare::Verdict,
    experiment::Interrupt,
    replay::{EngineError, RouteError},
};

/// A complete, valid comparison was made and stored, and nothing is worse than tolerated.
pub(super) const PASS: u8 = 0;
/// Usage, configuration or an input file was rejected; nothing was sent.
pub(super) const USAGE: u8 = 2;
/// A safety refusal.
pub(super) const REFUSED: u8 = 3;
/// Something is worse than tolerated.
pub(super) const REGRESSED: u8 = 10;
/// Not enough evidence within the budget.
pub(super) const INCONCLUSIVE: u8 = 11;
/// The measurement cannot be trusted, or a side is unusable.
pub(super) const INVALID: u8 = 12;
/// The result could not be stored.
pub(super) const STORAGE: u8 = 20;
/// Interrupted by SIGINT; what was complete is saved.
pub(super) const SIGINT: u8 = 130;
/// Interrupted by SIGTERM; what was complete is saved.
pub(super) const SIGTERM: u8 = 143;
/// A bug in proofload.
pub(super) const BUG: u8 = 1;

/// An error with the exit code that it leads to.
#[derive(Debug)]
pub(super) struct Failure {
    /// The code.
    pub code: u8,
    /// What happened, and what to do.
    pub error: anyhow::Error,
}

impl Failure {
    /// Something the user gave was rejected.
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: USAGE,
            error: error.into(),
        }
    }

    /// The target may not be loaded.
    pub(super) fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: REFUSED,
            error: error.into(),
        }
    }

    /// A side cannot be measured.
    pub(super) fn invalid(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: INVALID,
            error: error.into(),
        }
    }

    /// The result could not be stored.
    pub(super) fn storage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: STORAGE,
            error: error.into(),
        }
    }

    /// The load engine could not go on: a workload that changed or broke while it was read spoils
    /// the measurement, everything else is a bug.
    pub(super) fn engine(error: EngineError) -> Self {
        match error {
            EngineError::Workload(_) => Self::invalid(error),
            EngineError::Route(RouteError::Tls(_)) => Self::usage(error),
            EngineError::Route(_) | EngineError::Io(_) | EngineError::Panicked => Self::bug(error),
        }
    }

    /// Nothing that a user did.
    pub(super) fn bug(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: BUG,
            error: error.into(),
        }
    }
}

/// The code of a signal.
pub(super) fn of_interrupt(interrupt: Interrupt) -> u8 {
    match interrupt {
        Interrupt::Int => SIGINT,
        Interrupt::Term => SIGTERM,
    }
}

/// The code of a verdict.
pub(super) fn of_verdict(verdict: Verdict, inconclusive_as: Option<InconclusiveAs>) -> u8 {
    match (verdict, inconclusive_as) {
        (Verdict::Pass, _) | (Verdict::Inconclusive, Some(InconclusiveAs::Pass)) => PASS,
        (Verdict::Regressed, _) | (Verdict::Inconclusive, Some(InconclusiveAs::Fail)) => REGRESSED,
        (Verdict::Inconclusive, None) => INCONCLUSIVE,
        (Verdict::Invalid, _) => INVALID,
    }
}

/// The code of a run that reached its end: a signal beats the verdict, and a result that could
/// not be stored is no result.
pub(super) fn of_run(interrupt: Option<Interrupt>, stored: bool, verdict: u8) -> u8 {
    match interrupt {
        Some(interrupt) => of_interrupt(interrupt),
        None if !stored => STORAGE,
        None => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_was_not_stored_is_never_a_pass() {
        assert_eq!(of_run(None, false, PASS), STORAGE);
        assert_eq!(of_run(None, false, REGRESSED), STORAGE);
        assert_eq!(of_run(None, true, REGRESSED), REGRESSED);
        assert_eq!(of_run(Some(Interrupt::Int), false, REGRESSED), SIGINT);
        assert_eq!(of_run(Some(Interrupt::Term), true, PASS), SIGTERM);
    }

    #[test]
    fn only_the_inconclusive_can_be_mapped() {
        for map in [None, Some(InconclusiveAs::Pass), Some(InconclusiveAs::Fail)] {
            assert_eq!(of_verdict(Verdict::Pass, map), PASS);
            assert_eq!(of_verdict(Verdict::Regressed, map), REGRESSED);
            assert_eq!(of_verdict(Verdict::Invalid, map), INVALID);
        }
        assert_eq!(of_verdict(Verdict::Inconclusive, None), INCONCLUSIVE);
        assert_eq!(
            of_verdict(Verdict::Inconclusive, Some(InconclusiveAs::Pass)),
            PASS
        );
        assert_eq!(
            of_verdict(Verdict::Inconclusive, Some(InconclusiveAs::Fail)),
            REGRESSED
        );
    }
}
