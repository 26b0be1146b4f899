//! HTTP/2 with a server that somebody else wrote: what nginx logged is what we counted. Skipped
//! with a word where nginx is missing.

use std::{
    collections::BTreeMap,
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use proofload::{
    replay::Arrivals,
    run::{Class, Side},
    workload::Protocol,
};

use crate::engine::{load, quiet, run, workload};

struct Nginx {
    process: Child,
    port: u16,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// One process that says farewell after so many requests on a connection; nothing where
    /// there is no nginx that can do this.
    fn start(home: &Path, requests: u32) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = home.display();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temp = temp.map(|it| format!("{it}_temp_path {at}/{it};")).concat();
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid;
             events {{ worker_connections 512; }}
             http {{
                 {temp}
                 access_log {at}/access.log;
                 keepalive_requests {requests};
                 http2_max_concurrent_streams 32;
                 server {{
                     listen 127.0.0.1:{port} http2;
                     location / {{ return 200 'hello'; }}
                 }}
             }}"
        );
        fs::write(home.join("nginx.conf"), config).unwrap();
        let process = Command::new("nginx")
            .arg("-p")
            .arg(home)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut nginx = Self { process, port };
        for _ in 0..400 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(nginx);
            }
            if nginx.process.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        None
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "whoever reads the results must see what was not tried"
)]
fn nginx_and_we_count_the_same_over_http2() {
    let _quiet = quiet();
    for (requests, streams) in [(100_000_000, 32), (50, 4)] {
        let dir = tempfile::tempdir().unwrap();
        let Some(nginx) = Nginx::start(dir.path(), requests) else {
            println!("nginx_and_we_count_the_same_over_http2 is skipped: no nginx with HTTP/2");
            return;
        };
        let address = ([127, 0, 0, 1], nginx.port).into();
        let mut load = load(address, workload(&["GET /x"], None), "1/s", 500);
        load.targets[1].as_mut().unwrap().protocol = Protocol::Http2;
        load.arrivals = Arrivals::Closed(8 * streams);
        load.limits.http2_connections_max = 8;
        load.limits.streams_max = streams;
        let trial = run(&load);
        let total = trial.side(Side::Candidate);
        assert_eq!(trial.classes(), BTreeMap::from([(Class::Ok, total.sent())]));
        assert!(total.sent() > 256);
        let log = fs::read_to_string(dir.path().join("access.log")).unwrap();
        let logged = log.lines().filter(|line| line.contains(" 200 ")).count() as u64;
        assert_eq!(
            logged,
            total.sent(),
            "with {requests} requests a connection"
        );
        assert_eq!(total.body_bytes, 5 * total.sent());
    }
}
