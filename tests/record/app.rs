//! An application on a raw socket that answers in every way HTTP/1.1 knows and keeps what it saw.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The request line.
    pub(crate) line: String,
    /// Fields in order, as written.
    pub(crate) fields: Vec<(String, String)>,
    /// The body, without chunks.
    pub(crate) body: Vec<u8>,
    /// The fields behind a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
}

impl Seen {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self
            .fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The target of the request line.
    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// The application. Its threads end with the process.
pub(crate) struct App {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl App {
    /// Starts it on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&shared);
                // A client that leaves ends its thread, and nothing else.
                thread::spawn(move || serve(stream?, &seen));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// So many bytes, the same ones each time, and all values among them.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((at * 7 + at / 251) & 0xff).unwrap();
    (0..length).map(byte).collect()
}

/// A token that no request tells in advance.
pub(crate) fn token(number: usize) -> String {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{mixed:016x}{:08x}", (mixed >> 13) & 0xffff_ffff)
}

/// The number of what was ordered.
pub(crate) fn order(number: usize) -> usize {
    700_000 + number * 37
}

/// A page with a form that holds a token; every other one is compressed.
pub(crate) fn form(number: usize) -> Vec<u8> {
    let page = format!(
        "<form method=post><input type=\"hidden\" name=\"csrf_token\" value=\"{}\"></form>",
        token(number)
    );
    if number.is_multiple_of(2) {
        return page.into_bytes();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(page.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Takes the form when it holds its token.
fn signin(request: &Seen, number: usize, out: &mut TcpStream) -> io::Result<()> {
    let sent = format!("csrf_token={}", token(number));
    if !String::from_utf8_lossy(&request.body).contains(&sent) {
        return status(out, 403);
    }
    let order = order(number);
    let head = "HTTP/1.1 303 See Other\r\nContent-Length: 0\r\n";
    out.write_all(format!("{head}Location: /orders/{order}\r\n\r\n").as_bytes())
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Seen>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let fields = read_fields(&mut reader)?;
        let mut request = Seen {
            line: line.trim_end().to_owned(),
            fields,
            body: Vec::new(),
            trailers: Vec::new(),
        };
        let path = request.path().to_owned();
        if path.starts_with("/unwanted") {
            seen.lock().unwrap().push(request);
            let answer = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno";
            return out.write_all(answer.as_bytes());
        }
        if path.starts_with("/refuse") {
            seen.lock().unwrap().push(request);
            return Ok(());
        }
        if path == "/sink" {
            thread::sleep(Duration::from_millis(300));
            let length: u64 = request.field("content-length").unwrap().parse().unwrap();
            let taken = io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
            plain(&mut out, "", taken.to_string().as_bytes(), false)?;
            continue;
        }
        if request.field("expect").is_some() && !path.starts_with("/silent") {
            out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        (request.body, request.trailers) = read_body(&request, &mut reader)?;
        seen.lock().unwrap().push(request.clone());
        if !answer(&request, &path, &mut reader, &mut out)? {
            return Ok(());
        }
    }
}

fn read_fields(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => fields.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok(fields),
        }
    }
}

type Body = (Vec<u8>, Vec<(String, String)>);

fn read_body(request: &Seen, reader: &mut impl BufRead) -> io::Result<Body> {
    let is_chunked = request.field("transfer-encoding") == Some("chunked");
    if is_chunked {
        return read_chunks(reader);
    }
    let length = request.field("content-length").unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body)?;
    Ok((body, Vec::new()))
}

/// A chunked body and the fields behind it.
pub(crate) fn read_chunks(reader: &mut impl BufRead) -> io::Result<Body> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = line.split(';').next().unwrap().trim();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            return Ok((body, read_fields(reader)?));
        }
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        reader.read_line(&mut line)?;
    }
}

