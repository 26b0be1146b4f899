//! The fields of a form written as a body, for formats that have taken it apart.

use url::form_urlencoded::byte_serialize;

use crate::workload::Header;

/// One field.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
    /// The name of the file that it is, if it is one.
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
}

/// Fields as a query writes them.
pub(super) fn urlencoded(fields: &[Field]) -> Vec<u8> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pairs: Vec<String> = fields
        .iter()
        .map(|field| format!("{}={}", encode(&field.name), encode(&field.value)))
        .collect();
    pairs.join("&").into_bytes()
}

/// Fields as multipart; the content type in the headers names the new boundary.
pub(super) fn multipart(fields: &[Field], headers: &mut Vec<Header>) -> Vec<u8> {
    let boundary = (0..u64::MAX)
        .map(|number| format!("proofload-boundary-{number}"))
        .find(|boundary| !fields.iter().any(|field| field.value.contains(boundary)))
        .expect("a finite body leaves a number free");
    let quote = |text: &str| {
        let text = text.replace('"', "%22");
        text.replace('\r', "%0D").replace('\n', "%0A")
    };
    let mut body = String::new();
    for field in fields {
        let name = quote(&field.name);
        body.extend([
            "--",
            &boundary,
            "\r\nContent-Disposition: form-data; name=\"",
            &name,
        ]);
        if let Some(file_name) = &field.file_name {
            body.extend(["\"; filename=\"", &quote(file_name)]);
        }
        body.push_str("\"\r\n");
        if let Some(content_type) = &field.content_type {
            body.extend(["Content-Type: ", &quote(content_type), "\r\n"]);
        }
        body.extend(["\r\n", &field.value, "\r\n"]);
    }
    body.extend(["--", &boundary, "--\r\n"]);
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    let content_type = format!("multipart/form-data; boundary={boundary}");
    headers.push(("content-type".to_owned(), content_type));
    body.into_bytes()
}
