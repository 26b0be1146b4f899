//! `proofload record`: a reverse proxy in front of an application that writes a workload.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    exit::{self, Failure},
    import::check_output,
    input::raise_descriptors,
    print, say,
    settings::FileSettings,
    trust::{self, TlsFlags},
};
use crate::{
    record::{self, Proxy, Recorder, SessionBy, Sink, Tape, Taped, Upstream},
    store::{Readers, Spool, write_with},
    text::printable,
    tls::{Identity, certificates, server_config},
    units::Span,
    workload::{
        Account, Protocol, Target, clean::Cleaner, growing_header, is_compressed, write_recording,
    },
};

/// Flags of `proofload record`.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// Where clients come to: PORT of loopback, or HOST:PORT; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// The application: `http://HOST:PORT`, `https://HOST` or `unix:///PATH`
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// The workload: .jsonl, or .jsonl.zst for a compressed one
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replaces the file at -o whatever it holds
    #[arg(long)]
    force: bool,
    /// How clients are told apart, the first way that applies: cookie, cookie:NAME, auth, address,
    /// header:NAME
    #[arg(
        long,
        value_name = "WAY",
        value_delimiter = ',',
        default_value = "cookie,auth,address"
    )]
    session_by: Vec<SessionBy>,
    /// Stops after this time [default: at Ctrl-C]
    #[arg(short, long)]
    duration: Option<Span>,
    /// Stops when so many requests have arrived
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_requests: Option<u64>,
    /// Listens on other addresses than loopback: whoever reaches one reaches the application
    #[arg(long)]
    allow_remote: bool,
    /// Sends the upstream's own name as Host, in place of the one that the client asked for
    #[arg(long)]
    upstream_host: bool,
    /// Version of HTTP to the upstream: auto takes what a TLS server picks, and 1.1 without TLS
    #[arg(long, value_enum, default_value = "auto")]
    protocol: Protocol,
    /// Listens with TLS and shows this certificate: PEM, the server's own first
    #[arg(long, value_name = "FILE", requires = "listen_key")]
    listen_cert: Option<PathBuf>,
    /// The key of --listen-cert: PEM without a passphrase
    #[arg(long, value_name = "FILE", requires = "listen_cert")]
    listen_key: Option<PathBuf>,
    /// Settings file with the rules of [redact] [default: proofload.toml here or above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// To the upstream
    #[command(flatten)]
    tls: TlsFlags,
}

impl Sink for Spool {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        Spool::append(self, lines)
    }

    fn replace_start(&mut self, line: &[u8]) -> io::Result<()> {
        Spool::replace_start(self, line)
    }
}

impl RecordArgs {
    /// Checks everything, records until it is told to stop, and says what became of each request.
    pub(super) async fn exec(self) -> Result<u8, Failure> {
        check_output(&self.output, self.force).map_err(Failure::usage)?;
        let file = FileSettings::find(self.config.as_deref()).map_err(Failure::usage)?;
        let rules = file.redact.rules().map_err(Failure::usage)?;
        let address = self.address()?;
        let server = self.server_identity().map_err(Failure::usage)?;
        let upstream = self.upstream()?;
        let mut signals = Signals::new().map_err(Failure::bug)?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"));
        let listener = listener.map_err(Failure::usage)?;
        let address = listener.local_addr().map_err(Failure::bug)?;
        check_upstream(&upstream, address, &self.upstream).await?;
        raise_descriptors();
        let cleaner = Cleaner::with_rules(&rules);
        let cleaner = cleaner.context("cannot read the system's random source");
        let cleaner = cleaner.map_err(Failure::bug)?;
        let spool = Spool::create(&self.output).map_err(Failure::usage)?;
        let sink = Box::new(spool.writer().map_err(Failure::storage)?);
        let started = record::start(self.session_by.clone(), self.max_requests, cleaner, sink);
        let (recorder, tape) = match started {
            Ok(started) => started,
            Err(error) => {
                let name = spool.path().display().to_string();
                spool.remove();
                let error = anyhow!(error).context(format!("cannot write {name}"));
                return Err(Failure::storage(error));
            }
        };
        let scheme = if server.is_some() { "https" } else { "http" };
        say(&format!(
            "recording {scheme}://{address} to {}; Ctrl-C stops it",
            printable(&self.upstream)
        ));
        let proxy = Proxy::new(upstream, Arc::clone(&recorder), address, server);
        let stop = self.end(&recorder, &tape, &mut signals);
        let draining = proxy.serve(listener, stop).await;
        // Who asks twice does not wait.
        tokio::select! {
            () = draining.wait() => {}
            () = signals.next() => {}
        }
        let taped = tape.finish(&recorder);
        finish(spool, &self.output, taped)
    }

    /// The address to listen on; others than loopback are asked for twice.
    fn address(&self) -> Result<SocketAddr, Failure> {
        let text = self.listen.trim();
        let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
        let address = if let Ok(port) = port {
            SocketAddr::from(([127, 0, 0, 1], port))
        } else {
            let found = text.to_socket_addrs();
            let found = found.ok().and_then(|mut found| found.next());
            found.ok_or_else(|| {
                let text = printable(text);
                let error = anyhow!("--listen `{text}` is no address; write PORT or HOST:PORT");
                Failure::usage(error)
            })?
        };
        if !address.ip().to_canonical().is_loopback() && !self.allow_remote {
            return Err(Failure::refused(anyhow!(
                "--listen {address} can be reached from other machines, and whoever reaches it \
                 reaches the application; listen on loopback, or say --allow-remote"
            )));
        }
        Ok(address)
    }

