//! Every class has a test that produces it: a class that no test can reach does not belong in
//! the code, and one that a test loses is missed here.

use std::fs;

use proofload::run::Class;

/// Each class and a test that ends requests in it, here or in `tests/health.rs`.
const PRODUCED: &[(Class, &str)] = &[
    (
        Class::Ok,
        "each_status_has_its_class_and_both_ends_count_the_same",
    ),
    (
        Class::Http4xx,
        "each_status_has_its_class_and_both_ends_count_the_same",
    ),
    (
        Class::Http5xx,
        "each_status_has_its_class_and_both_ends_count_the_same",
    ),
    (
        Class::Throttled,
        "what_a_limiter_refused_is_throttled_to_the_last_request",
    ),
    (
        Class::UnexpectedStatus,
        "each_status_has_its_class_and_both_ends_count_the_same",
    ),
    (
        Class::ConnectRefused,
        "a_closed_port_is_refused_and_a_reset_one_is_not_silent",
    ),
    (
        Class::ConnectTimeout,
        "a_connect_that_never_ends_has_its_time_out_and_the_total_one_is_not_forgotten",
    ),
    (
        Class::ConnectUnreachable,
        "addresses_without_a_route_are_unreachable_and_a_hole_is_our_own",
    ),
    (
        Class::ConnectReset,
        "a_reset_before_tls_has_agreed_is_one_of_the_connect",
    ),
    (
        Class::TlsHandshake,
        "http2_over_tls_is_agreed_on_by_alpn_or_the_handshake_fails",
    ),
    (
        Class::TlsExpired,
        "a_certificate_that_goes_bad_while_the_load_runs_has_its_class",
    ),
    (
        Class::TlsName,
        "a_certificate_that_goes_bad_while_the_load_runs_has_its_class",
    ),
    (
        Class::TlsUntrusted,
        "a_certificate_of_a_stranger_is_refused_unless_nothing_is_checked",
    ),
    (
        Class::WriteReset,
        "a_reset_while_a_request_is_written_is_no_silence",
    ),
    (
        Class::ClosedBeforeResponse,
        "each_broken_head_has_its_class_and_both_ends_count_the_same",
    ),
    (
        Class::ClosedReused,
        "a_post_that_met_a_closing_connection_is_never_sent_again",
    ),
    (Class::HeaderTimeout, "each_time_out_has_its_class"),
    (Class::BodyIdleTimeout, "each_time_out_has_its_class"),
    (Class::TotalTimeout, "each_time_out_has_its_class"),
    (
        Class::TruncatedBody,
        "each_broken_body_has_its_class_and_both_ends_count_the_same",
    ),
    (
        Class::MalformedHttp,
        "two_lengths_and_garbage_between_chunks_are_refused",
    ),
    (
        Class::HeadersTooLarge,
        "heads_are_limited_in_fields_and_bytes",
    ),
    (
        Class::BodyTooLarge,
        "an_endless_body_is_cut_off_at_the_limit",
    ),
    (
        Class::H2Goaway,
        "a_goaway_and_a_close_fail_what_was_seen_and_it_is_not_sent_again",
    ),
    (
        Class::H2StreamReset,
        "a_refused_stream_is_sent_once_more_and_no_connection_is_wasted_on_it",
    ),
    (
        Class::H2Protocol,
        "a_header_list_without_end_breaks_the_connection",
    ),
    (
        Class::Aborted,
        "what_is_in_flight_when_a_run_is_stopped_is_aborted_and_the_rest_never_due",
    ),
    (
        Class::LocalPorts,
        "what_finds_no_port_is_counted_as_ours_and_the_rest_goes_on",
    ),
    (
        Class::LocalFds,
        "what_finds_no_descriptor_is_counted_as_ours_and_the_results_are_saved",
    ),
    (
        Class::LocalOther,
        "addresses_without_a_route_are_unreachable_and_a_hole_is_our_own",
    ),
    (
        Class::NotSentCap,
        "above_the_cap_requests_are_counted_as_not_sent_exactly",
    ),
    (
        Class::NotSentLate,
        "a_generator_that_runs_a_fifth_of_the_time_never_gives_a_verdict",
    ),
    (
        Class::NotSentValue,
        "what_no_answer_brings_is_not_sent_and_counts_against_its_side",
    ),
];

/// The text of a test function; nothing when there is none of that name.
fn body<'a>(sources: &'a str, test: &str) -> Option<&'a str> {
    let (_, rest) = sources.split_once(&format!("#[test]\nfn {test}() {{"))?;
    rest.split("\n}\n").next()
}

#[test]
fn every_class_is_produced_by_a_test() {
    let mut sources = fs::read_to_string("tests/health.rs").unwrap();
    for entry in fs::read_dir("tests/live").unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            sources += &fs::read_to_string(path).unwrap();
        }
    }
    for class in Class::ALL {
        let rows = PRODUCED.iter().filter(|(it, _)| it == class).count();
        assert_eq!(rows, 1, "{} needs a test that produces it", class.name());
    }
    for (class, test) in PRODUCED {
        let body = body(&sources, test);
        let body = body.unwrap_or_else(|| panic!("there is no test `{test}`"));
        let named = body.contains(&format!("{class:?}")) || body.contains(class.name());
        assert!(named, "`{test}` says nothing of {}", class.name());
    }
    assert_eq!(PRODUCED.len(), Class::ALL.len());
}
