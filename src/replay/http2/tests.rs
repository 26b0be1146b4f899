//! Scripted peers, frame by frame, whole and cut anywhere; and bytes that no peer would send.

use std::{rc::Rc, sync::Arc};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{
    replay::{
        encode::{Card, Deck, Hand, Wire},
        http1::Asked,
    },
    units::SECOND_NS,
};

/// A request with so many bytes of body; its slot tells it apart.
fn exchange(slot: u32, body: usize) -> Exchange {
    let bytes = [vec![0x82], vec![b'x'; body]].concat();
    let wire = Wire {
        bytes: bytes.into_boxed_slice(),
        head: 1,
    };
    let card = Card {
        endpoint: 0,
        expect_status: None,
        asked: Asked::plain(false),
        is_repeatable: true,
        has_session: false,
        session_path: None,
        carries: None,
        wires: [Some(wire), None],
    };
    let cards = vec![Arc::new(card)];
    Exchange::new(
        (Rc::new(Hand(Arc::new(Deck { cards }))), 0),
        (slot, 0, 0),
        (1, 1),
    )
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let entries = entries.iter();
    let payload =
        entries.flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(4, 0, 0, &payload.collect::<Vec<_>>())
}

fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(1, flags | END_HEADERS, stream, block)
}

fn data(stream: u32, flags: u8, body: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, body)
}

/// A connection with requests on streams 1, 3, 5 … that were written.
fn connection(requests: u32) -> Http2 {
    let mut http2 = Http2::new(100);
    for slot in 0..requests {
        http2.begin(exchange(slot, 0));
    }
    let all = http2.outbox.waiting();
    http2.outbox.wrote(all);
    http2
}

/// What each request came to: slot, class, status, bytes of body; and whether it held.
type Outcome = (Vec<(u32, Class, Option<u16>, u64)>, Result<(), Broken>);

fn converse(http2: &mut Http2, pieces: &[&[u8]]) -> Outcome {
    let mut endings = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        result = http2.feed(piece, 7, &mut endings);
        if result.is_err() {
            break;
        }
    }
    let told = endings.iter();
    let told = told.map(|it| (it.exchange.slot, it.class, it.status, it.body_bytes));
    (told.collect(), result)
}

fn told(requests: u32, frames: &[Vec<u8>]) -> Outcome {
    let bytes = [settings(&[]), frames.concat()].concat();
    let whole = converse(&mut connection(requests), &[&bytes]);
    // However the bytes are cut, the outcome is the same.
    for size in [1, 2, 7, 16] {
        let pieces: Vec<_> = bytes.chunks(size).collect();
        assert_eq!(
            converse(&mut connection(requests), &pieces),
            whole,
            "{size}"
        );
    }
    whole
}

#[test]
fn answers_in_any_order_belong_to_their_requests() {
    let frames = [
        headers(5, 0, &[0x88]),
        headers(1, 0, &[0x88, 0x0f, 0x0d, 1, b'3']),
        data(5, 0, b"ab"),
        headers(3, END_STREAM, &[0x89]),
        data(1, END_STREAM, b"abc"),
        data(5, 0, b"c"),
        // Trailers end it.
        headers(5, END_STREAM, &[0, 1, b'x', 1, b'y']),
    ];
    let ended = vec![
        (1, Class::Ok, Some(204), 0),
        (0, Class::Ok, Some(200), 3),
        (2, Class::Ok, Some(200), 3),
    ];
    assert_eq!(told(3, &frames), (ended, Ok(())));
}

