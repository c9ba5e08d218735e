//! The `http` service with real clients: curl, wget, aria2, `windlass get`, Chromium and `wrk`.
//!
//! - Each gets a file whole, and resumes one that it has a part of.
//! - After the file was replaced, what is resumed is the new file, whole.
//! - A browser shows a page with its style, its scripts and a part of a file.

use std::fs;
use std::path::{Path, PathBuf};

use windlass_tests::web::ask;
use windlass_tests::{
    Model, PATIENCE, Program, Random, Server, has, models, serve, windlass, within,
};

models!(curl_downloads_and_resumes: iterative Iterative, thread_pool ThreadPool, epoll Epoll, prefork Prefork);
models!(wget_downloads_and_resumes: iterative Iterative, thread_pool ThreadPool, epoll Epoll, prefork Prefork);
models!(windlass_get_downloads_and_resumes: iterative Iterative, thread_pool ThreadPool, epoll Epoll, prefork Prefork);
models!(curl_reads_a_refusal_of_what_it_sends: iterative Iterative, thread_pool ThreadPool, epoll Epoll, prefork Prefork);
models!(chromium_shows_a_page_with_all_its_parts: epoll Epoll, prefork Prefork);
models!(wrk_has_no_errors: thread_pool ThreadPool, epoll Epoll, reactor Reactor, prefork Prefork);
// Under `iterative` three connections of four wait until the first has all.
models!(aria2_downloads_over_four_connections: thread_pool ThreadPool, epoll Epoll, prefork Prefork);

const SIZE: usize = 5_000_000;

struct Place {
    server: Server,
    folder: tempfile::TempDir,
}

impl Place {
    fn serve(model: Model) -> Self {
        Self::with(model, "")
    }

    fn with(model: Model, options: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("sub")).expect("mkdir");
        fs::write(root.join("image"), content(1)).expect("write");
        fs::write(root.join("sub/index.html"), "the page").expect("write");
        let args = format!("--access-log stderr --root {} {options}", root.display());
        let server = serve!("http", model).args(&args).start();
        let place = Self { server, folder };
        // While a file is young it has no tag to resume by.
        within(PATIENCE, "the tag becomes strong", || {
            let head = ask(&mut place.server.connect(), "HEAD", "/image", &["Connection: close"]);
            head.field("ETag").is_some_and(|tag| tag.starts_with('"'))
        });
        place
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.server.address().trim_start_matches("tcp:"))
    }

    /// Waits until so many parts of the file were sent.
    #[track_caller]
    fn sent_parts(&self, count: usize) {
        within(PATIENCE, "parts were sent", || {
            self.server.stderr().matches("\" 206 ").count() >= count
        });
    }

    /// A place to download to, with the first bytes of the file if `part` says so.
    fn target(&self, part: bool) -> PathBuf {
        let target = self.folder.path().join("image");
        let _ = fs::remove_file(&target);
        if part {
            fs::write(&target, &content(1)[..SIZE / 3]).expect("write");
        }
        target
    }

    /// Another file of the same size under the same name.
    fn replace(&self) {
        let root = self.folder.path().join("root");
        fs::write(root.join("new"), content(2)).expect("write");
        fs::rename(root.join("new"), root.join("image")).expect("rename");
    }
}

fn content(seed: u64) -> Vec<u8> {
    Random::new(seed).bytes(SIZE)
}

#[track_caller]
fn is_whole(target: &Path, seed: u64) {
    assert!(fs::read(target).expect("the download") == content(seed), "other bytes");
}

fn curl_downloads_and_resumes(model: Model) {
    if !has("curl") {
        return;
    }
    let place = Place::serve(model);
    for part in [false, true] {
        let target = place.target(part);
        let curl = Program::new("curl").words("-sS --fail --noproxy * -C - -o").arg(&target);
        curl.arg(place.url("image")).run().succeeds();
        is_whole(&target, 1);
    }
    place.sent_parts(1);
    // Redirects are followed, the query stays, and one connection carries all.
    let curl = Program::new("curl").words("-sS -L --noproxy * -w %{num_connects}:%{url_effective}");
    let page = curl.arg(place.url("sub?a=b")).run();
    assert_eq!(page.stdout, format!("the page1:{}", place.url("sub/?a=b")).as_bytes());
}

