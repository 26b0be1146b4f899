//! Access logs in JSON lines: which key means what, by a map from the user or one that is known.
//!
//! The known maps follow the documentation of Caddy, Traefik, Envoy and Google's load balancer;
//! for nginx, whose users choose the keys, those that are called as its variables.

use serde_json::Value;

use crate::workload::import::{
    draft::{Draft, Unfit},
    field::{Field, NAMES},
};

/// Which key of an object means which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    rows: Vec<(Field, Vec<String>)>,
}

/// The known maps by name. Of several keys for one field the first that is there counts.
const KNOWN: &[(&str, &str)] = &[
    (
        "caddy",
        "end=ts,method=request.method,path=request.uri,host=request.host,status=status,size=size,\
         dur_s=duration,client=request.client_ip,client=request.remote_ip,\
         client_port=request.remote_addr,headers=request.headers",
    ),
    (
        "gcp",
        "time=timestamp,method=httpRequest.requestMethod,path=httpRequest.requestUrl,\
         status=httpRequest.status,size=httpRequest.responseSize,dur_s=httpRequest.latency,\
         client=httpRequest.remoteIp,header.user-agent=httpRequest.userAgent,\
         header.referer=httpRequest.referer",
    ),
    (
        "traefik",
        "time=StartUTC,time=StartLocal,method=RequestMethod,path=RequestPath,host=RequestHost,\
         status=DownstreamStatus,status=OriginStatus,size=DownstreamContentSize,dur_ns=Duration,\
         client=ClientHost,header.user-agent=request_User-Agent,header.referer=request_Referer",
    ),
    (
        "envoy-json",
        "time=start_time,method=method,path=path,path=x_envoy_origin_path,host=authority,\
         status=response_code,size=bytes_sent,dur_ms=duration,forwarded=x_forwarded_for,\
         client_port=downstream_remote_address,header.user-agent=user_agent",
    ),
    (
        "nginx-json",
        "end=msec,end=time_iso8601,end=time_local,request=request,method=request_method,\
         path=request_uri,path_decoded=uri,query=args,host=http_host,host=host,status=status,\
         size=body_bytes_sent,dur_s=request_time,client=remote_addr,\
         forwarded=http_x_forwarded_for,user=remote_user,header.user-agent=http_user_agent,\
         header.referer=http_referer,body=request_body",
    ),
];

impl Map {
    /// Reads `time=ts,method=req.method,…`: our names on the left, keys on the right, a point
    /// for each step into an object.
    ///
    /// # Errors
    /// When a name is unknown, a pair has no `=`, or no field names a request.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rows = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let (name, key) = pair
                .split_once('=')
                .ok_or_else(|| format!("`{pair}` is not NAME=KEY"))?;
            let field = Field::named(name.trim())
                .ok_or_else(|| format!("`{name}` is none of the fields {NAMES}"))?;
            let steps = key.trim().split('.').map(str::to_owned).collect();
            rows.push((field, steps));
        }
        if !Field::name_a_request(&rows.iter().map(|(field, _)| field)) {
            return Err("it names no request; map request, or method and path".to_owned());
        }
        Ok(Self { rows })
    }

    /// The known map of this name.
    pub(super) fn known(name: &str) -> Option<Self> {
        let (_, text) = KNOWN.iter().find(|(known, _)| *known == name)?;
        Self::parse(text).ok()
    }

    /// All known maps, in the order in which they are tried.
    pub(super) fn all_known() -> Vec<Self> {
        KNOWN
            .iter()
            .filter_map(|(name, _)| Self::known(name))
            .collect()
    }

    /// Takes an object apart; `None` when it says nothing of a request.
    ///
    /// # Errors
    /// When a value cannot be of its field.
    pub(super) fn read(&self, object: &Value) -> Result<Option<Draft<'static>>, Unfit> {
        let mut draft = Draft::default();
        let mut set: Vec<&Field> = Vec::new();
        for (field, steps) in &self.rows {
            if set.contains(&field) {
                continue;
            }
            let Some(value) = find(object, steps) else {
                continue;
            };
            if *field == Field::Headers {
                headers(value, &mut draft);
            } else if let Some(text) = text(value) {
                draft.set(field, text.into_bytes().into())?;
            } else {
                continue;
            }
            set.push(field);
        }
        Ok(draft.has_request().then_some(draft))
    }
}

/// The value of a line, or why it is none.
pub(super) fn parse(line: &[u8]) -> Result<Value, Unfit> {
    let first = serde_json::from_slice(line);
    let value = match first {
        // nginx without `escape=json` writes escapes that JSON does not know.
        Err(_) if line.windows(2).any(|pair| pair == b"\\x") => {
            serde_json::from_slice(&without_x(line))
        }
        other => other,
    };
    let value: Value = value.map_err(|_| "the line is no JSON in UTF-8")?;
    if value.is_object() {
        Ok(value)
    } else {
        Err("the line is JSON, but no object")
    }
}

/// `\x22` as JSON writes it; bytes beyond ASCII as they are.
fn without_x(line: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let digits = behind.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        let hex = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'\\', Some(byte)) => {
                rest = &behind[3..];
                if byte < 0x80 {
                    bytes.extend(format!("\\u00{byte:02x}").bytes());
                } else {
                    bytes.push(byte);
                }
            }
            (b'\\', None) => {
                bytes.push(b'\\');
                // What follows belongs to the escape, even where it is another backslash.
                if let Some((second, behind)) = rest.split_first() {
                    bytes.push(*second);
                    rest = behind;
                }
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}

