//! The load engine: sends what the schedule says when it says so, and measures itself.
//!
//! `schedule` (pure) → `feed` (a thread that reads and encodes ahead) → `worker` (the sending
//! loop, one a thread) → `connection` and `http1` → `tally` → `engine` (slots, whole again).

mod caught;
mod connection;
mod control;
mod counted;
mod encode;
mod engine;
mod exchange;
mod feed;
mod forecast;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod hpack;
mod http1;
mod http2;
mod order;
mod pool;
mod queue;
mod rendezvous;
mod schedule;
mod seconds;
mod sessions;
mod source;
mod stream;
mod tally;
mod worker;

pub use control::{Gauge, Limits, Stop};
pub use engine::{EngineError, Load, Running, start};
pub use feed::{Endpoints, mean_rate};
pub use forecast::{Forecast, forecast};
pub use schedule::{Arrangement, Arrivals, Layout, SlotSpec, Window};
pub use stream::RouteError;
