//! Access logs written by real servers: a known sequence of requests is sent to nginx, Apache,
//! Caddy and HAProxy, and what each has logged is imported and compared with what was sent.
//!
//! Where a server is missing, its tests say so and end. Each server has a port, a directory and a
//! process of its own, and is ended by its test.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a helper that cannot go on fails its test, and what was skipped says why"
)]

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use proofload::workload::{
    Request,
    import::{
        ImportOptions, Imported,
        log::{LogFormat, LogOptions, import_log},
    },
};

/// What is asked, as it stands in the request line; bytes beyond ASCII are sent as they are.
const PATHS: [&str; 14] = [
    "/01",
    "/02/a?b=c&d=e",
    "/03/quote\"in?x=\"y\"",
    "/04/back\\slash?x=\\\\",
    "/05/per%20cent%2Fslash%22?x=%25",
    "/06/plus+plus?x=a+b",
    "/07/braces{|}^`?x={|}^`<>",
    "/08/semi;colon=1,2?x;y",
    "/09/a/./b/../c",
    "/10//double",
    "/11/%E2%82%AC/%c3%a9?x=%F0%9F%90%B5",
    "/12/empty?",
    "/13/utf8-é?x=日本",
    "/14/end-",
];

/// Odd but legal values.
const AGENT: &str = "agent \"q\" \\b\\ %20 [x] #1";
const REFERER: &str = "http://shop.example/from?x=\"1\"";

/// One request and the status that it got.
#[derive(Debug)]
struct Sent {
    method: &'static str,
    path: String,
    status: u16,
    body: u64,
}

/// Sends the whole sequence, each request on a connection of its own and after the answer to the
/// one before.
fn send(port: u16) -> Vec<Sent> {
    let long = format!("/15/long?x={}", "0123456789".repeat(300));
    let paths = PATHS.iter().map(ToString::to_string).chain([long]);
    let mut requests: Vec<(&str, String)> = paths.map(|path| ("GET", path)).collect();
    requests.push(("HEAD", "/16/head".to_owned()));
    requests.push(("DELETE", "/17/delete".to_owned()));
    requests.push(("GET", "/18/missing".to_owned()));
    requests
        .into_iter()
        .map(|(method, path)| {
            let (status, body) = ask(port, method, &path);
            Sent {
                method,
                path,
                status,
                body,
            }
        })
        .collect()
}

fn ask(port: u16, method: &str, path: &str) -> (u16, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: {AGENT}\r\n\
         Referer: {REFERER}\r\nCookie: sid=hunter2x\r\nAuthorization: Basic YW5uOmh1bnRlcjJ4\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer);
    let status = text.get(9..12).unwrap_or_default().parse().unwrap();
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = body.map_or(0, |at| answer.len() - at - 4);
    (status, body as u64)
}

