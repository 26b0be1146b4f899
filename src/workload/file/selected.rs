//! A part of a workload: the requests of another that a filter takes, as a workload of its own.

use std::{io, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Inner, Requests, Source, Workload, WorkloadError};
use crate::{
    text::printable,
    workload::{
        Origin, Request,
        filter::{Draw, Filter},
        line,
        summary::Tally,
    },
};

impl Workload {
    /// The requests of this workload that a filter takes, their offsets counted from the first of
    /// them. Reads the workload once, to know what is left.
    ///
    /// # Errors
    /// When nothing is left, or the workload cannot be read to its end.
    pub fn select(&self, filter: Filter) -> Result<Self, WorkloadError> {
        if filter.takes_all() {
            return Ok(self.clone());
        }
        let name = format!("{} ({})", self.name(), printable(&filter.to_string()));
        let mut requests = Requests::selected(self, &filter)?;
        let mut tally = Tally::default();
        while let Some(request) = requests.next_request()? {
            let line = line::encode(&request).map_err(|fault| requests.fault(fault))?;
            tally.add(&request, line.trim_end_matches('\n').as_bytes());
        }
        let Some(first_ns) = requests.first_ns() else {
            let name = self.name().to_owned();
            let filter = printable(&filter.to_string());
            return Err(WorkloadError::NothingLeft { name, filter });
        };
        let own = &self.summary().origin;
        let origin = Origin {
            recorded_at: own.recorded_at.as_deref().map(|at| later(at, first_ns)),
            ..own.clone()
        };
        let inner = Arc::new(Inner {
            name,
            source: Source::Selected(self.clone(), filter),
            summary: tally.finish(origin),
            rules: self.rules().clone(),
        });
        Ok(Self { inner })
    }
}

/// The requests of another stream that a filter takes.
pub(super) struct Selected {
    whole: Requests,
    filter: Filter,
    /// How many passed the filter before the lots were drawn.
    index: u64,
    first_ns: Option<u64>,
}

impl Selected {
    pub(super) fn next_request(&mut self) -> Result<Option<Request>, WorkloadError> {
        while let Some(mut request) = self.whole.next_request()? {
            if self.filter.ends_before(request.offset_ns) {
                return Ok(None);
            }
            if !self.filter.takes(&request) {
                continue;
            }
            let index = self.index;
            self.index += 1;
            if let Some(draw) = &self.filter.draw
                && !draw.takes(Draw::lot(draw.by, draw.seed, &request, index))
            {
                continue;
            }
            request.offset_ns -= *self.first_ns.get_or_insert(request.offset_ns);
            return Ok(Some(request));
        }
        Ok(None)
    }
}

impl Requests {
    pub(super) fn selected(whole: &Workload, filter: &Filter) -> Result<Self, WorkloadError> {
        let selected = Selected {
            whole: whole.requests()?,
            filter: filter.clone(),
            index: 0,
            first_ns: None,
        };
        Ok(Self {
            selected: Some(Box::new(selected)),
            ..Self::over(whole.name().to_owned(), Box::new(io::empty()))
        })
    }

    /// The offset in the whole workload of the first request that a filter took.
    fn first_ns(&self) -> Option<u64> {
        self.selected
            .as_ref()
            .and_then(|selected| selected.first_ns)
    }
}

/// So many nanoseconds after an instant in RFC 3339; unchanged where it is none.
fn later(at: &str, ns: u64) -> String {
    let Ok(instant) = at.parse::<Timestamp>() else {
        return at.to_owned();
    };
    let later = instant.checked_add(Duration::from_nanos(ns));
    later.map_or(at.to_owned(), |later| later.to_string())
}