#[test]
fn one_stream_fails_alone_with_its_class() {
    use Class::*;
    let interim = || headers(1, 0, &[0x08, 3, b'1', b'0', b'3']);
    let big = [
        0x88, 0x0f, 0x0d, 8, b'1', b'7', b'0', b'0', b'0', b'0', b'0', b'0',
    ];
    let throttled = [0x08, 3, b'5', b'0', b'3', 0x0f, 0x26, 1, b'1'];
    let storm: Vec<_> = (0..150).map(|_| interim()).collect();
    let calm = [interim(), interim(), headers(1, END_STREAM, &[0x88])];
    for (frames, class, status) in [
        (vec![frame(3, 0, 1, &[0, 0, 0, 2])], H2StreamReset, None),
        (vec![data(1, 0, b"early")], H2Protocol, None),
        (vec![headers(1, 0, &[0x80])], H2Protocol, None),
        (vec![headers(1, 0, &[])], H2Protocol, None),
        (
            vec![headers(1, 0, &[0x88]), headers(1, 0, &[0x88])],
            H2Protocol,
            None,
        ),
        (vec![headers(1, 0, &big)], BodyTooLarge, None),
        (
            vec![headers(1, END_STREAM, &[0x88, 0x0f, 0x0d, 1, b'3'])],
            TruncatedBody,
            None,
        ),
        (
            vec![headers(1, END_STREAM, &throttled)],
            Throttled,
            Some(503),
        ),
        (vec![headers(1, END_STREAM, &[0x8e])], Http5xx, Some(500)),
        (vec![frame(8, 0, 1, &[0; 4])], H2Protocol, None),
        (calm.to_vec(), Ok, Some(200)),
        (storm, H2Protocol, None),
    ] {
        // The other request is none the worse for it.
        let frames = [frames, vec![headers(3, END_STREAM, &[0x88])]].concat();
        let (endings, result) = told(2, &frames);
        let endings: Vec<_> = endings.iter().map(|it| (it.0, it.1, it.2)).collect();
        assert_eq!(endings, [(0, class, status), (1, Ok, Some(200))]);
        assert_eq!(result, Result::Ok(()));
    }
}

#[test]
fn a_body_above_the_limit_ends_its_stream() {
    let piece = data(1, 0, &[0; 16_384]);
    let mut frames = vec![headers(1, 0, &[0x88])];
    frames.extend((0..=1024).map(|_| piece.clone()));
    let bytes = [settings(&[]), frames.concat()].concat();
    let (endings, result) = converse(&mut connection(1), &[&bytes]);
    assert_eq!(
        (endings[0].1, endings.len(), result),
        (Class::BodyTooLarge, 1, Ok(()))
    );
}

#[test]
fn what_breaks_the_protocol_breaks_the_connection() {
    for frames in [
        vec![headers(2, 0, &[0x88])], // a stream that only a server could open
        vec![headers(7, 0, &[0x88])], // one that nobody opened
        vec![data(0, 0, b"x")],       // data of no stream
        vec![frame(5, END_HEADERS, 1, &[0, 0, 0, 2])], // a push that was forbidden
        vec![frame(9, END_HEADERS, 1, &[0x88])], // a continuation of nothing
        vec![frame(1, 0, 1, &[0x88]), data(1, 0, b"x")], // a block that is interrupted
        vec![frame(0, 8, 1, &[9, 1])], // more padding than payload
        vec![frame(4, 0, 0, &[0; 5])], // settings that are none
        vec![frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])], // a window above the largest
        vec![frame(6, 0, 0, &[0; 7])], // a short ping
        vec![frame(7, 0, 0, &[0; 7])], // a short farewell
        vec![frame(8, 0, 0, &[0; 4])], // a window that grows by nothing
        vec![frame(3, 0, 1, &[0; 3])], // a short reset
        vec![[&[0xff, 0xff, 0xff, 0, 0][..], &[0; 4]].concat()], // 16 MB in one frame
    ] {
        let (endings, result) = told(1, &frames);
        assert_eq!((endings, result), (vec![], Err(Broken)), "{frames:?}");
    }
    let greeting = converse(&mut connection(1), &[&headers(1, END_STREAM, &[0x88])]);
    assert_eq!(greeting, (vec![], Err(Broken)), "settings come first");
}

#[test]
fn header_blocks_are_put_together_and_bounded() {
    let padded = [&[2, 0, 0, 0, 0, 9, 0x88][..], &[0; 2]].concat();
    let frames = [
        frame(1, END_STREAM | 8 | 32, 1, &padded),
        frame(9, 0, 1, &[]),
        frame(9, END_HEADERS, 1, &[0, 1, b'x', 1, b'y']),
    ];
    assert_eq!(
        told(1, &frames),
        (vec![(0, Class::Ok, Some(200), 0)], Ok(()))
    );
    let field = [&[0, 1, b'x', 0x7f, 0x81, 0x7f][..], &[b'y'; 16_384][..]].concat();
    let part = |kind, flags| frame(kind, flags, 1, &field[..16_384]);
    let large = [
        part(1, 0),
        part(9, 0),
        part(9, 0),
        part(9, 0),
        part(9, END_HEADERS),
    ];
    let (endings, result) = told(1, &large);
    assert_eq!((endings[0].1, result), (Class::HeadersTooLarge, Ok(())));
    let flood: Vec<_> = (0..300)
        .map(|n| frame(if n == 0 { 1 } else { 9 }, 0, 1, &[]))
        .collect();
    assert_eq!(told(1, &flood).1, Err(Broken));
}

