//! What a confined process can do and what it cannot, for the tests: a program of one thread that
//! confines itself. It names a scene, plays it, and exits with 0 if all went as it should; with 77 if
//! this kernel lacks what the scene is about.
//!
//! - `lacking PROGRAM…`: runs the program as on a kernel without Landlock and seccomp.
//! - `nothing`: no file, no network, no program; serving goes on.
//! - `files DIR`: the files of a folder and no others, to be read.
//! - `user`: root becomes another user for good.
#![allow(missing_docs)]

use std::ffi::{CStr, CString, c_long};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, openat2};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::socket::{SockFlag, accept4};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, getgroups, getresgid, getresuid};
use windlass::sys::clock;
use windlass::sys::confine::{Confinement, Needs};
use windlass::sys::process::SingleThreaded;
use windlass::sys::read_file::read_at;
use windlass::sys::root::{Opened, Root};
use windlass::sys::send_file::send_file;
use windlass::sys::stream::Stream;
use windlass::sys::user::User;

/// The exit status that says so.
const LACKING: i32 = 77;

fn main() {
    let mut words = std::env::args().skip(1);
    let scene = words.next().expect("a scene");
    match &scene[..] {
        "lacking" => lacking(&words.collect::<Vec<_>>()),
        "nothing" => nothing(),
        "files" => files(&words.next().expect("a folder")),
        "user" => user(),
        other => panic!("no scene {other}"),
    }
}

fn confine(root: Option<BorrowedFd<'_>>) {
    let alone = SingleThreaded::check().expect("one thread");
    let confinement =
        Confinement::prepare(Needs { root, ..Needs::default() }, &alone).expect("prepared");
    if let Some(lacking) = confinement.in_force().lacking().next() {
        eprintln!("this kernel lacks {lacking}");
        exit(LACKING);
    }
    confinement.enter().expect("entered");
}

/// A system call of three numbers or pointers, and how it failed.
fn call(number: c_long, args: [usize; 3]) -> Result<c_long, Errno> {
    // SAFETY: what is called here fails, or reads strings and structs that outlive it.
    Errno::result(unsafe { libc::syscall(number, args[0], args[1], args[2], 0, 0) })
}

/// A filter of its own answers for the kernel.
fn lacking(program: &[String]) {
    const NR: u32 = 0;
    let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let ret = (libc::BPF_RET | libc::BPF_K) as u16;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let is = |call: c_long, then| libc::sock_filter { code: jump, jt: then, jf: 0, k: call as u32 };
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut filter = [
        statement(load, NR),
        is(libc::SYS_landlock_create_ruleset, 2),
        is(libc::SYS_seccomp, 1),
        statement(ret, libc::SECCOMP_RET_ALLOW),
        statement(ret, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ];
    prctl::set_no_new_privs().expect("set");
    let all = libc::sock_fprog { len: 5, filter: filter.as_mut_ptr() };
    // SAFETY: the filter outlives the call, and has that many statements.
    let done =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const all) };
    assert_eq!(done, 0);
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    panic!("run {program:?}: {error}");
}

fn nothing() {
    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let at = listener.local_addr().expect("its address");
    let mut client = TcpStream::connect(at).expect("connected");
    let parent = nix::unistd::getppid().as_raw().unsigned_abs() as usize;
    confine(None);

    let path = c"/etc/passwd";
    let at_cwd = libc::AT_FDCWD as usize;
    let of = |text: &CStr| text.as_ptr() as usize;
    let (family, kind) = (libc::AF_INET as usize, libc::SOCK_STREAM as usize);
    let read_run = (libc::PROT_READ | libc::PROT_EXEC) as usize;
    let fd = ours.as_raw_fd() as usize;
    for (what, number, args) in [
        ("open", libc::SYS_openat, [at_cwd, of(path), 0]),
        ("open", libc::SYS_openat2, [at_cwd, of(path), 0]),
        ("stat", libc::SYS_newfstatat, [at_cwd, of(path), 0]),
        ("unlink", libc::SYS_unlinkat, [at_cwd, of(c"/nonexistent"), 0]),
        ("socket", libc::SYS_socket, [family, kind, 0]),
        ("connect", libc::SYS_connect, [fd, of(path), 16]),
        ("bind", libc::SYS_bind, [fd, of(path), 16]),
        ("listen", libc::SYS_listen, [fd, 1, 0]),
        ("socketpair", libc::SYS_socketpair, [libc::AF_UNIX as usize, kind, 0]),
        ("execve", libc::SYS_execve, [of(c"/bin/true"), 0, 0]),
        ("clone", libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [libc::PTRACE_TRACEME as usize, 0, 0]),
        // Signal 0, which only asks whether a process is there, is in the list.
        ("kill", libc::SYS_kill, [parent, libc::SIGCONT as usize, 0]),
        ("tgkill", libc::SYS_tgkill, [parent, parent, 0]),
        ("setuid", libc::SYS_setuid, [0, 0, 0]),
        ("prctl", libc::SYS_prctl, [libc::PR_GET_DUMPABLE as usize, 0, 0]),
        ("memfd_create", libc::SYS_memfd_create, [of(c"x"), 0, 0]),
        ("unshare", libc::SYS_unshare, [0, 0, 0]),
        ("bpf", libc::SYS_bpf, [0, 0, 0]),
        ("io_uring", libc::SYS_io_uring_setup, [1, 0, 0]),
        ("mmap to run", libc::SYS_mmap, [0, 4096, read_run]),
        ("fcntl(F_SETOWN)", libc::SYS_fcntl, [fd, libc::F_SETOWN as usize, parent]),
        ("ioctl", libc::SYS_ioctl, [fd, libc::FIONBIO as usize, 0]),
        ("seccomp", libc::SYS_seccomp, [0, 0, 0]),
    ] {
        assert_eq!(call(number, args), Err(Errno::ENOSYS), "{what}");
    }
    assert!(File::open("/etc/passwd").is_err());
    assert!(TcpStream::connect(at).is_err());
    assert!(Command::new("/bin/true").status().is_err());
    assert!(thread::Builder::new().spawn(|| {}).is_err());

    // What a worker does.
    let mut accepted = accept(&listener);
    echo(&mut client, &mut accepted);
    echo(&mut ours, &mut theirs);
    let large = vec![1_u8; 64 << 20];
    assert_eq!(std::hint::black_box(large)[4096], 1);
    let mut grown = Vec::new();
    for i in 0..100_000 {
        grown.push(vec![i; i % 97]);
    }
    drop(grown);
    let now = clock::now();
    windlass::sys::poll::wait_for_input([None, None, None], Some(2_000));
    assert!(clock::now() > now);
    // The call is allowed: it is not there to let something happen.
    thread::sleep(Duration::from_millis(1));
    accepted.shutdown(std::net::Shutdown::Write).expect("shutdown");
    eprintln!("and says so");
    let caught = std::panic::catch_unwind(|| panic!("that too"));
    assert!(caught.is_err());
}

