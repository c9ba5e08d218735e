//! The document as a client reads it.

use super::*;
use crate::status::{Queue, Status, WorkerStatus};

fn overview(address: &str) -> Overview {
    let mut totals = Totals { accepted: 7, begun: 6, served: 3, lost: 1, ..Totals::default() };
    (totals.bytes_in, totals.retransmitted) = (1 << 60, 4);
    totals.duration.counts[0] = 2;
    totals.duration.counts[23] = 1;
    totals.duration.sum_us = 1_500_000;
    let worker = WorkerStatus { state: State::Busy, ..WorkerStatus::default() };
    let status = Status {
        address: address.to_owned(),
        service: "upper".to_owned(),
        model: "epoll".to_owned(),
        totals,
        queue: Some(Queue { waiting: 5, limit: 9 }),
        certificate_expires_us: Some(1_900_000_000_000_000),
        workers: vec![worker; 2],
        ..Status::default()
    };
    let started_us = 1_000_500_000;
    let listeners = vec![Told { ready: true, status, ..Told::default() }];
    Overview { version: "1.2", started_us, ready: true, listeners, ..Overview::default() }
}

fn plain(address: &str) -> String {
    let (kind, document) = of(overview(address), b"text/plain");
    assert_eq!(kind, "text/plain; version=0.0.4");
    String::from_utf8(document).unwrap()
}

#[test]
fn every_sum_has_a_line_with_its_unit() {
    let document = plain("tcp:a:1");
    let of = r#"listener="tcp:a:1",service="upper",model="epoll""#;
    for line in [
        r#"windlass_build_info{version="1.2"} 1.0"#.to_owned(),
        "windlass_start_time_seconds 1000.5".to_owned(),
        format!("windlass_clients{{{of}}} 2.0"),
        format!("windlass_clients_accepted_total{{{of}}} 7"),
        format!(r#"windlass_clients_ended_total{{{of},outcome="lost"}} 1"#),
        format!("windlass_received_bytes_total{{{of}}} 1152921504606846976"),
        format!("windlass_datagrams_retransmitted_total{{{of}}} 4"),
        format!("windlass_accept_queue{{{of}}} 5.0"),
        format!("windlass_tls_certificate_expiry_timestamp_seconds{{{of}}} 1900000000.0"),
        format!(r#"windlass_workers{{{of},state="busy"}} 2.0"#),
        format!("windlass_client_duration_seconds_sum{{{of}}} 1.5"),
        format!("windlass_client_duration_seconds_count{{{of}}} 3"),
    ] {
        assert!(document.lines().any(|it| it == line), "{line}\n{document}");
    }
    let bucket =
        |le: &str| format!(r#"windlass_client_duration_seconds_bucket{{{of},le="{le}"}} "#);
    let count = |le: &str| document.lines().find_map(|it| it.strip_prefix(&bucket(le))).unwrap();
    assert_eq!([count("5e-05"), count("1000"), count("+Inf")], ["2", "2", "3"], "{document}");
}

#[test]
fn a_name_cannot_end_its_label() {
    let document = plain("unix:/a\"} 1\nb\\c");
    assert!(document.contains(r#"windlass_clients{listener="unix:/a\"} 1\nb\\c","#), "{document}");
    assert!(document.lines().all(|line| line.starts_with("# ") || line.starts_with("windlass_")));
}

#[test]
fn the_format_is_the_one_that_is_accepted() {
    for (accept, is_open) in [
        (&b""[..], false),
        (b"*/*", false),
        (b"text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false),
        (b"application/openmetrics-text;version=1.0.0,text/plain;q=0.5", true),
        (b"text/plain, Application/OpenMetrics-Text ; q=0.3", true),
        (b"application/openmetrics-text;q=0, text/plain", false),
        (b"application/openmetrics-textual", false),
    ] {
        let (kind, document) = of(overview("x"), accept);
        assert_eq!(kind.starts_with("application/openmetrics-text"), is_open);
        assert_eq!(document.ends_with(b"# EOF\n"), is_open, "{}", accept.escape_ascii());
    }
}
