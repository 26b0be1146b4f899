//! Frames and header blocks as bytes, and what a client's blocks say.

use std::collections::BTreeMap;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block: a status, and fields as literals.
pub(crate) fn block(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = [&[8, 3], status.to_string().as_bytes()].concat();
    for (name, value) in fields {
        for text in [name, value] {
            if text == name {
                block.push(0);
            }
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The settings with these values.
pub(crate) fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let entries = entries.iter();
    let bytes =
        entries.flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &bytes.collect::<Vec<_>>())
}

/// A complete answer with a body of four bytes.
pub(crate) fn answer(stream: u32, status: u16) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &block(status, &[]));
    [head, frame(DATA, END_STREAM, stream, b"body")].concat()
}

/// The fields of a request: literals and entries of the static table, which is all we send.
pub(super) fn fields(mut block: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while let Some((&byte, rest)) = block.split_first() {
        block = rest;
        let name =
            |index: u8| [":authority", ":method", ":method", ":path"][usize::from(index) - 1];
        match byte {
            0x82 => drop(fields.insert(":method".into(), "GET".into())),
            0x83 => drop(fields.insert(":method".into(), "POST".into())),
            0x84 => drop(fields.insert(":path".into(), "/".into())),
            0x86 | 0x87 => {}
            0 => {
                let name = text(&mut block);
                fields.insert(name, text(&mut block));
            }
            1..=4 => drop(fields.insert(name(byte).into(), text(&mut block))),
            _ => drop(fields.insert("unknown".into(), format!("{byte:x}"))),
        }
    }
    fields
}

fn text(block: &mut &[u8]) -> String {
    let mut length = usize::from(block[0]);
    *block = &block[1..];
    if length == 127 {
        for shift in [0, 7, 14, 21] {
            let byte = block[0];
            *block = &block[1..];
            length += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    let (text, rest) = block.split_at(length);
    *block = rest;
    String::from_utf8_lossy(text).into_owned()
}