    fn server_identity(&self) -> anyhow::Result<Option<record::TlsAcceptor>> {
        let (Some(cert), Some(key)) = (&self.listen_cert, &self.listen_key) else {
            return Ok(None);
        };
        let chain = trust::of("--listen-cert", cert, certificates)?;
        let identity = trust::of("--listen-key", key, |pem| Identity::new(chain, pem))?;
        let config = server_config(&identity, Protocol::Auto.alpn())
            .with_context(|| format!("--listen-cert {}", cert.display()))?;
        Ok(Some(config.into()))
    }

    fn upstream(&self) -> Result<Upstream, Failure> {
        let target = Target::parse(&self.upstream).context("--upstream");
        let mut target = target.map_err(Failure::usage)?;
        target.protocol = self.protocol;
        let trust = self.tls.trust()?;
        if trust.insecure {
            say("warning: the certificate of the upstream is not checked (--insecure)");
        }
        let upstream = Upstream::new(target, &trust, self.upstream_host).context("--upstream");
        upstream.map_err(Failure::usage)
    }

    /// When to stop.
    async fn end(&self, recorder: &Recorder, tape: &Tape, signals: &mut Signals) {
        let time = async {
            match self.duration {
                Some(duration) => tokio::time::sleep(duration.duration()).await,
                None => std::future::pending().await,
            }
        };
        let cut = async {
            let cause = tape.is_cut().await;
            say(&format!(
                "proofload: the recording is cut, requests are still passed on: {}",
                printable(&cause)
            ));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = signals.next() => {}
            () = recorder.is_full() => {}
            () = time => {}
            () = cut => {}
        }
    }
}

/// Refuses an upstream that is the recorder itself; says when it does not answer yet.
async fn check_upstream(
    upstream: &Upstream,
    listening: SocketAddr,
    url: &str,
) -> Result<(), Failure> {
    let url = printable(url);
    match upstream.probe().await {
        Ok(Some(address)) if address == listening => Err(Failure::usage(anyhow!(
            "--upstream {url} is the address that the recorder listens on; give that of the \
             application"
        ))),
        Ok(_) => Ok(()),
        Err(cause) => {
            let cause = printable(&cause);
            say(&format!(
                "note: {url} does not take connections yet ({cause}); until it does, requests are \
                 answered with 502"
            ));
            Ok(())
        }
    }
}

/// Puts the recording in its place and prints the account.
fn finish(mut spool: Spool, output: &Path, mut taped: Taped) -> Result<u8, Failure> {
    if taped.summary.kept == 0 {
        spool.remove();
        print(&taped.summary.to_string());
        let cause = match &taped.cut {
            Some(cut) => return Err(Failure::storage(anyhow!("nothing could be written: {cut}"))),
            None if taped.summary.read == 0 => "no request arrived".to_owned(),
            None => format!(
                "none of the requests can be replayed: {}",
                taped.summary.reasons()
            ),
        };
        return Err(Failure::invalid(anyhow!(
            "{cause}; no workload was written"
        )));
    }
    let compressed = is_compressed(output);
    let written = write_with(output, Readers::Owner, |file| {
        let account = Account {
            origin: taped.origin.clone(),
            cut: taped.cut.clone(),
            left_out: taped.summary.left_out(),
        };
        write_recording(file, spool.path(), &taped.late, account, compressed)
            .map_err(io::Error::other)?;
        Ok(())
    });
    let Err(error) = written else {
        spool.remove();
        return Ok(account(output, &taped));
    };
    // The growing file is a workload too: it lacks the counts in its header and what came late.
    let cut = (!taped.late.is_empty())
        .then(|| error.to_string())
        .or(taped.cut.take());
    taped.lose_late();
    if let Some(cut) = &cut {
        let start = growing_header(&taped.origin, Some(cut));
        let _ = spool.replace_start(start.as_bytes());
    }
    let path = spool.path().to_owned();
    let kept = if compressed || spool.become_file(output).is_err() {
        path
    } else {
        output.to_owned()
    };
    print(&taped.summary.to_string());
    let error = anyhow!(error).context(format!("the recording stays in {}", kept.display()));
    Err(Failure::storage(error))
}

/// Prints the account of a recording that stands in its place.
fn account(output: &Path, taped: &Taped) -> u8 {
    let shown = print(&taped.summary.to_string());
    say(&format!(
        "workload: {} ({} sessions)",
        output.display(),
        taped.sessions
    ));
    if !taped.origin.suggestions.is_empty() {
        let count = taped.origin.suggestions.len();
        let name = printable(&output.display().to_string());
        say(&format!(
            "values of answers came back in later requests ({count} rules would carry them over): \
             proofload inspect --suggest {name}"
        ));
    }
    match &taped.cut {
        Some(cause) => {
            say(&format!(
                "proofload: the recording is cut: {}",
                printable(cause)
            ));
            exit::STORAGE
        }
        None if !shown => exit::STORAGE,
        None => exit::PASS,
    }
}

/// The two signals that end a recording.
struct Signals {
    int: Signal,
    term: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
