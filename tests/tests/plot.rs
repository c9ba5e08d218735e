//! `windlass bench --plot`: the picture is well-formed, shows each server with its range, and takes the place of
//! another one only when it is whole. The pictures of docs/BENCH.md are of its tables.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use roxmltree::{Document, Node};
use windlass_tests::{PATIENCE, proc, windlass, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_windlass-under-test");

/// A measurement that is over soon.
const SHORT: &str = "bench --rounds 2 --seconds 0.02 --connections 1,2 --sizes 8 --models epoll";

fn texts(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).expect("XML");
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.filter_map(|node| node.text()).map(|text| text.trim().to_owned()).collect()
}

fn of_name<'a>(svg: &'a Document<'_>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    svg.descendants().filter(move |node| node.has_tag_name(name))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_picture_shows_each_server_under_each_load() {
    let folder = folder();
    let path = folder.path().join("ratios.svg");
    fs::write(&path, "an older picture").expect("a file");
    let peer = format!("a <b> & \"c\"\x1b\u{202e}={PROGRAM} serve upper --listen tcp:127.0.0.1:0");
    let run = windlass!().words(SHORT).arg("--peer").arg(peer).arg("--plot").arg(&path).run();
    assert_eq!(run.code, Some(0), "{run}");
    assert!(String::from_utf8_lossy(&run.stdout).contains("server ns/message"), "{run}");

    let svg = fs::read_to_string(&path).expect("a picture");
    let shown = texts(&svg);
    let count = |text: &str| shown.iter().filter(|shown| *shown == text).count();
    let peers = shown.iter().filter(|text| text.starts_with("a <b> & \"c\"\\u")).count();
    assert_eq!((count("epoll"), peers), (2, 2), "{shown:?}");
    for text in ["server ns/message", "connections: 1, bytes: 8", "connections: 2, bytes: 8"] {
        assert_eq!(count(text), 1, "{text}: {shown:?}");
    }
    let files = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 1, "nothing else is left");
}

#[test]
fn a_server_has_its_ratio_a_dot_at_the_median_and_a_line_over_its_range() {
    let folder = folder();
    let (table, path) = (folder.path().join("table.md"), folder.path().join("ratios.svg"));
    let rows = "| size | server | ns | min–max |\n|-|-|-|-|\n\
                | 1 | raw | 100 | 50–200 |\n| 1 | epoll | 25 | 25–25 |\n\
                | 2 | raw | 0 | 0–0 |\n| 2 | epoll | 5 | 0–9 |\n";
    fs::write(&table, rows).expect("a file");
    windlass!("bench", "--table", &table, "--plot", &path).run().succeeds();
    let svg = fs::read_to_string(&path).expect("a picture");
    let shown = texts(&svg);
    // Nothing has a ratio to 0.
    for (text, times) in [("1.00", 1), ("0.25", 1), ("–", 2), ("size: 1", 1), ("size: 2", 1)] {
        assert_eq!(shown.iter().filter(|it| *it == text).count(), times, "{text}: {shown:?}");
    }
    let document = Document::parse(&svg).expect("XML");
    let number = |node: &Node<'_, '_>, name| -> i64 {
        node.attribute(name).and_then(|text| text.parse().ok()).expect("a number")
    };
    let dots: Vec<_> = of_name(&document, "circle").map(|dot| number(&dot, "cx")).collect();
    let [raw, epoll] = dots[..] else { panic!("{dots:?}") };
    // From half to double is as long as from a quarter to one.
    let lengths = of_name(&document, "line").filter_map(|line| {
        let [from, y, to, end] = ["x1", "y1", "x2", "y2"].map(|name| number(&line, name));
        (y == end).then_some((to - from).abs())
    });
    let longest = lengths.max().unwrap_or(0);
    assert!((longest - (raw - epoll)).abs() <= 2, "{longest} is not {}", raw - epoll);
}

#[test]
fn a_table_of_an_earlier_run_is_drawn_again() {
    let folder = folder();
    let (table, svg) = (folder.path().join("table.md"), folder.path().join("ratios.svg"));
    let printed = windlass!().words(SHORT).run();
    assert_eq!(printed.code, Some(0), "{printed}");
    fs::write(&table, &printed.stdout).expect("a file");
    let draw = || windlass!("bench", "--table", &table, "--plot", &svg).run();
    draw().succeeds();
    let first = fs::read_to_string(&svg).expect("a picture");
    assert!(texts(&first).contains(&"epoll".to_owned()));
    draw().succeeds();
    assert_eq!(fs::read_to_string(&svg).expect("a picture"), first);
}

