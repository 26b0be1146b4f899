//! The flags that take a part of a workload: the same for `sample` and for all that send.

use clap::Args;

use crate::workload::{
    Method,
    filter::{Filter, Window},
    pattern::Pattern,
};

/// Which requests are taken.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filter")]
pub(super) struct FilterArgs {
    /// Only requests of this endpoint: 'GET /cart', /cart or '*/orders/*'; may be repeated
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Vec<Pattern>,
    /// Only requests with this method; may be repeated, or separated by ,
    #[arg(long, value_name = "METHOD", value_delimiter = ',', value_parser = method)]
    method: Vec<Method>,
    /// Only this part of the recorded time, counted from its first request: 10m..20m, 10m.., ..20m
    #[arg(long, value_name = "FROM..TO")]
    window: Option<Window>,
}

fn method(text: &str) -> Result<Method, String> {
    Method::try_from(text.to_ascii_uppercase())
}

impl FilterArgs {
    /// The filter, without any lots.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            endpoints: self.endpoint.clone(),
            methods: self.method.clone(),
            window: self.window,
            draw: None,
        }
    }
}