/// The answer arrives although the body does not fit into the buffers of the sockets.
fn curl_reads_a_refusal_of_what_it_sends(model: Model) {
    if !has("curl") {
        return;
    }
    let place = Place::serve(model);
    let upload = place.folder.path().join("root/image");
    let curl = Program::new("curl").words("-sS --noproxy * -w :%{http_code} -T").arg(upload);
    let answer = curl.arg(place.url("image")).run();
    assert!(answer.stdout.ends_with(b"405 Method Not Allowed\n:405"), "{}", answer.stderr);
}

fn wget_downloads_and_resumes(model: Model) {
    if !has("wget") {
        return;
    }
    let place = Place::serve(model);
    for part in [false, true] {
        let target = place.target(part);
        let wget = Program::new("wget").words("-q --no-proxy -c -O").arg(&target);
        wget.arg(place.url("image")).run().succeeds();
        is_whole(&target, 1);
    }
    place.sent_parts(1);
}

fn aria2_downloads_over_four_connections(model: Model) {
    if !has("aria2c") {
        return;
    }
    // So the first connection cannot have all of it before there are others.
    let place = Place::with(model, "--rate 2000000");
    let target = place.target(false);
    let aria2 = Program::new("aria2c")
        .words("-q --no-conf --all-proxy= -x 4 -s 4 -k 1M --file-allocation=none -d")
        .arg(place.folder.path())
        .words("-o image");
    aria2.arg(place.url("image")).run().succeeds();
    is_whole(&target, 1);
    // The first connection asks for all, and is cut when the others have the rest.
    place.sent_parts(3);
}

fn windlass_get_downloads_and_resumes(model: Model) {
    let place = Place::serve(model);
    let target = place.target(false);
    let get = || windlass!("get", "--continue", "-o", &target, place.url("image")).run();
    get().succeeds();
    is_whole(&target, 1);
    place.replace();
    get().succeeds();
    is_whole(&target, 2);
}

/// A module is run only if its type is one of a script, and a style is used only if it is one of a style.
fn chromium_shows_a_page_with_all_its_parts(model: Model) {
    if !has("chromium") {
        return;
    }
    let place = Place::serve(model);
    let site = place.folder.path().join("root/site");
    fs::create_dir(&site).expect("mkdir");
    for (name, text) in [
        (
            "index.html",
            "<!doctype html><link rel=stylesheet href=style.css><p id=p>nothing</p>\
             <script src=script.js></script>",
        ),
        ("style.css", "p { color: rgb(1, 2, 3) }"),
        (
            "script.js",
            "const part = fetch('data', { headers: { Range: 'bytes=2-4' } });\n\
             const all = [part.then((it) => it.text()), import('./module.mjs')];\n\
             Promise.all(all).then(([part, module]) => {\n\
               const color = getComputedStyle(p).color;\n\
               p.textContent = `${part}, ${module.word}, ${color}`;\n\
             });\n",
        ),
        ("module.mjs", "export const word = 'module';"),
        ("data", "0123456789"),
    ] {
        fs::write(site.join(name), text).expect("write");
    }
    let profile = format!("--user-data-dir={}", place.folder.path().join("profile").display());
    let chromium = Program::new("chromium")
        .words(
            "--headless --no-sandbox --disable-gpu --no-proxy-server --virtual-time-budget=10000",
        )
        .arg(profile)
        .arg("--dump-dom");
    let page = chromium.arg(place.url("site/")).run();
    let shown = String::from_utf8_lossy(&page.stdout);
    assert!(shown.contains(">234, module, rgb(1, 2, 3)</p>"), "{shown}\n{}", page.stderr);
}

fn wrk_has_no_errors(model: Model) {
    if !has("wrk") {
        return;
    }
    let place = Place::serve(model);
    let wrk = Program::new("wrk").words("-t 1 -c 4 -d 1").arg(place.url("sub/index.html")).run();
    let said = String::from_utf8_lossy(&wrk.stdout);
    assert!(said.contains(" requests in "), "{said}{}", wrk.stderr);
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
}
