//! HTTP/2 connections that go away, refuse, close or flood: what is sent once more, on which
//! connection, and that nobody else is held up.

use proofload::run::{Class, Side};

use crate::{
    engine::{load, quiet, run, workload},
    faultd::MS,
    h2d::{Asked, PING, Peer, SETTINGS, Talk, WINDOW_UPDATE, answer, block, frame},
    http2::{assert_all, count, counted, data, forty, head, over_http2},
};

#[test]
fn a_goaway_gives_unseen_requests_back_and_a_get_is_sent_once_more() {
    for (request, class) in [("GET /x", Class::Ok), ("POST /x", Class::H2Goaway)] {
        let peer = Peer::start(|it, talk| match it.nth {
            6 => talk.goaway(it.stream - 2),
            _ => talk.answer(it.stream, 200),
        });
        let trial = run(&forty(&peer, &[request]));
        let total = counted(&peer, &trial);
        let sent_away = peer.seen().iter().filter(|it| it.nth == 6).count() as u64;
        assert!(sent_away > 2);
        let method = request.split(' ').next().unwrap();
        assert!(peer.seen().iter().all(|it| it.method == method));
        if class == Class::Ok {
            assert_eq!(total.retried, sent_away);
            assert_all(request, &trial, Class::Ok);
        } else {
            assert_eq!(total.retried, 0, "never a POST");
            assert_eq!(count(&trial, class), sent_away);
            assert_eq!(count(&trial, Class::Ok), total.sent() - sent_away);
        }
    }
}

#[test]
fn a_connection_that_goes_away_with_work_left_does_not_keep_others_from_opening() {
    // Ten requests: two were seen and are answered late, eight come back; the rest is usual.
    let peer = Peer::start(|it, talk| match (it.connection, it.nth) {
        (1, 1..=9) => {}
        (1, 10) => {
            talk.goaway(3);
            talk.later(300, [answer(1, 200), answer(3, 200)].concat());
        }
        _ => talk.answer(it.stream, 200),
    });
    let load = over_http2(load(
        peer.address,
        workload(&["GET /x"], None),
        "200/s",
        300,
    ));
    let trial = run(&load);
    let total = counted(&peer, &trial);
    assert_all("goaway", &trial, Class::Ok);
    assert!((8..12).contains(&total.retried), "{}", total.retried);
    assert_eq!(peer.connections(), 2, "one goes, one comes");
}

#[test]
fn a_goaway_and_a_close_fail_what_was_seen_and_it_is_not_sent_again() {
    let peer = Peer::start(|it, talk| match it.nth {
        4 => {
            talk.goaway(it.stream);
            talk.close();
        }
        _ => talk.answer(it.stream, 200),
    });
    let trial = run(&forty(&peer, &["GET /x"]));
    let total = counted(&peer, &trial);
    let lost = peer.seen().iter().filter(|it| it.nth == 4).count() as u64;
    // Sent to a connection that was closing, and never read there.
    assert_eq!(count(&trial, Class::H2Goaway), lost, "{:?}", total.classes);
    assert_eq!(count(&trial, Class::Ok), total.sent() - lost);
}

#[test]
fn a_refused_stream_is_sent_once_more_and_no_connection_is_wasted_on_it() {
    let sometimes = |it: &Asked, talk: &mut Talk| match it.total % 3 {
        0 => talk.reset(it.stream, 7),
        _ => talk.answer(it.stream, 200),
    };
    let peer = Peer::start(sometimes);
    let trial = run(&forty(&peer, &["GET /x"]));
    let total = counted(&peer, &trial);
    assert_all("sometimes", &trial, Class::Ok);
    assert!(total.retried > 5);
    assert_eq!(peer.connections(), 1);

    let peer = Peer::start(sometimes);
    let trial = run(&forty(&peer, &["POST /x"]));
    let refused = peer.requests() / 3;
    assert_eq!(counted(&peer, &trial).retried, 0);
    assert_eq!(count(&trial, Class::H2StreamReset), refused);

    let peer = Peer::start(|it, talk| talk.reset(it.stream, 7));
    let trial = run(&forty(&peer, &["GET /x"]));
    let total = counted(&peer, &trial);
    assert_all("always", &trial, Class::H2StreamReset);
    assert_eq!((total.retried, peer.connections()), (total.sent(), 1));
}

#[test]
fn a_connection_that_ends_between_requests_is_the_keep_alive_race() {
    for (request, class) in [("GET /x", Class::Ok), ("POST /x", Class::ClosedReused)] {
        let peer = Peer::start(|it, talk| match it.nth {
            3 => talk.close(),
            _ => talk.answer(it.stream, 200),
        });
        let trial = run(&forty(&peer, &[request]));
        let total = counted(&peer, &trial);
        let closed = peer.seen().iter().filter(|it| it.nth == 3).count() as u64;
        assert_eq!(total.retried, if class == Class::Ok { closed } else { 0 });
        let lost = total
            .classes
            .get(&Class::ClosedReused)
            .copied()
            .unwrap_or(0);
        assert_eq!(lost, if class == Class::Ok { 0 } else { closed });
        assert_eq!(
            count(&trial, Class::Ok) + lost,
            total.sent(),
            "{:?}",
            total.classes
        );
    }
}

#[test]
fn a_flood_on_one_connection_does_not_stop_the_others() {
    let _quiet = quiet();
    for (name, bytes) in [
        ("pings", frame(PING, 0, 0, &[1; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("empty data", data(1, 0, b"")),
        ("windows", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
    ] {
        let flood = bytes.clone();
        let peer = Peer::start(move |it, talk| {
            if it.connection == 1 {
                talk.write(head(it.stream, 0, &block(200, &[])));
                talk.flood(&flood);
            } else {
                talk.answer(it.stream, 200);
            }
        });
        let mut load = forty(&peer, &["GET /x"]);
        load.limits.http2_connections_max = 2;
        load.limits.total_ns = 500 * MS;
        load.limits.idle_ns = 400 * MS;
        let trial = run(&load);
        let total = trial.side(Side::Candidate);
        assert_eq!(total.scheduled, 40);
        // The peer's one thread floods, so that it may answer late or never; we go on sending.
        let late = total.classes.get(&Class::NotSentLate).copied().unwrap_or(0);
        assert!(late < 20, "{name}: {:?}", total.classes);
        let known = [
            Class::Ok,
            Class::TotalTimeout,
            Class::HeaderTimeout,
            Class::BodyIdleTimeout,
            Class::H2Protocol,
        ];
        let classes = trial.classes();
        assert!(
            classes.keys().all(|it| known.contains(it)),
            "{name}: {classes:?}"
        );
    }
}