#[test]
fn a_farewell_gives_back_what_was_not_looked_at() {
    let mut http2 = connection(3);
    let mut endings = Vec::new();
    let bytes = [settings(&[]), frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])].concat();
    http2.feed(&bytes, 7, &mut endings).unwrap();
    let mut back: Vec<_> = endings
        .iter()
        .map(|it| (it.exchange.slot, it.class, it.may_retry))
        .collect();
    back.sort_unstable();
    assert_eq!(
        back,
        [(1, Class::H2Goaway, true), (2, Class::H2Goaway, true)]
    );
    assert_eq!((http2.room(), http2.busy()), (0, 1));
    // The one that it did look at may still be answered, or lost with the connection.
    endings.clear();
    http2.lost(None, &mut endings);
    assert_eq!(
        (endings[0].class, endings[0].may_retry),
        (Class::H2Goaway, false)
    );
}

#[test]
fn refused_streams_may_be_sent_again_and_others_not() {
    for (code, may_retry) in [(7, true), (2, false), (11, false)] {
        let mut endings = Vec::new();
        let bytes = [settings(&[]), frame(3, 0, 1, &[0, 0, 0, code])].concat();
        connection(1).feed(&bytes, 7, &mut endings).unwrap();
        assert_eq!(endings[0].may_retry, may_retry, "{code}");
    }
}

#[test]
fn a_closed_connection_fails_each_request_by_how_far_it_was() {
    let mut http2 = connection(3);
    let mut endings = Vec::new();
    let bytes = [
        settings(&[]),
        headers(1, END_STREAM, &[0x88]),
        headers(3, 0, &[0x88]),
    ]
    .concat();
    http2.feed(&bytes, 7, &mut endings).unwrap();
    endings.clear();
    http2.lost(None, &mut endings);
    let classes: Vec<_> = endings.iter().map(|it| (it.class, it.may_retry)).collect();
    assert!(classes.contains(&(Class::TruncatedBody, false)));
    assert!(
        classes.contains(&(Class::ClosedReused, true)),
        "the connection was proven before"
    );
    let mut fresh = connection(1);
    endings.clear();
    fresh.lost(None, &mut endings);
    assert_eq!(endings[0].class, Class::ClosedBeforeResponse);
}

/// The frames that wait, as (kind, flags, stream, payload).
fn sent(http2: &mut Http2) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut bytes = http2.outbox.rest().to_vec();
    http2.outbox.wrote(bytes.len());
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        let rest = bytes.split_off(9 + length);
        let stream = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]);
        frames.push((bytes[3], bytes[4], stream, bytes[9..].to_vec()));
        bytes = rest;
    }
    frames
}

#[test]
fn bodies_wait_for_the_windows_of_the_peer() {
    let mut http2 = connection(0);
    let mut endings = Vec::new();
    // A stream may get 10 bytes, the connection has its 65,535.
    http2.feed(&settings(&[(4, 10)]), 7, &mut endings).unwrap();
    let ack = sent(&mut http2);
    assert_eq!((ack[0].0, ack[0].1), (4, 1));
    http2.begin(exchange(0, 25));
    let lengths = |frames: &[(u8, u8, u32, Vec<u8>)]| -> Vec<_> {
        frames.iter().map(|it| (it.0, it.1, it.3.len())).collect()
    };
    assert_eq!(
        lengths(&sent(&mut http2)),
        [(1, END_HEADERS, 1), (0, 0, 10)]
    );
    http2
        .feed(&frame(8, 0, 1, &[0, 0, 0, 5]), 7, &mut endings)
        .unwrap();
    assert_eq!(lengths(&sent(&mut http2)), [(0, 0, 5)]);
    // A larger first window holds for open streams too, by the difference.
    http2.feed(&settings(&[(4, 100)]), 7, &mut endings).unwrap();
    assert_eq!(lengths(&sent(&mut http2))[1..], [(0, END_STREAM, 10)]);
    assert!(endings.is_empty());
    // An answer before the request is complete: the rest is not sent.
    http2.begin(exchange(1, 200));
    sent(&mut http2);
    http2
        .feed(&headers(3, END_STREAM, &[0x88]), 7, &mut endings)
        .unwrap();
    assert_eq!(lengths(&sent(&mut http2)), [(3, 0, 4)]);
    assert_eq!(endings[0].class, Class::Ok);
}