fn free_port() -> u16 {
    // The port is free again for the blink of an eye; nobody else binds this one by number.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that is ended when its test is.
struct Server {
    process: Child,
    port: u16,
    home: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Server {
    /// Starts a server whose configuration is written by `config`; `None` where it is missing.
    fn start(
        program: &str,
        args: &[&str],
        config: impl FnOnce(u16, &Path) -> String,
    ) -> Option<Self> {
        let found = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin"]
            .iter()
            .map(|folder| PathBuf::from(folder).join(program))
            .find(|path| path.exists());
        let Some(found) = found else {
            eprintln!("skipped: {program} is not installed");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let port = free_port();
        fs::write(home.path().join("config"), config(port, home.path())).unwrap();
        fs::write(home.path().join("index.html"), "hello\n").unwrap();
        let process = Command::new(found)
            .args(args)
            .current_dir(home.path())
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(File::create(home.path().join("stdout")).unwrap())
            .stderr(File::create(home.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            process,
            port,
            home,
        };
        for _ in 0..1_200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            assert!(
                server.process.try_wait().unwrap().is_none(),
                "{}",
                server.said()
            );
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("{program} does not answer: {}", server.said());
    }

    fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.home.path().join(name)).unwrap_or_default();
        read("stderr") + &read("stdout") + &read("error.log")
    }

    /// Ends it as its operator would, so that it writes what it still holds back.
    fn end(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        for _ in 0..400 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The log of this name, once the server has ended.
    fn log(&self, name: &str) -> Vec<u8> {
        let log = fs::read(self.home.path().join(name)).unwrap();
        assert!(!log.is_empty(), "{name}: {}", self.said());
        log
    }
}

fn import(log: &[u8], format: LogFormat) -> Imported {
    let options = LogOptions {
        format,
        methods: vec!["all".to_owned()],
        seed: 1,
    };
    let common = ImportOptions {
        // The recorded service, where the log does not say it.
        hosts: vec!["shop.example".to_owned()],
        ..ImportOptions::default()
    };
    let shown = String::from_utf8_lossy(log).into_owned();
    import_log([log], &options, &common).unwrap_or_else(|error| panic!("{error}\n{shown}"))
}

/// What a format tells of a request besides method, path and status.
#[derive(Clone, Copy)]
struct Told {
    size: bool,
    headers: bool,
    took: bool,
}

const NOTHING: Told = Told {
    size: false,
    headers: false,
    took: false,
};

/// The path as a workload has it: bytes beyond ASCII percent-encoded.
fn encoded(path: &str) -> String {
    let bytes = path.bytes().map(|byte| match byte {
        0x21..=0x7e => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}

/// Asserts that the log holds what was sent: in this order where it has fine stamps. What a
/// server has refused as malformed it may log as it likes.
#[track_caller]
fn compare(sent: &[Sent], imported: &Imported, told: Told) {
    let answered: Vec<&Sent> = sent.iter().filter(|it| it.status != 400).collect();
    assert!(answered.len() >= 14, "{sent:?}");
    let mut found: Vec<&Request> = imported.requests.iter().collect();
    found.retain(|it| it.expect_status != Some(400));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(found.len(), answered.len(), "{}", imported.summary);
    for (sent, found) in answered.iter().zip(&found) {
        assert_eq!(found.path, encoded(&sent.path));
        assert_eq!(found.method.as_str(), sent.method, "{}", sent.path);
        assert_eq!(found.expect_status, Some(sent.status), "{}", sent.path);
        if told.size {
            assert_eq!(found.recorded.size_bytes, Some(sent.body), "{}", sent.path);
        }
        if told.headers {
            let header = |name: &str| {
                let found = found
                    .headers
                    .iter()
                    .find(|(it, _)| it.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.as_str())
            };
            assert_eq!(header("user-agent"), Some(AGENT), "{}", sent.path);
            assert_eq!(header("referer"), Some("/from?x=%221%22"), "{}", sent.path);
        }
        assert_eq!(
            found.recorded.latency_ns.is_some(),
            told.took,
            "{}",
            sent.path
        );
    }
    let shown = format!("{imported:?}");
    assert!(!shown.contains("hunter2x"), "{}", imported.summary);
}

/// Asserts that the order of sending is the order of the workload, without any sorting.
#[track_caller]
fn in_order(imported: &Imported) {
    let paths: Vec<&str> = imported
        .requests
        .iter()
        .map(|it| it.path.as_str())
        .collect();
    assert!(paths.is_sorted(), "{paths:?}");
    let shown = imported.summary.to_string();
    assert!(!shown.contains("spread inside"), "{shown}");
}

const NGINX_FINE: &str = r#"log_format fine '$remote_addr $msec $request_time $host '
    '"$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"';"#;
const NGINX_PARTS: &str = "log_format parts escape=default \
    '$request_method $scheme://$host$uri$is_args$args $status [$time_iso8601]';";
const NGINX_JSON: &str = r#"log_format jsn escape=json '{"msec":"$msec",'
    '"request_time":"$request_time","host":"$host","request":"$request","status":"$status",'
    '"body_bytes_sent":"$body_bytes_sent","remote_addr":"$remote_addr",'
    '"http_referer":"$http_referer","http_user_agent":"$http_user_agent"}';"#;

#[test]
fn what_nginx_logs_is_what_was_sent() {
    let server = Server::start(
        "nginx",
        &["-c", "config", "-p", ".", "-e", "error.log"],
        |port, home| {
            let home = home.display();
            format!(
                "daemon off; master_process off; pid {home}/pid;
             events {{ worker_connections 64; }}
             http {{
               {NGINX_FINE} {NGINX_PARTS} {NGINX_JSON}
               client_body_temp_path {home}/b; proxy_temp_path {home}/p;
               fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
               server {{
                 listen 127.0.0.1:{port};
                 access_log {home}/combined.log combined; access_log {home}/fine.log fine;
                 access_log {home}/parts.log parts; access_log {home}/json.log jsn;
                 location / {{ return 200 'hello'; }}
                 location /18 {{ return 404; }}
               }}
             }}"
            )
        },
    );
    let Some(mut server) = server else { return };
    let sent = send(server.port);
    server.end();
    let all = Told {
        size: true,
        headers: true,
        took: true,
    };
    let combined = import(&server.log("combined.log"), LogFormat::Auto);
    compare(&sent, &combined, Told { took: false, ..all });
    assert!(combined.summary.to_string().contains("spread inside"));
    let fine = import(&server.log("fine.log"), LogFormat::Nginx(NGINX_FINE.into()));
    compare(&sent, &fine, all);
    in_order(&fine);
    assert_eq!(fine.summary.hosts["shop.example"], sent.len() as u64);
    let json = import(&server.log("json.log"), LogFormat::Auto);
    compare(&sent, &json, all);
    in_order(&json);
    let pattern = import(&server.log("json.log"), LogFormat::Nginx(NGINX_JSON.into()));
    assert_eq!(pattern.requests.len(), json.requests.len());
    compare(&sent, &pattern, all);
    // The path is the one that nginx has decoded and put in order, and encoded again.
    let parts = import(
        &server.log("parts.log"),
        LogFormat::Nginx(NGINX_PARTS.into()),
    );
    let paths: Vec<&str> = parts.requests.iter().map(|it| it.path.as_str()).collect();
    for path in [
        "/01",
        "/02/a?b=c&d=e",
        "/14/end-",
        "/09/a/c",
        "/06/plus+plus?x=a+b",
    ] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    // A path with a decoded blank, without quotes around it, is the one that cannot be read back.
    let summary = &parts.summary;
    assert_eq!(
        (summary.kept, summary.malformed()),
        (sent.len() as u64 - 1, 1),
        "{summary}"
    );
}

const APACHE_FINE: &str = "LogFormat \"%a %{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t %{%z}t %D \
    %{Host}i \\\"%r\\\" %>s %B \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\"\" fine";
const APACHE_PARTS: &str = r#"LogFormat "%h %{usec}t %m %U%q %s %{ms}T" parts"#;

#[test]
fn what_apache_logs_is_what_was_sent() {
    let server = Server::start(
        "apache2",
        &["-X", "-d", ".", "-f", "config"],
        |port, home| {
            let modules = "/usr/lib/apache2/modules";
            let home = home.display();
            let config = ["mpm_event", "authz_core", "alias"]
                .map(|name| format!("LoadModule {name}_module {modules}/mod_{name}.so\n"))
                .concat();
            format!(
                "{config}ServerRoot {home}\nDefaultRuntimeDir {home}\nPidFile {home}/pid\n\
             Listen 127.0.0.1:{port}\nServerName shop.example\nErrorLog {home}/error.log\n\
             DocumentRoot {home}\nErrorDocument 404 default\nLimitRequestLine 16000\n\
             LogFormat \"%v:%p %h %l %u %t \\\"%r\\\" %>s %O \\\"%{{Referer}}i\\\" \
             \\\"%{{User-Agent}}i\\\"\" vhost_combined\n\
             LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b \\\"%{{Referer}}i\\\" \
             \\\"%{{User-Agent}}i\\\"\" combined\n\
             LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b\" common\n\
             {APACHE_FINE}\n{APACHE_PARTS}\n\
             CustomLog {home}/vhost.log vhost_combined\nCustomLog {home}/combined.log combined\n\
             CustomLog {home}/common.log common\nCustomLog {home}/fine.log fine\n\
             CustomLog {home}/parts.log parts\n\
             AliasMatch \"^/(?!18)\" {home}/index.html\n\
             <Directory {home}>\n Require all granted\n</Directory>\n"
            )
        },
    );
    let Some(mut server) = server else { return };
    let sent = send(server.port);
    server.end();
    let headers = Told {
        headers: true,
        ..NOTHING
    };
    let combined = import(&server.log("combined.log"), LogFormat::Auto);
    compare(&sent, &combined, headers);
    assert!(combined.summary.to_string().contains("spread inside"));
    compare(
        &sent,
        &import(&server.log("vhost.log"), LogFormat::Auto),
        headers,
    );
    let common = import(&server.log("common.log"), LogFormat::Auto);
    compare(&sent, &common, NOTHING);
    let fine = import(
        &server.log("fine.log"),
        LogFormat::Apache(APACHE_FINE.into()),
    );
    let all = Told {
        size: true,
        headers: true,
        took: true,
    };
    compare(&sent, &fine, all);
    in_order(&fine);
    let parts = import(
        &server.log("parts.log"),
        LogFormat::Apache(APACHE_PARTS.into()),
    );
    in_order(&parts);
    let paths: Vec<&str> = parts.requests.iter().map(|it| it.path.as_str()).collect();
    for path in ["/01", "/02/a?b=c&d=e", "/14/end-", "/06/plus+plus?x=a+b"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
}

#[test]
fn what_caddy_logs_is_what_was_sent() {
    let args = ["run", "--config", "config", "--adapter", "caddyfile"];
    let server = Server::start("caddy", &args, |port, home| {
        let home = home.display();
        format!(
            "{{\n admin off\n auto_https off\n storage file_system {home}/s\n}}\n\
             http://:{port} {{\n log {{\n  output file {home}/caddy.log\n }}\n\
             \trespond /18/* missing 404\n respond hello\n}}\n"
        )
    });
    let Some(mut server) = server else { return };
    let sent = send(server.port);
    server.end();
    let told = Told {
        size: true,
        headers: true,
        took: true,
    };
    for format in [LogFormat::Auto, LogFormat::Named("caddy".into())] {
        let imported = import(&server.log("caddy.log"), format);
        compare(&sent, &imported, told);
        in_order(&imported);
        let moved = imported.summary.to_string();
        assert!(
            moved.contains("stamps were of the end of a request"),
            "{moved}"
        );
    }
}

#[test]
fn what_haproxy_logs_is_what_was_sent() {
    let server = Server::start("haproxy", &["-db", "-f", "config"], |port, _| {
        format!(
            "global\n log stdout len 65535 format raw local0 info\n tune.http.logurilen 65535\n\
             defaults\n mode http\n log global\n option httplog\n timeout client 30s\n\
             frontend shop\n bind 127.0.0.1:{port}\n\
             \thttp-request return status 404 if {{ path_beg /18 }}\n\
             \thttp-request return status 200 content-type text/plain string hello\n"
        )
    });
    let Some(mut server) = server else { return };
    let sent = send(server.port);
    server.end();
    let told = Told {
        took: true,
        ..NOTHING
    };
    for format in [LogFormat::Auto, LogFormat::Named("haproxy".into())] {
        let imported = import(&server.log("stdout"), format);
        compare(&sent, &imported, told);
        in_order(&imported);
        let shown = imported.summary.to_string();
        assert!(shown.contains("times had no zone"), "{shown}");
    }
}