/// Answers; says whether the connection stays.
fn answer(
    request: &Seen,
    path: &str,
    reader: &mut impl Read,
    out: &mut TcpStream,
) -> io::Result<bool> {
    let is_head = request.line.starts_with("HEAD ");
    let (kind, rest) = path[1..].split_once(['/', '?']).unwrap_or((&path[1..], ""));
    let number = rest.split('?').next().unwrap().parse().unwrap_or(0);
    let body = pattern(number);
    match kind {
        "chunked" => chunked(out, "", &body, "", is_head)?,
        "trailers" => {
            let declared = "Trailer: X-Sum, X-More\r\n";
            let behind = "X-Sum: 12\r\nX-More: a b\r\n";
            chunked(out, declared, &body, behind, is_head)?;
        }
        "status" => status(out, number)?,
        "hints" => {
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
            out.write_all(hints.as_bytes())?;
            thread::sleep(Duration::from_millis(5));
            out.write_all(b"HTTP/1.1 102 Processing\r\n\r\n")?;
            plain(out, "", &body, is_head)?;
        }
        "flood" => flood(out, number)?,
        "slow" => {
            thread::sleep(Duration::from_millis(number as u64));
            plain(out, "", b"late", is_head)?;
        }
        "echo" | "silent" => {
            let kind = request.field("content-type").unwrap_or("text/plain");
            let kind = format!("Content-Type: {kind}\r\n");
            plain(out, &kind, &request.body, is_head)?;
        }
        "login" => {
            let set = format!("Set-Cookie: sessionid=secret-of-{rest}; Path=/\r\n");
            plain(out, &set, b"welcome", is_head)?;
        }
        "form" => {
            let zipped = ["", "Content-Encoding: gzip\r\n"][number % 2];
            let more = format!(
                "Set-Cookie: sessionid={number}-of-the-session; Path=/\r\n\
                 Content-Type: text/html; charset=utf-8\r\n{zipped}"
            );
            plain(out, &more, &form(number), is_head)?;
        }
        "signin" => signin(request, number, out)?,
        "upload" => {
            let json = format!("{{\"upload\":{{\"token\":\"{}\"}}}}", token(number + 6));
            let kind = "Content-Type: application/json\r\n";
            chunked(out, kind, json.as_bytes(), "", is_head)?;
        }
        "many" => {
            let fields: Vec<String> = (0..150).map(|n| format!("X-Field-{n}: {n}\r\n")).collect();
            plain(out, &fields.concat(), &body, is_head)?;
        }
        "close" | "old" | "break" | "last" => return last(kind, out, &body, is_head),
        "events" => return events(out),
        "socket" => return socket(reader, out),
        _ => {
            let cookies = "Set-Cookie: a=1\r\nX-b: 2\r\nSet-Cookie: c=3\r\n";
            plain(out, cookies, &body, is_head)?;
        }
    }
    Ok(true)
}

/// Answers that end with their connection.
fn last(kind: &str, out: &mut TcpStream, body: &[u8], is_head: bool) -> io::Result<bool> {
    let head = match kind {
        "close" => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "old" => "HTTP/1.0 200 Fine\r\nX-Old: yes\r\n\r\n",
        "break" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        _ => {
            plain(out, "Connection: close\r\n", body, is_head)?;
            return Ok(false);
        }
    };
    out.write_all(head.as_bytes())?;
    if !is_head {
        out.write_all(body)?;
    }
    Ok(false)
}

fn status(out: &mut TcpStream, number: usize) -> io::Result<()> {
    let length = if matches!(number, 204 | 304) {
        ""
    } else {
        "Content-Length: 0\r\n"
    };
    let head = format!("HTTP/1.1 {number} Said So\r\nETag: \"x\"\r\n{length}\r\n");
    out.write_all(head.as_bytes())
}

/// So many MiB.
fn flood(out: &mut TcpStream, number: usize) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        number << 20
    );
    out.write_all(head.as_bytes())?;
    let piece = vec![7; 1 << 20];
    (0..number).try_for_each(|_| out.write_all(&piece))
}

fn plain(out: &mut TcpStream, more: &str, body: &[u8], is_head: bool) -> io::Result<()> {
    let length = body.len();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nServer: app\r\n{more}X-Path: yes\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    if !is_head {
        answer.extend(body);
    }
    out.write_all(&answer)
}

fn chunked(
    out: &mut TcpStream,
    more: &str,
    body: &[u8],
    behind: &str,
    is_head: bool,
) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{more}Transfer-Encoding: chunked\r\n\r\n");
    out.write_all(head.as_bytes())?;
    if is_head {
        return Ok(());
    }
    for (piece, size) in body.chunks(4_099).zip(1..) {
        // Every other chunk carries an extension, which nobody may pass on or trip over.
        let extension = if size % 2 == 0 { ";a=b" } else { "" };
        out.write_all(format!("{:x}{extension}\r\n", piece.len()).as_bytes())?;
        out.write_all(piece)?;
        out.write_all(b"\r\n")?;
    }
    out.write_all(format!("0\r\n{behind}\r\n").as_bytes())
}

/// Events until the client leaves.
fn events(out: &mut TcpStream) -> io::Result<bool> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    out.write_all(head.as_bytes())?;
    for number in 0.. {
        out.write_all(format!("data: {number}\n\n").as_bytes())?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(false)
}

/// Another protocol: what comes goes back, turned round.
fn socket(reader: &mut impl Read, out: &mut TcpStream) -> io::Result<bool> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Accept: abc=\r\n\r\n";
    out.write_all(head.as_bytes())?;
    let mut bytes = [0; 4];
    while reader.read_exact(&mut bytes).is_ok() {
        bytes.reverse();
        out.write_all(&bytes)?;
    }
    Ok(false)
}
