//! `compare --resume`: what an earlier session of the same comparison has left behind.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, anyhow, bail};

use super::exit::Failure;
use crate::{
    compare::{Policy, RoundEvidence, Session, Verdict, judge},
    experiment::{CARRIED_OUT, Judgement, Plan, rounds_of},
    replay::Layout,
    run::{COMMIT, Run, RunHeader, Side, Slot},
};

/// What was measured already.
#[derive(Debug)]
pub(super) struct Earlier {
    run: Run,
    plan: Plan,
    /// The last round of which every slot is there; 0 for none.
    last_round: u32,
}

impl Earlier {
    /// Reads the run file of a comparison that was interrupted or ended without an answer.
    ///
    /// # Errors
    /// When the file is not there, damaged, or of a comparison that cannot be resumed.
    pub(super) fn read(out_dir: &Path) -> Result<Self, Failure> {
        let path = out_dir.join("run.jsonl");
        Self::open(&path)
            .with_context(|| format!("--resume: {}", path.display()))
            .map_err(Failure::usage)
    }

    fn open(path: &Path) -> anyhow::Result<Self> {
        let file =
            File::open(path).context("cannot be read; is --out-dir that of the comparison?")?;
        let mut run = Run::read(BufReader::new(file))?;
        if run.footer.is_some() && run.damage.is_some() {
            let damage = run.damage.unwrap_or_default();
            bail!("{damage}; measure again without --resume");
        }
        let plan: Plan = serde_json::from_value(run.header.plan.clone())
            .context("it is not the run file of a comparison of this version")?;
        let per_round = if plan.layout.takes_turns() { 4 } else { 2 };
        let is_whole = |round: &u32| {
            let own = run.slots.iter().filter(|slot| slot.round == *round);
            own.filter(|slot| slot.complete).count() == per_round
        };
        // The end of a round that was cut short is measured again.
        let seen = run.slots.iter().map(|slot| slot.round).max().unwrap_or(0);
        let last_round = (1..=seen).rev().find(is_whole).unwrap_or(0);
        run.slots
            .retain(|slot| slot.round > 0 && slot.round <= last_round);
        if last_round == 0 {
            bail!("it holds no complete round; measure again without --resume");
        }
        Ok(Self {
            run,
            plan,
            last_round,
        })
    }

    /// The number of its last complete round.
    pub(super) fn last_round(&self) -> u32 {
        self.last_round
    }

    /// How its time was cut.
    pub(super) fn layout(&self) -> Layout {
        self.plan.layout
    }

    /// What was measured.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.run.slots
    }

    /// How long it took, in nanoseconds, as far as its file says.
    pub(super) fn elapsed_ns(&self) -> u64 {
        self.run
            .footer
            .as_ref()
            .map_or(0, |footer| footer.elapsed_ns)
    }

    /// Its rounds.
    pub(super) fn rounds(&self, policy: &Policy) -> Vec<RoundEvidence> {
        rounds_of(&self.run.slots, policy)
    }

    /// After how many valid rounds enough was expected to be known.
    pub(super) fn enough(&self) -> Option<u32> {
        self.plan.enough
    }

    /// Its sessions, and one more of so many rounds.
    pub(super) fn sessions_with(&self, rounds: u32) -> Vec<Session> {
        let mut sessions = self.plan.sessions.clone();
        let ended = self.run.footer.as_ref();
        if let Some(last) = sessions.last_mut() {
            last.carried_out = last.last_round == self.last_round
                || ended.is_some_and(|footer| footer.reason == CARRIED_OUT);
            last.last_round = self.last_round;
        }
        sessions.push(Session {
            last_round: self.last_round + rounds,
            carried_out: false,
        });
        sessions
    }

    /// Refuses to go on where there is an answer: a repeated comparison is a new test, and testing
    /// until it passes is not testing.
    ///
    /// # Errors
    /// When the comparison ended with another verdict than INCONCLUSIVE.
    pub(super) fn check_open(&self, judgement: &Judgement) -> Result<(), Failure> {
        let was_cut = self
            .run
            .footer
            .as_ref()
            .is_none_or(|it| it.state == "partial");
        let mut design = judgement.design.clone();
        design.sessions.pop();
        let found = judge(
            &design,
            &judgement.policy,
            &judgement.tables,
            &judgement.earlier,
        );
        if was_cut || found.verdict == Verdict::Inconclusive {
            return Ok(());
        }
        Err(Failure::usage(anyhow!(
            "--resume: the comparison has an answer already; measure anew in another --out-dir if \
             you doubt it, and keep both reports"
        )))
    }

    /// Refuses to go on with anything else than what was begun. Sides in `moving` are local builds,
    /// which get another port each time.
    ///
    /// # Errors
    /// When the workload, a target, the load or a margin is another one.
    pub(super) fn check(&self, now: &RunHeader, moving: [bool; 2]) -> Result<(), Failure> {
        let then = &self.run.header;
        let targets = |side: &Side| {
            let url = |header: &RunHeader| header.targets.get(side).map(|it| it.url.clone());
            moving[side.index()] || url(now) == url(then)
        };
        let part = |header: &RunHeader, group: &str, keys: &[&str]| -> Vec<serde_json::Value> {
            let group = header.config.get(group);
            let value = |key: &&str| group.and_then(|group| group.get(*key)).cloned();
            keys.iter()
                .map(|key| value(key).unwrap_or_default())
                .collect()
        };
        let same = |group, keys: &[&str]| part(now, group, keys) == part(then, group, keys);
        // What was not said then, or is not said now, is no other commit.
        let rebuilt = |side: &Side| {
            let built = |header: &RunHeader| header.targets.get(side)?.labels.get(COMMIT).cloned();
            let both = built(now).zip(built(then));
            both.is_some_and(|(now, then)| now != then)
        };
        let differs = if now.workload.digest != then.workload.digest {
            "the workload"
        } else if !targets(&Side::Baseline) {
            "the baseline"
        } else if !targets(&Side::Candidate) {
            "the candidate"
        } else if rebuilt(&Side::Baseline) {
            "the commit of the baseline"
        } else if rebuilt(&Side::Candidate) {
            "the commit of the candidate"
        } else if !same("load", &["arrivals", "rate", "speed"]) {
            "the load (--arrivals, --rate or --speed)"
        } else if !same("load", &["cookies"]) {
            "--cookies"
        } else if now.config.get("replay") != then.config.get("replay") {
            "[replay] in proofload.toml"
        } else if !same("limits", &["total_timeout_ns"]) {
            "--timeout"
        } else if !same("gate", &["alpha", "tolerance", "minimum_effect"]) {
            "a setting of the gate (--alpha, --tolerance or --min-effect)"
        } else {
            return Ok(());
        };
        Err(Failure::usage(anyhow!(
            "--resume: {differs} is not what it was when the comparison began; give the same \
             flags, or measure anew in another --out-dir"
        )))
    }
}
