//! Secrets, the positions of a recording that they are planted in, and the spellings by which they
//! are looked for afterwards.

use std::{collections::HashMap, io::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// So many positions there are.
pub(crate) const POSITIONS: usize = 85;
/// Pieces of secrets of this length are looked for.
const PIECE: usize = 12;

/// Something that must not come through.
pub(crate) struct Secret {
    /// Chosen by a person or drawn by a machine; 18 to 35 characters.
    pub(crate) chosen: String,
    /// Drawn by a machine, and recognisable as that: 28 to 48 characters.
    pub(crate) token: String,
}

impl Secret {
    pub(crate) fn draw(random: &mut ChaCha8Rng) -> Self {
        const ALL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let alphabet: &[u8] = match random.random_range(0..4) {
            0 => b"0123456789abcdef",
            1 => b"123456789",
            2 => b"abcdefghijklmnopqrstuvwxyz",
            _ => ALL,
        };
        let mut word = |alphabet: &[u8], from, to| {
            let length = random.random_range(from..to);
            let pick = |_| char::from(alphabet[random.random_range(0..alphabet.len())]);
            (0..length).map(pick).collect()
        };
        Self {
            chosen: word(alphabet, 18, 36),
            token: word(&ALL[..62], 28, 48),
        }
    }
}

fn entry(url: &str) -> Value {
    json!({
        "startedDateTime": "2026-01-02T03:04:05Z",
        "time": 1,
        "request": {"method": "POST", "url": url, "headers": []},
        "response": {"status": 200},
    })
}

fn header(name: &str, value: &str) -> Value {
    let mut entry = entry("https://a.example/x");
    entry["request"]["headers"] = json!([{"name": name, "value": value}]);
    entry
}

fn body(kind: &str, text: &str) -> Value {
    let mut entry = entry("https://a.example/x");
    entry["request"]["postData"] = json!({"mimeType": kind, "text": text});
    entry
}

fn bytes(kind: &str, bytes: &[u8]) -> Value {
    let mut entry = body(kind, &STANDARD.encode(bytes));
    entry["request"]["postData"]["encoding"] = json!("base64");
    entry
}

fn url(rest: &str) -> Value {
    entry(&format!("https://a.example{rest}"))
}

pub(crate) fn percent(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    bytes.concat()
}

fn escaped(text: &str) -> String {
    let units: Vec<String> = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    units.concat()
}

/// A token whose claims hold the secret.
fn jwt(secret: &str) -> String {
    let part = |text: &str| {
        let text = STANDARD.encode(text);
        text.trim_end_matches('=').replace(['+', '/'], "-")
    };
    let claims = part(&format!("{{\"s\":\"{secret}\"}}"));
    format!("{}.{claims}.{secret}", part("{\"alg\":\"HS256\"}"))
}

/// An entry with the secret in one position.
pub(crate) fn plant(position: usize, secret: &Secret) -> Value {
    let (s, t) = (secret.chosen.as_str(), secret.token.as_str());
    match position {
        0..=19 => in_header(position, s, t),
        20..=43 => in_address(position, s, t),
        44..=66 => in_body(position, s, t),
        67..=73 => elsewhere(position, s, t),
        _ => by_neighbours(position, s, t),
    }
}

fn in_header(position: usize, s: &str, t: &str) -> Value {
    match position {
        0 => header("authorization", &format!("Bearer {s}")),
        1 => header("AUTHORIZATION", s),
        2 => header(
            "Proxy-Authorization",
            &format!("Basic {}", STANDARD.encode(s)),
        ),
        3 => header("Cookie", &format!("theme={s}; sid={t}")),
        4 => header("X-API-KEY", s),
        5 => header("x-amz-security-token", s),
        6 => header("X-Anything", &format!("Basic {}", STANDARD.encode(s))),
        7 => header("X-Anything", &jwt(s)),
        8 => header("X-Anything", &format!("id={};v=1", jwt(s))),
        9 => header("Referer", &format!("https://a.example/p?token={s}")),
        10 => header("Referer", &format!("https://other.example/{s}")),
        11 => header(":path", &format!("/x?token={s}")),
        12 => header("X-Context", &format!("tenant=a; password={s}, user=b")),
        13 => header("X-Json", &json!({"a": {"secret": s}}).to_string()),
        14 => header("X-Correlation", t),
        15 => header("X-Correlation", &format!("part:{t}/7")),
        16 => header(t, "1"),
        17 => header("If-None-Match", s),
        18 => header("X-User-Email", &format!("{s}@mail.example.org")),
        _ => header("Content-Type", &format!("text/plain; token={s}")),
    }
}

fn in_address(position: usize, s: &str, t: &str) -> Value {
    match position {
        20 => url(&format!("/x?password={s}&b=c")),
        21 => url(&format!("/x?a=b&CLIENT_SECRET={s}")),
        22 => url(&format!("/x?p%61ssword={}", percent(s))),
        23 => url(&format!(
            "/x?next={}",
            percent(&format!("/cb?code={s}&a=b"))
        )),
        24 => url(&format!(
            "/x?next={}",
            percent(&percent(&format!("/cb?code={s}&a=b")))
        )),
        25 => url(&format!("/x?nonce={}", percent(&percent(s)))),
        26 => url(&format!(
            "/x?data={}",
            percent(&STANDARD.encode(format!("{{\"token\":\"{s}\"}}")))
        )),
        27 => url(&format!("/v/{}/x", jwt(s))),
        28 => url(&format!("/v?{}", jwt(s))),
        29 => url(&format!("/x;jsessionid={s}/y")),
        30 => entry(&format!("https://{s}:{s}@a.example/x")),
        31 => url(&format!("/x#access_token={s}")),
        32 => url(&format!("/x?state={t}")),
        33 => url(&format!(
            "/x?q={}",
            percent(&format!("{s}@mail.example.org"))
        )),
        34 => url(&format!("/download/{t}/file")),
        35 => url(&format!("/download/{t}.pdf")),
        36 => url(&format!(
            "/x?filter={}",
            percent(&json!({"pin": s}).to_string())
        )),
        37 => url(&format!("/x?user%5Bpassword%5D={s}&user[otp][]={s}")),
        38 => url(&format!("/x?a=b;token={s};c=d")),
        39 => url(&format!("/u/{s}@mail.example.org/x")),
        40 => url(&format!("/x?{t}")),
        41 => url(&format!("/x?{t}=1")),
        42 => url(&format!("/x?back=https%3A%2F%2Fu%3A{s}%40h.example%2F")),
        _ => url(&format!("/x?list=a,b,{t},c")),
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn in_body(position: usize, s: &str, t: &str) -> Value {
    let form = "application/x-www-form-urlencoded";
    let multipart = "multipart/form-data; boundary=BOUND";
    let part = |head: &str, content: &str| {
        format!(
            "--BOUND\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n--BOUND--\r\n"
        )
    };
    let json = "application/json";
    match position {
        44 => body(form, &format!("a=b&user%5Bpassword%5D={s}")),
        45 => body(
            &form.to_uppercase(),
            &format!("SAMLResponse={}&a=b", percent(s)),
        ),
        46 => body(
            form,
            &format!("json={}", percent(&json!({"token": s}).to_string())),
        ),
        47 => body(json, &json!({"a": [{"Api-Key": {"x": [s]}}]}).to_string()),
        48 => body(
            "text/plain",
            &json!({"a": format!("{{\"pin\":\"{s}\"}}")}).to_string(),
        ),
        49 => body(json, &format!("{{\"id_token\":\"{s}")),
        50 => body(json, &format!("{{\"p\\u0061ssword\":\"{}\"}}", escaped(s))),
        51 => body(
            "application/x-ndjson",
            &format!("{{\"a\":1}}\n{{\"otp\":\"{s}\"}}\n"),
        ),
        52 => body(json, &json!([{"name": "password", "value": s}]).to_string()),
        53 => body(json, &json!({ t: 1 }).to_string()),
        54 => body("text/xml", &format!("<a><Password>{s}</Password></a>")),
        55 => body(
            "text/xml",
            &format!("<a b='1' c='2' d='3' e='4' f='5' api-key=\"{s}\"/>"),
        ),
        56 => body(multipart, &part("name=\"otp\"", s)),
        57 => body(
            multipart,
            &part(
                "name=j\r\nContent-Type: application/json",
                &json!({"pwd": s}).to_string(),
            ),
        ),
        58 => body(
            multipart,
            &part("name=\"f\"; filename=\"a.txt\"", &format!("x {} y", jwt(s))),
        ),
        59 => body("text/plain", &format!("see {} there", jwt(s))),
        60 => body(
            "application/graphql",
            &format!("mutation {{ login(password: \"{s}\") {{ id }} }}"),
        ),
        61 => bytes(json, json!({"client_secret": s}).to_string().as_bytes()),
        62 => bytes(
            "application/octet-stream",
            &[&[0, 255, 1], jwt(s).as_bytes(), &[0, 255]].concat(),
        ),
        63 => {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
            gz.write_all(s.as_bytes()).unwrap();
            bytes("application/octet-stream", &gz.finish().unwrap())
        }
        64 => {
            let wide: Vec<u8> = s.encode_utf16().flat_map(u16::to_le_bytes).collect();
            bytes("text/plain; charset=UTF-16", &wide)
        }
        65 => body(
            json,
            &json!({"pem": format!("-----BEGIN PRIVATE KEY-----\n{s}\n-----END PRIVATE KEY-----")})
                .to_string(),
        ),
        _ => body(
            json,
            &json!({"dsn": format!("postgres://app:{s}@db/x"), "t": t}).to_string(),
        ),
    }
}

fn elsewhere(position: usize, s: &str, t: &str) -> Value {
    let mut plain = entry("https://a.example/x");
    match position {
        67 => {
            plain["response"]["headers"] = json!([{"name": "Set-Cookie", "value": s}]);
            plain["response"]["content"] = json!({"text": s});
            plain["response"]["redirectURL"] = json!(format!("/x?token={s}"));
            plain["_webSocketMessages"] = json!([{"data": s}]);
        }
        68 => {
            plain["pageref"] = json!(s);
            plain["connection"] = json!(t);
            plain["comment"] = json!(s);
        }
        69 => plain["startedDateTime"] = json!(s),
        70 => plain["request"]["method"] = json!(format!("{s} {s}")),
        71 => plain["request"]["method"] = json!(t[..28].to_owned()),
        72 => return entry(&format!("https://other.example/x?password={s}")),
        _ => {
            plain = body("application/x-www-form-urlencoded", "");
            plain["request"]["postData"]["params"] = json!([{"name": "email", "value": s}]);
            plain["request"]["cookies"] = json!([{"name": "x", "value": s}]);
        }
    }
    plain
}

/// Where something beside the secret says what it is.
fn by_neighbours(position: usize, s: &str, t: &str) -> Value {
    let json = "application/json";
    let xml = "text/xml";
    match position {
        74 => body(
            xml,
            &format!("<a><w:Password Type=\"t\">{s}</w:Password></a>"),
        ),
        75 => body(xml, &format!("<password><![CDATA[{s}]]></password>")),
        76 => body(xml, &format!("<a><field name=\"password\">{s}</field></a>")),
        77 => body(
            xml,
            &format!("<m><name>password</name><value><string>{s}</string></value></m>"),
        ),
        78 => body("text/plain", &format!("user: bob\npassword: {s}\n")),
        79 => body("text/plain", &format!("X-Api-Key: {s}\r\nAccept: */*")),
        80 => body(json, &json!([["password", s]]).to_string()),
        81 => body(json, &json!({"key": "password", "value": s}).to_string()),
        82 => body(
            json,
            &format!("{{\"value\":\"{s}\",\"name\":\"password\"}}"),
        ),
        83 => body(
            "multipart/form-data; boundary=BOUND",
            &format!(
                "--BOUND\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{t}.txt\"\
                 \r\n\r\na\r\n--BOUND--\r\n"
            ),
        ),
        _ => url(&format!("/x?recovery_code={s}&pincode={s}")),
    }
}

/// Looks for many secrets at once, each in all spellings that an output may have.
pub(crate) struct Search {
    /// By their first bytes, the spellings and the position that each was planted in.
    spellings: HashMap<[u8; PIECE], Vec<(Vec<u8>, usize)>>,
    /// Whether a spelling begins with these three bytes.
    begins: Vec<bool>,
}

fn three(bytes: &[u8]) -> usize {
    let byte = |at: usize| usize::from(bytes[at]);
    byte(0) << 16 | byte(1) << 8 | byte(2)
}

impl Search {
    pub(crate) fn new() -> Self {
        Self {
            spellings: HashMap::new(),
            begins: vec![false; 1 << 24],
        }
    }

    pub(crate) fn add(&mut self, position: usize, secret: &str) {
        // Inside base 64 a text has three spellings; the middle of each shows it.
        let base64 = |lead: usize| {
            let text = STANDARD.encode(format!("{}{secret}", &"\"\"\""[..lead]));
            text[4..text.len() - 4].to_owned()
        };
        let all = [
            secret.to_owned(),
            percent(secret),
            percent(secret).to_uppercase(),
            escaped(secret),
            escaped(secret).replace('\\', "\\\\"),
            percent(&percent(secret)),
            base64(0),
            base64(1),
            base64(2),
            percent(&base64(0)),
            percent(&base64(1)),
            percent(&base64(2)),
        ];
        for spelling in all.into_iter().map(String::into_bytes) {
            if let Some(first) = spelling.first_chunk() {
                self.begins[three(first)] = true;
                let own = self.spellings.entry(*first).or_default();
                own.push((spelling, position));
            }
        }
    }

    /// The positions of the secrets that stand in a text.
    pub(crate) fn found(&self, text: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        let windows = text.windows(PIECE).enumerate();
        for (at, window) in windows.filter(|(_, window)| self.begins[three(window)]) {
            let own = window.try_into().ok();
            let own = own.and_then(|window: [u8; PIECE]| self.spellings.get(&window));
            for (spelling, position) in own.into_iter().flatten() {
                if text[at..].starts_with(spelling) {
                    found.push(*position);
                }
            }
        }
        found
    }
}
