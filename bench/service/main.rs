//! A service with real work, for comparisons of a build with a slower one: three endpoints that
//! wait for a backend as a service does, and compute. What is wrong with it is planted by flags.
//!
//!     service --port N [--slow ENDPOINT=FACTOR] [--tail ENDPOINT=SHARExFACTOR]
//!             [--errors ENDPOINT=SHARE]
//!
//! `--slow search=1.2` makes 20 % more of both waiting and computing; `--tail search=0.01x5`
//! makes one request in a hundred take five times as long; `--errors item=0.005` answers so many
//! with 500.
//! Listens on loopback only, until it is ended.

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a bench that cannot go on ends with its cause"
)]

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};

/// Name, time that it waits in microseconds, units of work that it computes.
const ENDPOINTS: [(&str, f64, f64); 3] = [
    ("search", 4_000.0, 40.0),
    ("item", 1_500.0, 15.0),
    ("render", 2_000.0, 90.0),
];

/// What is wrong with an endpoint.
#[derive(Debug, Clone, Copy)]
struct Fault {
    slow: f64,
    tail_share: f64,
    tail_factor: f64,
    errors: f64,
}

struct Service {
    faults: [Fault; 3],
    /// Requests so far: which of them are hit is decided by their number, not by chance.
    served: AtomicU64,
}

fn main() {
    let (port, service) = configured();
    let service = Arc::new(service);
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    for stream in listener.incoming().flatten() {
        let service = Arc::clone(&service);
        thread::spawn(move || converse(&stream, &service));
    }
}

fn configured() -> (u16, Service) {
    let sound = Fault {
        slow: 1.0,
        tail_share: 0.0,
        tail_factor: 1.0,
        errors: 0.0,
    };
    let (mut port, mut faults) = (0, [sound; 3]);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().unwrap_or_default();
        if flag == "--port" {
            port = value.parse().unwrap();
            continue;
        }
        let (name, value) = value.split_once('=').unwrap();
        let at = ENDPOINTS.iter().position(|it| it.0 == name).unwrap();
        let fault = &mut faults[at];
        match flag.as_str() {
            "--slow" => fault.slow = value.parse().unwrap(),
            "--errors" => fault.errors = value.parse().unwrap(),
            "--tail" => {
                let (share, factor) = value.split_once('x').unwrap();
                (fault.tail_share, fault.tail_factor) =
                    (share.parse().unwrap(), factor.parse().unwrap());
            }
            _ => eprintln!("{flag} is unknown"),
        }
    }
    let served = AtomicU64::new(0);
    (port, Service { faults, served })
}

fn converse(stream: &TcpStream, service: &Service) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            line.clear();
        }
        let path = first.split(' ').nth(1)?;
        let (status, body) = service.answer(path);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = stream;
        writer.write_all((head + &body).as_bytes()).ok()?;
    }
}

impl Service {
    fn answer(&self, path: &str) -> (&'static str, String) {
        let name = path.split('/').nth(1).unwrap_or_default();
        let Some(at) = ENDPOINTS.iter().position(|it| it.0 == name) else {
            return ("404 Not Found", "{}".to_owned());
        };
        let (_, wait_us, work) = ENDPOINTS[at];
        let fault = self.faults[at];
        let n = self.served.fetch_add(1, Ordering::Relaxed);
        // Two numbers in [0, 1) that look like chance and are the same for every build.
        let draw = |salt: u64| {
            let mixed = (n ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            f64::from(u32::try_from(mixed).unwrap()) / f64::from(1 << 24)
        };
        if draw(1) < fault.errors {
            return ("500 Internal Server Error", "{}".to_owned());
        }
        let hit = draw(2) < fault.tail_share;
        let factor = fault.slow * if hit { fault.tail_factor } else { 1.0 };
        // A backend is not always equally fast.
        let spread = 0.8 + 0.4 * draw(3);
        thread::sleep(Duration::from_secs_f64(1e-6 * wait_us * spread * factor));
        ("200 OK", compute(n, work * factor))
    }
}

/// Sorts, hashes and prints: some 10 µs a unit.
fn compute(seed: u64, units: f64) -> String {
    let mut digest = Sha256::new();
    let mut rows = Vec::new();
    for unit in (0_u32..).take_while(|unit| f64::from(*unit) < units) {
        let mut values: Vec<u64> = (0..128)
            .map(|i| (seed ^ i ^ u64::from(unit)).wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .collect();
        values.sort_unstable();
        digest.update(values[64].to_le_bytes());
        rows.push(format!("{{\"row\":{unit},\"median\":{}}}", values[64]));
    }
    let hex: String = digest
        .finalize()
        .iter()
        .take(8)
        .map(|b| char::from(b'a' + b % 16))
        .collect();
    rows.truncate(20);
    format!("{{\"digest\":\"{hex}\",\"rows\":[{}]}}", rows.join(","))
}
