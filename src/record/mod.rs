//! Recording: a reverse proxy in front of a real application that passes everything on as it is
//! and writes down what can be replayed.
//!
//! `proxy` takes connections, `upstream` makes those to the application, `exchange` follows one
//! request to the end of its answer, and `tape`, on a thread of its own, redacts, puts in order
//! and writes. Where the lines go is the business of a [`Sink`]. `answer` keeps in memory for a
//! moment what `listen` compares with later requests.

mod answer;
mod body;
mod copy;
mod exchange;
mod forward;
mod interim;
mod listen;
mod proxy;
mod session;
mod tape;
mod upstream;

pub use exchange::Recorder;
pub use proxy::{Draining, Proxy};
pub use session::SessionBy;
pub use tape::{Sink, Tape, Taped, start};
pub use tokio_rustls::TlsAcceptor;
pub use upstream::{Upstream, UpstreamError};

/// Fields of one head at the most.
const MOST_FIELDS: usize = 256;
/// The largest head of HTTP/2, in bytes.
const MOST_HEAD: u32 = 256 << 10;
