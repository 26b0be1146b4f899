//! How accurate the server itself is: a raw sender in the same process, on another core, reads
//! the clock right before and right after each write. The true instant lies between the two.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use proofload::{
    clock::{Clock, wall_ns},
    units::{SECOND_NS, count},
};
use rustix::{
    thread::{ClockId, CpuSet},
    time::Timespec,
};

use super::{
    fit::{self, Errors},
    report::row,
    server::{self, Recording, Until},
};

const CONNECTIONS: usize = 64;
const LENGTH_S: u64 = 5;
/// Long enough for the answers, and for the first write.
const UNTIL: Until = Until {
    total_ns: (LENGTH_S + 10) * SECOND_NS,
    idle_ns: SECOND_NS / 2,
};

/// The clock beside one write.
struct Sent {
    before_ns: u64,
    after_ns: u64,
}

/// Sends at 2,000/s and at 10,000/s and prints how far the stamps are from the sender's clock.
pub(crate) fn run(out: &mut impl Write) -> anyhow::Result<()> {
    for rate in [2_000, 10_000] {
        let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let sender = thread::spawn(move || send(address, rate));
        pin(0);
        let recording = serve(&listener)?;
        let sent = sender.join().expect("the sender does not panic")?;
        print(out, rate, &sent, &recording)?;
    }
    Ok(())
}

fn serve(listener: &TcpListener) -> io::Result<Recording> {
    server::record(std::slice::from_ref(listener), UNTIL)
}

fn send(address: SocketAddr, rate: u64) -> io::Result<Vec<Sent>> {
    pin(1);
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let clock = Clock::start();
    let zero_ns = clock.now_ns() + 50_000_000;
    let start = rustix::time::clock_gettime(ClockId::Monotonic);
    let start_ns = u64::try_from(start.tv_sec).unwrap_or(0) * SECOND_NS
        + u64::try_from(start.tv_nsec).unwrap_or(0)
        - clock.now_ns()
        + zero_ns;
    let mut sent = Vec::new();
    let mut answer = [0; 256];
    for i in 0..rate * LENGTH_S {
        let at_ns = start_ns + i * SECOND_NS / rate;
        let at = Timespec {
            tv_sec: i64::try_from(at_ns / SECOND_NS).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at_ns % SECOND_NS).unwrap_or(0),
        };
        while rustix::thread::clock_nanosleep_absolute(ClockId::Monotonic, &at).is_err() {}
        let stream = &mut streams[usize::try_from(i).unwrap_or(0) % CONNECTIONS];
        if i >= CONNECTIONS as u64 && stream.read(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before_ns = wall_ns();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: self\r\n\r\n")?;
        let after_ns = wall_ns();
        sent.push(Sent {
            before_ns,
            after_ns,
        });
    }
    Ok(sent)
}

fn print(
    out: &mut impl Write,
    rate: u64,
    sent: &[Sent],
    recording: &Recording,
) -> anyhow::Result<()> {
    let arrivals = &recording.arrivals;
    anyhow::ensure!(
        arrivals.len() == sent.len(),
        "{} requests were sent and {} arrived",
        sent.len(),
        arrivals.len()
    );
    let pairs = || sent.iter().zip(arrivals);
    let between = pairs().filter(|(sent, at)| (sent.before_ns..=sent.after_ns).contains(at));
    let share = count(between.count() as u64) / count(sent.len() as u64);
    let from_write = pairs().map(|(sent, at)| count(at.abs_diff(sent.before_ns)));
    let writes = sent
        .iter()
        .map(|sent| count(sent.after_ns - sent.before_ns));
    let gap_ns = 1e9 / count(rate);
    let truth: Vec<u64> = sent.iter().map(|sent| sent.before_ns).collect();
    writeln!(
        out,
        "{rate}/s for {LENGTH_S} s on {CONNECTIONS} connections: {:.3} % of the stamps lie \
         inside the write, {} without a stamp",
        100.0 * share,
        recording.unstamped
    )?;
    writeln!(
        out,
        "{:<26}{:>12}{:>12}{:>12}{:>12}{:>14}",
        "µs", "p50", "p90", "p99", "p99.9", "max"
    )?;
    for (name, errors) in [
        ("stamp − clock at write", Errors::of(from_write.collect())),
        ("length of the write", Errors::of(writes.collect())),
        ("late, by the stamps", fit::constant(arrivals, gap_ns).late),
        ("late, by the sender", fit::constant(&truth, gap_ns).late),
    ] {
        writeln!(out, "{}", row(name, &errors))?;
    }
    let wakeup = |quantile| recording.wakeup.quantile_ns(quantile).unwrap_or(0.0) / 1e3;
    writeln!(
        out,
        "a clock read after the wake-up would have added p50 {:.1} µs, p99 {:.1} µs\n",
        wakeup(0.5),
        wakeup(0.99)
    )?;
    Ok(())
}

/// Keeps the calling thread on one core; where there is no such core it stays where it was.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    let _ = rustix::thread::sched_setaffinity(None, &cores);
}