/// The value under these steps; a key may hold points itself.
fn find<'a>(object: &'a Value, steps: &[String]) -> Option<&'a Value> {
    if let Some(value) = object.get(steps.join(".")) {
        return Some(value);
    }
    let (first, rest) = steps.split_first()?;
    let value = object.get(first)?;
    if rest.is_empty() {
        Some(value)
    } else {
        find(value, rest)
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // Written out: as JSON, a few microseconds in seconds would have an exponent.
        Value::Number(number) if number.is_f64() => Some(number.as_f64()?.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) => list.first().and_then(text),
        _ => None,
    }
}

/// `{"Accept": ["*/*"]}` or `{"accept": "*/*"}`.
fn headers(value: &Value, draft: &mut Draft) {
    let Value::Object(fields) = value else {
        return;
    };
    for (name, value) in fields {
        match value {
            Value::Array(list) => {
                for value in list.iter().filter_map(text) {
                    draft.set_header(name, value);
                }
            }
            other => {
                if let Some(value) = text(other) {
                    draft.set_header(name, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workload::import::draft::Logged;

    fn read(map: &Map, object: &Value) -> Logged {
        let draft = map.read(object).unwrap().unwrap();
        match draft.finish(0) {
            Ok(logged) => logged,
            Err(rejected) => panic!("{rejected:?}"),
        }
    }

    #[test]
    fn every_known_map_reads_the_log_of_its_server() {
        assert_eq!(Map::all_known().len(), KNOWN.len());
        let start = "2026-11-25T02:20:00.5Z";
        for (name, object) in [
            (
                "caddy",
                json!({"ts": 1_795_573_200.75, "duration": 0.25, "status": 200, "size": 3,
                    "request": {"method": "GET", "uri": "/a?b", "host": "h", "remote_ip": "::1",
                    "headers": {"Accept": ["*/*"]}}}),
            ),
            (
                "gcp",
                json!({"timestamp": start, "httpRequest": {"requestMethod": "GET",
                    "requestUrl": "https://h/a?b", "status": 200, "responseSize": "3",
                    "latency": "0.250s", "remoteIp": "::1"}}),
            ),
            (
                "traefik",
                json!({"StartUTC": start, "RequestMethod": "GET", "RequestPath": "/a?b",
                    "RequestHost": "h", "DownstreamStatus": 200, "DownstreamContentSize": 3,
                    "Duration": 250_000_000, "ClientHost": "::1"}),
            ),
            (
                "envoy-json",
                json!({"start_time": start, "method": "GET", "path": "/a?b", "authority": "h",
                    "response_code": 200, "bytes_sent": 3, "duration": 250}),
            ),
            (
                "nginx-json",
                json!({"time_iso8601": "2026-11-25T02:20:01+00:00", "msec": "1795573200.750",
                    "request": "GET /a?b HTTP/1.1", "host": "h", "status": "200",
                    "body_bytes_sent": "3", "request_time": "0.250"}),
            ),
        ] {
            let logged = read(&Map::known(name).unwrap(), &object);
            let (found, is_end) = (logged.found, logged.is_end);
            assert_eq!(found.request.path, "/a?b", "{name}");
            assert_eq!(found.host, "h", "{name}");
            assert_eq!(found.request.expect_status, Some(200), "{name}");
            let recorded = found.request.recorded;
            assert_eq!(recorded.size_bytes, Some(3), "{name}");
            assert_eq!(recorded.latency_ns, Some(250_000_000), "{name}");
            let late = if is_end { 250_000_000 } else { 0 };
            let begin = 1_795_573_200_500_000_000 + late;
            assert_eq!(found.started_ns, Some(begin), "{name}");
            let other = Map::all_known();
            let fitting = other
                .iter()
                .filter(|map| matches!(map.read(&object), Ok(Some(_))));
            assert_eq!(fitting.count(), 1, "{name}: one map fits");
        }
    }

    #[test]
    fn a_map_of_the_user_may_step_into_objects_and_name_keys_with_points() {
        let map = "time=ts, method=req.method, path=a.b, header.x-a=h.x, session=u";
        let map = Map::parse(map).unwrap();
        let object = json!({"ts": 1_795_573_200, "req": {"method": "PUT"}, "a.b": "/p",
            "h": {"x": ["1", "2"]}, "u": 7});
        let logged = read(&map, &object);
        assert_eq!(logged.found.client, "7");
        assert_eq!(logged.found.request.headers, [("x-a".into(), "1".into())]);
        assert!(logged.is_whole);
        assert!(map.read(&json!({"msg": "started"})).unwrap().is_none());
        for (text, said) in [
            ("method=m", "names no request"),
            ("methd=m", "`methd` is none of"),
            ("method", "not NAME=KEY"),
        ] {
            let error = Map::parse(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn small_and_large_numbers_have_no_exponent() {
        let map = Map::parse("time=t,method=m,path=p,dur_s=d").unwrap();
        let line = br#"{"t":1.79557320025e9,"m":"GET","p":"/","d":7.541e-6}"#;
        let logged = read(&map, &parse(line).unwrap());
        assert_eq!(logged.found.request.recorded.latency_ns, Some(7_541));
        assert_eq!(logged.found.started_ns, Some(1_795_573_200_250_000_000));
    }

    #[test]
    fn escapes_that_json_does_not_know_are_read_all_the_same() {
        let line = br#"{"request":"GET /\x22\xC3\xA9\\x41\" HTTP/1.1"}"#;
        let value = parse(line).unwrap();
        assert_eq!(value["request"], "GET /\"é\\x41\" HTTP/1.1");
        for (line, said) in [
            (&b"[1]"[..], "no object"),
            (b"{\"a\":\"\\x\"}", "no JSON"),
            (b"{\"a\":\"\xff\"}", "no JSON"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