#[test]
fn the_peer_decides_how_many_streams_there_are() {
    let mut http2 = connection(2);
    assert_eq!(http2.room(), 98);
    let mut endings = Vec::new();
    http2.feed(&settings(&[(3, 3)]), 7, &mut endings).unwrap();
    assert_eq!(http2.room(), 1);
    http2.feed(&settings(&[(3, 0)]), 7, &mut endings).unwrap();
    assert_eq!(http2.room(), 0);
}

#[test]
fn pings_are_answered_and_the_window_is_refilled() {
    let mut http2 = connection(1);
    let mut endings = Vec::new();
    let bytes = [
        settings(&[]),
        frame(6, 0, 0, b"12345678"),
        frame(6, 1, 0, b"87654321"),
    ]
    .concat();
    http2.feed(&bytes, 7, &mut endings).unwrap();
    let pongs: Vec<_> = sent(&mut http2)
        .into_iter()
        .filter(|it| it.0 == 6)
        .collect();
    assert_eq!(pongs, [(6, 1, 0, b"12345678".to_vec())]);
    // Padding and bodies of ended streams count against the window as well.
    let mut refilled = 0;
    for _ in 0..=(REFILL / 16_384) {
        http2
            .feed(&data(1, 0, &[0; 16_384]), 7, &mut endings)
            .unwrap();
        refilled += sent(&mut http2)
            .iter()
            .filter(|it| it.0 == 8 && it.2 == 0)
            .count();
    }
    assert_eq!(refilled, 1);
}

#[test]
fn time_outs_end_a_stream_and_tell_the_peer() {
    let mut http2 = connection(3);
    let mut endings = Vec::new();
    let bytes = [settings(&[]), headers(1, 0, &[0x88])].concat();
    http2.feed(&bytes, SECOND_NS / 2, &mut endings).unwrap();
    sent(&mut http2);
    http2.sweep(SECOND_NS + 1, &Limits::OF_TESTS, &mut endings);
    assert!(endings.iter().all(|it| it.class == Class::HeaderTimeout) && endings.len() == 2);
    endings.clear();
    http2.sweep(SECOND_NS * 3 / 2, &Limits::OF_TESTS, &mut endings);
    assert_eq!(endings[0].class, Class::BodyIdleTimeout);
    let resets = sent(&mut http2);
    assert!(resets.len() == 3 && resets.iter().all(|it| it.0 == 3 && it.3 == [0, 0, 0, 8]));
    let mut slow = connection(1);
    endings.clear();
    slow.sweep(3 * SECOND_NS + 1, &Limits::OF_TESTS, &mut endings);
    assert_eq!(endings[0].class, Class::TotalTimeout);
}

#[test]
fn no_bytes_make_it_panic_or_answer_the_wrong_request() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let script = [
        settings(&[(3, 50), (4, 1 << 20)]),
        frame(4, 1, 0, &[]),
        headers(1, 0, &[0x88, 0x0f, 0x0d, 1, b'3']),
        data(1, END_STREAM, b"abc"),
        headers(3, END_STREAM, &[0x8b]),
        frame(8, 0, 0, &[0, 0, 1, 0]),
        frame(6, 0, 0, &[1; 8]),
        headers(5, 0, &[0x08, 3, b'2', b'9', b'9']),
        data(5, END_STREAM | 8, &[1, b'x', 0]),
        frame(3, 0, 7, &[0, 0, 0, 8]),
        frame(7, 0, 0, &[0, 0, 0, 9, 0, 0, 0, 0]),
    ];
    let whole = script.concat();
    for _ in 0..60_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(0..4) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.random(),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, random.random()),
                _ => {
                    let until = (at + random.random_range(1..30)).min(bytes.len());
                    bytes.extend_from_within(at..until);
                }
            }
        }
        let mut http2 = connection(6);
        let mut endings = Vec::new();
        let cut = random.random_range(0..=bytes.len());
        let (a, b) = bytes.split_at(cut);
        let result = http2
            .feed(a, 7, &mut endings)
            .and_then(|()| http2.feed(b, 8, &mut endings));
        http2.lost(result.err().map(|Broken| Class::H2Protocol), &mut endings);
        let mut slots: Vec<_> = endings.iter().map(|it| it.exchange.slot).collect();
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 2, 3, 4, 5], "each request ends exactly once");
        assert!(http2.outbox.waiting() < 1 << 21);
    }
    let mut noise = vec![0; 4096];
    for _ in 0..2_000 {
        random.fill_bytes(&mut noise);
        let mut http2 = connection(2);
        let mut endings = Vec::new();
        let _ = http2.feed(&noise, 7, &mut endings);
        http2.lost(None, &mut endings);
        assert_eq!(endings.len(), 2);
    }
}
