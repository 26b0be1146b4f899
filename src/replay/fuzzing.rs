//! The door through which a fuzzer reaches the codecs; not part of the interface.
//!
//! Both take any bytes, must come back, and check on their way what no answer may change: where
//! bytes are cut changes nothing, and each request ends exactly once.

use std::{rc::Rc, sync::Arc};

use super::{
    caught::Keeps,
    encode::{Card, Deck, Hand, Wire},
    exchange::Exchange,
    hpack,
    http1::{Answer, Asked, Progress, Response},
    http2::{Broken, Http2},
};
use crate::run::Class;

/// Requests on the HTTP/2 connection.
const REQUESTS: usize = 3;

/// An answer to a GET or a HEAD; the first two bytes say which, and where the rest is cut.
pub fn http1(bytes: &[u8]) {
    let Some((&[kind, cut], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let asked = Asked {
        head: kind % 4 == 0,
        keeps: if kind & 4 == 0 {
            Keeps::Everything
        } else {
            Keeps::Cookies
        },
    };
    let (a, b) = rest.split_at(usize::from(cut).min(rest.len()));
    assert_eq!(answer(asked, &[rest]), answer(asked, &[a, b]));
}

/// What came of an answer, and how many bytes were left over.
fn answer(asked: Asked, pieces: &[&[u8]]) -> Result<(Answer, usize), Option<Class>> {
    let mut response = Response::new(asked);
    let mut left: usize = pieces.iter().map(|it| it.len()).sum();
    for piece in pieces {
        left -= piece.len();
        if let Progress::Done(answer, used) = response.feed(piece)? {
            return Ok((answer, left + piece.len() - used));
        }
    }
    Ok((response.finish()?, left))
}

/// What a server says on a connection with three requests; the first byte says where it is cut.
pub fn http2(bytes: &[u8]) {
    let Some((&cut, rest)) = bytes.split_first() else {
        return;
    };
    let _ = (hpack::decode(rest), hpack::all(rest));
    let (a, b) = rest.split_at(usize::from(cut).min(rest.len()));
    let mut http2 = Http2::new(REQUESTS);
    for slot in (0..).take(REQUESTS) {
        http2.begin(exchange(slot));
    }
    let mut endings = Vec::new();
    let fed = http2.feed(a, 1, &mut endings);
    let fed = fed.and_then(|()| http2.feed(b, 2, &mut endings));
    http2.lost(fed.err().map(|Broken| Class::H2Protocol), &mut endings);
    let mut slots: Vec<u32> = endings.iter().map(|it| it.exchange.slot).collect();
    slots.sort_unstable();
    assert!(slots.into_iter().eq((0..).take(REQUESTS)), "each ends once");
}

/// A request with more body than the first windows take.
pub(super) fn exchange(slot: u32) -> Exchange {
    let bytes = vec![0x82; 50_000].into_boxed_slice();
    let card = Card {
        endpoint: 0,
        expect_status: None,
        asked: Asked::plain(false),
        is_repeatable: true,
        has_session: false,
        session_path: None,
        carries: None,
        wires: [Some(Wire { bytes, head: 1 }), None],
    };
    let cards = vec![Arc::new(card)];
    let hand = Hand(Arc::new(Deck { cards }));
    Exchange::new((Rc::new(hand), 0), (slot, 0, 0), (1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doors_open() {
        http1(b"\x01\x05HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        http2(b"\x03\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88");
        http1(b"");
        http2(b"");
    }
}
