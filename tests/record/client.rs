//! A client on a raw socket: bytes out, and answers taken apart to what must be equal.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::app::read_chunks;

/// Nothing here takes longer, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer without what belongs to one hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Status lines and fields of interim answers, fields in lower case.
    pub(crate) interim: Vec<String>,
    /// Status and reason.
    pub(crate) status: String,
    /// End-to-end fields as written, those of one name in their order, sorted by name.
    pub(crate) fields: Vec<(String, String)>,
    /// The body, without chunks.
    pub(crate) body: Vec<u8>,
    /// The fields behind a chunked body, in lower case.
    pub(crate) trailers: Vec<(String, String)>,
    /// The body came in chunks.
    pub(crate) is_chunked: bool,
}

/// One connection.
pub(crate) struct Client {
    pub(crate) reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            reader: BufReader::new(stream),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// A request without a body, and its answer.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", b"")
    }

    /// A request with these fields and this body.
    pub(crate) fn ask(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) -> Answer {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: app.test\r\n{fields}{length}\r\n");
        self.send(&[head.as_bytes(), body].concat());
        self.answer(method).unwrap()
    }

    /// The next answer.
    pub(crate) fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let (status, fields) = self.head()?;
            let is_interim = status.starts_with('1') && !status.starts_with("101");
            if !is_interim {
                return self.rest(method, interim, status, fields);
            }
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|(name, value)| format!("{}: {value}", name.to_lowercase()))
                .collect();
            interim.push(format!("{status} {}", fields.join(" ")));
        }
    }

    fn head(&mut self) -> io::Result<(String, Vec<(String, String)>)> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.trim_end().split_once(' ').unwrap().1.to_owned();
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => fields.push((name.to_owned(), value.trim().to_owned())),
                None => return Ok((status, fields)),
            }
        }
    }

    fn rest(
        &mut self,
        method: &str,
        interim: Vec<String>,
        status: String,
        mut fields: Vec<(String, String)>,
    ) -> io::Result<Answer> {
        let find = |wanted: &str| {
            let found = fields
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.clone())
        };
        let is_chunked = find("transfer-encoding").is_some_and(|value| value == "chunked");
        let has_none = method == "HEAD"
            || ["101", "204", "304"]
                .iter()
                .any(|bare| status.starts_with(bare));
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        if has_none {
        } else if is_chunked {
            (body, trailers) = read_chunks(&mut self.reader)?;
            for (name, _) in &mut trailers {
                name.make_ascii_lowercase();
            }
        } else if let Some(length) = find("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.reader.read_exact(&mut body)?;
        } else {
            self.reader.read_to_end(&mut body)?;
        }
        let hop = ["connection", "transfer-encoding", "keep-alive"];
        fields.retain(|(name, _)| !hop.contains(&name.to_lowercase().as_str()));
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Answer {
            interim,
            status,
            fields,
            body,
            trailers,
            is_chunked: is_chunked && !has_none,
        })
    }
}
