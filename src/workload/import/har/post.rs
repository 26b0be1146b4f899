//! The body of a HAR entry: `postData` as text, base 64 or fields.
//!
//! Base 64 is decoded only where it is declared. Fields without a text are encoded again, as a
//! form or as multipart with a boundary of our own. A body that the export lost is not
//! replaced by an empty one, because the answer would be that to another question.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::entry::text;
use crate::workload::{
    Header,
    import::{
        form::{self, Field},
        gather::Rejected,
        message,
    },
};

pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Bytes that were no text were replaced by the exporter.
    pub(super) is_lossy: bool,
}

const LOST: Rejected = Rejected::Policy("its body is not in the file");

pub(super) fn body(request: &Value, headers: &mut Vec<Header>) -> Result<Body, Rejected> {
    let post = &request["postData"];
    let mime = post["mimeType"].as_str().unwrap_or_default();
    let recorded = post["text"].as_str().unwrap_or_default();
    let fields = post["params"].as_array().map_or(&[][..], Vec::as_slice);
    let is_base64 = post["encoding"]
        .as_str()
        .is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"));
    let bytes = if !recorded.is_empty() && is_base64 {
        let decoded = STANDARD.decode(recorded.trim());
        decoded.map_err(|_| Rejected::Malformed("its body is not the base64 that it says"))?
    } else if !recorded.is_empty() {
        recorded.as_bytes().to_vec()
    } else if !fields.is_empty() {
        let fields = fields.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        let declared = content_type(headers).unwrap_or(mime).to_ascii_lowercase();
        if declared.starts_with("multipart/") || fields.iter().any(|f| f.file_name.is_some()) {
            form::multipart(&fields, headers)
        } else {
            form::urlencoded(&fields)
        }
    } else if request["bodySize"].as_i64().unwrap_or(0) > 0 || promises_body(headers) {
        return Err(LOST);
    } else {
        Vec::new()
    };
    if !bytes.is_empty() && content_type(headers).is_none() {
        let mime = match (mime, recorded.is_empty()) {
            ("", true) => "application/x-www-form-urlencoded",
            (mime, _) => mime,
        };
        if !mime.is_empty() {
            headers.push(("content-type".to_owned(), mime.to_owned()));
        }
    }
    let is_lossy = !is_base64 && recorded.contains('\u{fffd}');
    Ok(Body { bytes, is_lossy })
}

/// A field that the export has taken apart.
fn field(value: &Value) -> Result<Field, Rejected> {
    let member = |name: &str| value[name].as_str().map(str::to_owned);
    let file_name = member("fileName").filter(|name| !name.is_empty());
    if file_name.is_some() && value["value"].as_str().is_none_or(str::is_empty) {
        return Err(LOST);
    }
    Ok(Field {
        name: member("name").unwrap_or_default(),
        value: text(&value["value"]).unwrap_or_default(),
        file_name,
        content_type: member("contentType").filter(|kind| !kind.is_empty()),
    })
}

/// Whether the header fields tell of a body; some exporters lose uploads and say that there was
/// none.
fn promises_body(headers: &[Header]) -> bool {
    let length = message::header(headers, "content-length");
    let is_multipart = content_type(headers).is_some_and(|kind| kind.starts_with("multipart/"));
    is_multipart || length.is_some_and(|length| !matches!(length.trim(), "" | "0"))
}

fn content_type(headers: &[Header]) -> Option<&str> {
    message::header(headers, "content-type")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(request: &Value, headers: &[(&str, &str)]) -> Option<(String, Vec<Header>)> {
        let mut headers: Vec<Header> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let body = body(request, &mut headers).ok()?;
        Some((String::from_utf8(body.bytes).unwrap(), headers))
    }

    #[test]
    fn bodies_come_from_text_base64_or_fields() {
        let fields = json!([{"name": "a b", "value": "1&2"}, {"name": "c", "value": null}]);
        for (post, expected, content_type) in [
            (
                json!({"mimeType": "text/x", "text": "YQ=="}),
                "YQ==",
                Some("text/x"),
            ),
            (json!({"text": "YQ==", "encoding": "base64"}), "a", None),
            (json!({"text": "x", "params": fields}), "x", None),
            (
                json!({"params": fields}),
                "a+b=1%262&c=",
                Some("application/x-www-form-urlencoded"),
            ),
            (json!({"mimeType": "", "text": "", "params": []}), "", None),
            (
                json!({"mimeType": 7, "text": {"a": 1}, "params": "x"}),
                "",
                None,
            ),
            (json!(null), "", None),
        ] {
            let (body, headers) = read(&json!({ "postData": post }), &[]).unwrap();
            assert_eq!(body, expected);
            let found = headers.first().map(|(_, value)| value.as_str());
            assert_eq!(found, content_type, "{post}");
        }
        let bad = json!({"postData": {"text": "?", "encoding": "base64"}});
        assert!(read(&bad, &[]).is_none());
        assert!(read(&json!({"bodySize": 5}), &[]).is_none());
        assert_eq!(read(&json!({"bodySize": -1}), &[]).unwrap().0, "");
    }

    #[test]
    fn multipart_fields_get_a_boundary_that_they_do_not_hold() {
        let request = json!({"postData": {"mimeType": "multipart/form-data", "params": [
            {"name": "a\"b", "value": "x --proofload-boundary-0 y"},
            {"name": "f", "value": "data", "fileName": "n.txt", "contentType": "text/plain"},
        ]}});
        let (body, headers) = read(&request, &[("Content-Type", "multipart/form-data")]).unwrap();
        assert_eq!(
            body,
            "--proofload-boundary-1\r\n\
             Content-Disposition: form-data; name=\"a%22b\"\r\n\r\n\
             x --proofload-boundary-0 y\r\n\
             --proofload-boundary-1\r\n\
             Content-Disposition: form-data; name=\"f\"; filename=\"n.txt\"\r\n\
             Content-Type: text/plain\r\n\r\ndata\r\n--proofload-boundary-1--\r\n"
        );
        let content_type = "multipart/form-data; boundary=proofload-boundary-1";
        assert_eq!(
            headers,
            [("content-type".to_owned(), content_type.to_owned())]
        );
        let lost = json!({"postData": {"params": [{"name": "f", "fileName": "n.txt"}]}});
        assert!(read(&lost, &[]).is_none());
    }
}
