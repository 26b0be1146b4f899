//! `--loop`: a run that lasts as long as the workload takes so many times over.

use anyhow::anyhow;

use super::{exit::Failure, input, settings::LoadSettings};
use crate::{
    replay::{Arrivals, mean_rate},
    units::{Span, count, from_seconds},
    workload::Workload,
};

/// The settings with the time that the workload takes so many times over.
///
/// # Errors
/// When nobody knows how long that is (usage).
pub(super) fn looped(
    loops: Option<u32>,
    settings: LoadSettings,
    workload: &Workload,
) -> Result<LoadSettings, Failure> {
    let Some(loops) = loops else {
        return Ok(settings);
    };
    let arrivals = input::arrivals(&settings, workload)?;
    let requests = count(workload.summary().requests) * f64::from(loops);
    let time = match arrivals {
        Arrivals::Closed(_) | Arrivals::Ramp(..) => Err(anyhow!(
            "--loop needs to know how long the workload takes, and with closed or ramp arrivals \
             nobody does; give --duration"
        )),
        _ if loops == 0 => Err(anyhow!("--loop 0 sends nothing")),
        _ => Ok(Span::from_ns(from_seconds(
            requests / mean_rate(workload, arrivals),
        ))),
    };
    Ok(LoadSettings {
        duration: Some(time.map_err(Failure::usage)?),
        ..settings
    })
}