#[test]
fn a_picture_that_cannot_be_written_is_told_before_anything_is_measured() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    for (path, why) in [
        (folder.path().to_owned(), "irectory"),
        (folder.path().join("none/ratios.svg"), "No such file or directory"),
        (file.join("ratios.svg"), "Not a directory"),
        (PathBuf::from("/proc/ratios.svg"), "/proc/ratios.svg"),
        (PathBuf::new(), "a value is required"),
    ] {
        // Its peer would fail with other words.
        let run = windlass!().words(SHORT).arg("--peer=x=/no/such/server").arg("--plot").arg(&path);
        let run = run.run();
        assert!(!run.to_string().contains("round 1"), "{run}");
        run.fails_with(if path.as_os_str().is_empty() { 2 } else { 1 }, &[why]);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn a_measurement_that_fails_leaves_the_picture_as_it_was() {
    let folder = folder();
    let path = folder.path().join("ratios.svg");
    fs::write(&path, "an older picture").expect("a file");
    let run = windlass!().words(SHORT).arg("--peer=x=/no/such/server").arg("--plot").arg(&path);
    let run = run.run();
    assert!(run.code == Some(1) && run.stderr.contains("/no/such/server"), "{run}");
    assert_eq!(fs::read_to_string(&path).expect("the picture"), "an older picture");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn a_measurement_that_is_interrupted_leaves_the_picture_as_it_was() {
    let folder = folder();
    let path = folder.path().join("ratios.svg");
    fs::write(&path, "an older picture").expect("a file");
    let line = "bench --rounds 1 --seconds 600 --connections 1 --sizes 8 --models epoll --plot";
    let bench = windlass!().words(line).arg(&path).start();
    let pid = bench.pid();
    within(PATIENCE, "the server serves", || !proc::children(pid).is_empty());
    assert_eq!(bench.end_by(Signal::SIGINT), None);
    assert_eq!(fs::read_to_string(&path).expect("the picture"), "an older picture");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn a_file_without_a_table_is_refused() {
    let folder = folder();
    let (table, svg) = (folder.path().join("table.md"), folder.path().join("ratios.svg"));
    fs::write(&table, "| server | ns | min–max |\n|-|-|-|\n| a | fast | 1–2 |\n").expect("a file");
    let draw = |table: &Path| windlass!("bench", "--table", table, "--plot", &svg).run();
    draw(&table).fails_with(1, &["a | fast", "`fast` is not a number"]);
    draw(folder.path()).fails_with(1, &["Is a directory"]);
    draw(Path::new("/no/such/table")).fails_with(1, &["/no/such/table", "No such file"]);
    windlass!("bench", "--table", &table).run().fails_with(2, &["--plot"]);
    windlass!("bench", "files", "--table", &table, "--plot", &svg)
        .run()
        .fails_with(2, &["--table"]);
    assert!(!svg.exists());
}

/// `BLESS=1` draws them again.
#[test]
fn the_pictures_of_the_documentation_are_of_its_tables() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let text = fs::read_to_string(docs.join("BENCH.md")).expect("docs/BENCH.md");
    let folder = folder();
    let (table, drawn) = (folder.path().join("table.md"), folder.path().join("ratios.svg"));
    let mut count = 0;
    for (_, rest) in text.match_indices("](plots/").map(|(at, link)| text.split_at(at + link.len()))
    {
        let (name, rest) = rest.split_once(')').expect("the end of a link");
        let (rows, _) = rest.trim_start().split_once("\n\n").expect("the end of a table");
        fs::write(&table, rows).expect("a file");
        windlass!("bench", "--table", &table, "--plot", &drawn).run().succeeds();
        let picture = docs.join("plots").join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::copy(&drawn, &picture).expect("a picture");
        }
        let [kept, now] = [&picture, &drawn].map(|path| fs::read_to_string(path).expect("a file"));
        assert!(kept == now, "{} is of another table; BLESS=1 draws it again", picture.display());
        count += 1;
    }
    let kept = fs::read_dir(docs.join("plots")).expect("docs/plots").count();
    assert!(count == kept && count > 8, "{count} pictures are shown of {kept}");
}