/// `accept4(2)` as a worker calls it: what std does besides is not on the list.
fn accept(listener: &TcpListener) -> TcpStream {
    let fd = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC).expect("accepted");
    // SAFETY: accept4 made this descriptor just now, for us alone.
    unsafe { OwnedFd::from_raw_fd(fd) }.into()
}

fn echo(from: &mut dyn Write, to: &mut dyn Read) {
    let mut buf = [0; 5];
    from.write_all(b"hello").expect("sent");
    to.read_exact(&mut buf).expect("received");
    assert_eq!(&buf, b"hello");
}

fn files(folder: &str) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let ours = Stream::from(ours);
    let root = Root::open(Path::new(folder)).expect("the folder");
    confine(Some(root.as_fd()));

    for name in ["file", "deep/file"] {
        let Opened { file, size, .. } = root.file(name.as_bytes()).expect("it is inside");
        assert_eq!(size, 5);
        let mut buf = [0; 5];
        assert_eq!(read_at(&file, 0, &mut [IoSliceMut::new(&mut buf)]), Ok(5));
        assert_eq!(&buf, b"hello");
        assert!(send_file(&ours, &file, 0, 5).is_ok());
        theirs.read_exact(&mut buf).expect("received");
        assert_eq!(&buf, b"hello");
    }
    // Neither around the root nor through what leads out of it, and to read is all.
    let open = |name: &str, flags: OFlag| {
        let mode = if flags.contains(OFlag::O_CREAT) { Mode::S_IRWXU } else { Mode::empty() };
        openat2(&root, name, OpenHow::new().flags(flags).mode(mode)).map(drop)
    };
    assert_eq!(open("file", OFlag::O_RDONLY), Ok(()));
    for (name, flags) in [
        ("../outside", OFlag::O_RDONLY),
        ("link", OFlag::O_RDONLY),
        ("/etc/passwd", OFlag::O_RDONLY),
        ("/proc/self/environ", OFlag::O_RDONLY),
        ("file", OFlag::O_WRONLY),
        ("file", OFlag::O_RDONLY | OFlag::O_TRUNC),
        ("new", OFlag::O_CREAT | OFlag::O_WRONLY),
        ("deep", OFlag::O_RDONLY | OFlag::O_DIRECTORY),
    ] {
        assert_eq!(open(name, flags), Err(Errno::EACCES), "{name} {flags:?}");
    }
    let new = CString::new(format!("{folder}/new")).expect("no NUL");
    let at = (libc::AT_FDCWD as usize, new.as_ptr() as usize);
    assert_eq!(call(libc::SYS_openat, [at.0, at.1, 0]), Err(Errno::ENOSYS));
    assert_eq!(call(libc::SYS_mkdirat, [at.0, at.1, 0o700]), Err(Errno::ENOSYS));
}

fn user() {
    let (uid, gid) = (3_999_999_999, 3_999_999_998);
    let user = User::look_up(&format!("{uid}:{gid}")).expect("numbers");
    prctl::set_pdeathsig(Signal::SIGTERM).expect("armed");
    user.assume().expect("this is root");
    let (users, groups) = (getresuid().expect("known"), getresgid().expect("known"));
    assert_eq!([users.real, users.effective, users.saved].map(Uid::as_raw), [uid; 3]);
    assert_eq!([groups.real, groups.effective, groups.saved].map(Gid::as_raw), [gid; 3]);
    assert_eq!(getgroups().expect("known"), [Gid::from_raw(gid)]);
    assert_eq!(prctl::get_pdeathsig(), Ok(Some(Signal::SIGTERM)));
    assert_eq!(
        File::open("/etc/shadow").map_err(|error| error.kind()).err(),
        Some(std::io::ErrorKind::PermissionDenied)
    );
    // Once more is no news, and another one is out of reach.
    user.assume().expect("it is this user");
    let other = User::look_up(&format!("{}:{gid}", uid - 2)).expect("numbers");
    let error = other.assume().expect_err("this is not root").to_string();
    assert_eq!(error, format!("become user {}:{gid}: only root may change its user", uid - 2));
}
