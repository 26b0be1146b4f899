//! What the misbehaving server can be told to answer, and how it does it.

use std::io;

use proofload::clock::{Clock, Timer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Peer, Shared};

/// What happens to requests of one path.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A plain answer with this status.
    Status(u16),
    /// A plain answer after so many nanoseconds.
    Delay(u64),
    /// This share of answers has the second status, chosen by a seeded coin; the rest is 200.
    Mix(f64, u16),
    /// This share of requests, chosen by a seeded coin, gets the first, and the rest the second.
    Either(f64, Box<Self>, Box<Self>),
    /// These bytes and then this.
    Bytes(Vec<u8>, Then),
    /// Made for each request by its number: these bytes and then this.
    Each(fn(u64) -> (Vec<u8>, Then)),
    /// These bytes one by one with so many nanoseconds between them.
    Drip(Vec<u8>, u64),
    /// One answer for each connection; the next request on it is read and the door closed.
    Once,
    /// The status that the path begins with, such as `/404`.
    Echo,
    /// The same after so many nanoseconds, and after as many again bytes that nobody asked for.
    EchoThen(u64, Vec<u8>),
    /// So many answers at once and so many in a second, and 429 for the rest.
    Bucket(u32, u32),
    /// A body that has no end.
    Endless,
    /// Nothing at all.
    Silence,
}

/// What happens after some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The connection stays open for more requests.
    Keep,
    /// The connection stays open, and nothing more is said.
    Hang,
    /// The connection is closed in order.
    Close,
    /// The connection is reset.
    Reset,
    /// TLS says farewell, and so many more bytes follow in the clear, in one piece with it.
    Farewell(usize),
}

/// What a fault means for this request: the status in it that the path begins with, or what is
/// made for its number.
pub(super) fn resolve(fault: Fault, path: &str, nth: u64) -> Fault {
    let status = path.get(1..4).and_then(|it| it.parse().ok()).unwrap_or(404);
    match fault {
        Fault::Echo => Fault::Status(status),
        Fault::Either(share, rare, usual) => {
            let hit = ChaCha8Rng::seed_from_u64(nth).random_bool(share);
            resolve(*if hit { rare } else { usual }, path, nth)
        }
        Fault::Each(make) => {
            let (bytes, then) = make(nth);
            Fault::Bytes(bytes, then)
        }
        Fault::EchoThen(ns, bytes) => Fault::EchoThen(ns, [plain(status), bytes].concat()),
        other => other,
    }
}

/// Does what a route says; `false` when the connection is to be closed.
pub(super) async fn answer(
    shared: &Shared,
    stream: &mut impl Peer,
    fault: Fault,
    (nth, first): (u64, bool),
) -> io::Result<bool> {
    match fault {
        Fault::Status(status) => stream.write_all(&plain(status)).await?,
        Fault::Echo => unreachable!("it has become a status"),
        Fault::EchoThen(ns, bytes) => {
            let answer = if ns == 0 {
                bytes.len()
            } else {
                plain(200).len()
            };
            wait_until(shared.clock, shared.clock.now_ns() + ns).await?;
            stream.write_all(&bytes[..answer]).await?;
            wait_until(shared.clock, shared.clock.now_ns() + ns).await?;
            stream.write_all(&bytes[answer..]).await?;
        }
        Fault::Bucket(burst, per_s) => {
            let has_one = shared.bucket(burst, per_s);
            stream
                .write_all(&plain(if has_one { 200 } else { 429 }))
                .await?;
        }
        Fault::Delay(ns) => {
            wait_until(shared.clock, shared.clock.now_ns() + ns).await?;
            stream.write_all(&plain(200)).await?;
        }
        Fault::Mix(share, status) => {
            let hit = ChaCha8Rng::seed_from_u64(nth).random_bool(share);
            let status = if hit { status } else { 200 };
            stream.write_all(&plain(status)).await?;
        }
        Fault::Each(_) | Fault::Either(..) => unreachable!("it has become something else"),
        Fault::Bytes(bytes, then) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            match then {
                Then::Keep => {}
                Then::Hang => hang(stream).await?,
                Then::Close => return Ok(false),
                Then::Farewell(extra) => {
                    stream.farewell(extra).await?;
                    hang(stream).await?;
                }
                Then::Reset => {
                    stream.reset()?;
                    return Ok(false);
                }
            }
        }
        Fault::Drip(bytes, gap_ns) => {
            for byte in bytes {
                stream.write_all(&[byte]).await?;
                wait_until(shared.clock, shared.clock.now_ns() + gap_ns).await?;
            }
        }
        Fault::Once if first => stream.write_all(&plain(200)).await?,
        Fault::Once => return Ok(false),
        Fault::Endless => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head).await?;
            let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
        Fault::Silence => hang(stream).await?,
    }
    stream.flush().await?;
    Ok(true)
}

/// Reads and says nothing until the peer has gone.
async fn hang(stream: &mut impl Peer) -> io::Result<()> {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

pub(super) async fn wait_until(clock: Clock, at_ns: u64) -> io::Result<()> {
    Timer::new(clock)?.until(at_ns).await
}

/// An answer with nothing wrong about it.
pub(crate) fn plain(status: u16) -> Vec<u8> {
    let body = if matches!(status, 204 | 304) {
        ""
    } else {
        "body\n"
    };
    let length = match status {
        204 | 304 => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    format!("HTTP/1.1 {status} Status\r\n{length}\r\n{body}").into_bytes()
}
