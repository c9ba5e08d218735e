//! The rights that a process gives up before it reads from a client: new privileges (`prctl(2)`),
//! files and network (`landlock(7)`), and every system call that serving does not need
//! (`seccomp(2)`).
//!
//! ```text
//! parent:  prepare: build the ruleset, compile the filter, try both in a child that exits
//! worker:  enter: three system calls; the limits are permanent, and hold for its children too
//! ```
//!
//! Nothing compiles or allocates in the worker, so a pool pays for a worker and not for a client.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod filter;
/// `seccompiler` does not know the system calls of other machines.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
mod filter {
    pub(super) fn compile(
        _: &super::Needs<'_>,
    ) -> Result<Option<super::BpfProgram>, seccompiler::BackendError> {
        Ok(None)
    }
}

use std::fmt;
use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use nix::errno::Errno;
use nix::sys::prctl;
use seccompiler::BpfProgram;

use super::pidfd::Exit;
use super::process::{self, SingleThreaded};
use crate::error::{Error, Result};

/// A prepared ruleset and filter.
#[derive(Debug)]
pub struct Confinement {
    ruleset: RulesetCreated,
    /// `None` if the list of system calls is not known.
    filter: Option<BpfProgram>,
    in_force: InForce,
}

/// What a worker needs beside what is open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs<'a> {
    /// A folder or a file (`O_PATH` will do): the files in it can be opened for reading. Without one no file
    /// can be opened.
    pub root: Option<BorrowedFd<'a>>,
    /// The names in its folders.
    pub lists: bool,
    /// New files in that folder.
    pub writes: bool,
    /// UDP sockets of its own.
    pub sockets: bool,
}

/// The parts of a [`Confinement`] that this kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InForce {
    /// `execve(2)` gives no process more rights than it had.
    pub no_new_privs: bool,
    /// Landlock's ABI, 0 without it. Files since 1, TCP since 4, signals and abstract Unix sockets since
    /// 6.
    pub landlock: u8,
    /// System calls are filtered.
    pub seccomp: bool,
}

/// The newest ABI of Landlock that the rules below were tested with.
const NEWEST: ABI = ABI::V7;

/// How many children try, one after another, if they are killed.
const TRIES: u32 = 3;

/// The exit status of a child that could not try the confinement. The status of a child that tried it is smaller.
const EXHAUSTED: i32 = 0x80;

impl Confinement {
    /// Prepares, and tries in a child what this kernel enforces.
    ///
    /// # Errors
    /// No descriptor is left, or no process; or the child was killed, several times.
    pub fn prepare(needs: Needs<'_>, alone: &SingleThreaded) -> Result<Self> {
        let ruleset = ruleset(needs).map_err(Error::of("prepare", "Landlock"))?;
        let filter = filter::compile(needs).map_err(Error::of("compile", "a filter"))?;
        let mut this = Self { ruleset, filter, in_force: InForce::default() };
        this.in_force = this.try_out(alone)?;
        Ok(this)
    }

    /// The parts that this kernel enforces.
    pub fn in_force(&self) -> InForce {
        self.in_force
    }

    /// Gives the rights up permanently. The process has one thread.
    ///
    /// # Errors
    /// Less was given up than this kernel enforced before.
    pub fn enter(&self) -> Result<()> {
        let (in_force, failed) = self.apply();
        if in_force == self.in_force {
            return Ok(());
        }
        let unknown = || Error::new("confine", "a worker", "the kernel does not report it as set");
        Err(failed.map_or_else(unknown, |failed| failed.error))
    }

    /// Gives up as much as possible. Returns what that is, and the reasons for the rest.
    fn apply(&self) -> (InForce, Option<Failure>) {
        let mut failed: Option<Failure> = None;
        let mut fail = |failure: Failure| {
            // A resource that is lacking now says more than a feature that the kernel lacks.
            if !failed.as_ref().is_some_and(|before| before.is_exhausted) {
                failed = Some(failure);
            }
        };
        let no_new_privs = give_up_new_privileges()
            .map_err(Failure::of("give up", "new privileges"))
            .map_err(&mut fail);
        let landlock = self
            .ruleset
            .try_clone()
            .map_err(Failure::of("enter", "Landlock"))
            .and_then(|it| it.restrict_self().map_err(Failure::of("enter", "Landlock")))
            .map_err(&mut fail);
        // Last: it removes system calls that the others need.
        let seccomp = self.filter.as_ref().map(|filter| {
            seccompiler::apply_filter(filter)
                .map_err(Failure::of("enter", "seccomp"))
                .map_err(&mut fail)
        });
        let in_force = InForce {
            no_new_privs: no_new_privs.is_ok(),
            landlock: landlock.map_or(0, |status| abi_of(&status)),
            seccomp: seccomp.is_some_and(|it| it.is_ok()),
        };
        (in_force, failed)
    }

    /// Whether a container forbids a feature of the kernel shows only when the feature is used. A
    /// child that was killed, or ran out of descriptors or memory, says nothing of the kernel.
    fn try_out(&self, alone: &SingleThreaded) -> Result<InForce> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let child = process::spawn(alone, || self.outcome());
            let why = match child.map_err(Error::of("fork", "a process"))?.reap() {
                Exit::Code(EXHAUSTED) => "the process ran out of descriptors or memory".to_owned(),
                Exit::Code(status) => return Ok(InForce::from_status(status)),
                exit @ (Exit::Killed(_) | Exit::KilledByRealTime(_) | Exit::Unknown) => {
                    format!("the process {exit}")
                }
            };
            if tries == 0 {
                return Err(Error::new("try out", "a confinement", why));
            }
        }
    }

    /// The exit status of the child that tries.
    fn outcome(&self) -> i32 {
        match self.apply() {
            (_, Some(failed)) if failed.is_exhausted => EXHAUSTED,
            (in_force, _) => in_force.to_status(),
        }
    }
}

/// Why a right could not be given up.
struct Failure {
    error: Error,
    /// The process lacks descriptors or memory, so it is not known what the kernel can do.
    is_exhausted: bool,
}

impl Failure {
    fn of<C: std::error::Error + Send + Sync + 'static>(
        op: &'static str,
        target: &'static str,
    ) -> impl FnOnce(C) -> Self {
        move |cause| {
            let is_exhausted = is_exhausted(&cause);
            Self { error: Error::new(op, target, cause), is_exhausted }
        }
    }
}

fn is_exhausted(cause: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(cause), |&cause| cause.source());
    let code = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
    };
    let lacks = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN];
    causes.filter_map(code).any(|code| lacks.contains(&code))
}

/// From now on no program that this process runs, or a child of it, gets more rights than it has, by
/// set-user-ID or by capabilities of its file.
///
/// # Errors
/// `EINVAL` before Linux 3.5.
pub fn give_up_new_privileges() -> std::result::Result<(), Errno> {
    prctl::set_no_new_privs()
}

fn ruleset(needs: Needs<'_>) -> std::result::Result<RulesetCreated, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let Some(root) = needs.root else { return Ok(ruleset) };
    let mut access = BitFlags::from(AccessFs::ReadFile);
    if needs.lists {
        access |= AccessFs::ReadDir;
    }
    if needs.writes {
        access |= AccessFs::ReadDir
            | AccessFs::WriteFile
            | AccessFs::MakeReg
            | AccessFs::RemoveFile
            | AccessFs::Truncate;
    }
    ruleset.add_rule(PathBeneath::new(root, access))
}

fn abi_of(status: &RestrictionStatus) -> u8 {
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. }
            if status.ruleset != RulesetStatus::NotEnforced =>
        {
            // Fewer than ten.
            effective_abi as u8
        }
        LandlockStatus::Available { .. }
        | LandlockStatus::NotEnabled
        | LandlockStatus::NotImplemented => 0,
    }
}

impl InForce {
    const SECCOMP: i32 = 0x20;
    const NO_NEW_PRIVS: i32 = 0x40;

    fn to_status(self) -> i32 {
        let flag = |set: bool, flag| if set { flag } else { 0 };
        let abi = i32::from(self.landlock.min(0x1f));
        abi | flag(self.seccomp, Self::SECCOMP) | flag(self.no_new_privs, Self::NO_NEW_PRIVS)
    }

    fn from_status(status: i32) -> Self {
        Self {
            no_new_privs: status & Self::NO_NEW_PRIVS != 0,
            landlock: (status & 0x1f) as u8,
            seccomp: status & Self::SECCOMP != 0,
        }
    }

    /// Whether the kernel enforces nothing.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// What this kernel lacks, in words.
    pub fn lacking(self) -> impl Iterator<Item = &'static str> {
        let parts = [
            (self.no_new_privs, "no new privileges (since Linux 3.5)"),
            (self.landlock > 0, "Landlock (since Linux 5.13)"),
            (self.seccomp, "seccomp (since Linux 3.17, on x86_64, aarch64 and riscv64)"),
        ];
        parts.into_iter().filter(|(has, _)| !has).map(|(_, name)| name)
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut part = |name: fmt::Arguments<'_>| {
            write!(f, "{separator}{name}")?;
            separator = ", ";
            Ok(())
        };
        if self.no_new_privs {
            part(format_args!("no new privileges"))?;
        }
        if self.landlock > 0 {
            part(format_args!("Landlock ABI {}", self.landlock))?;
        }
        if self.seccomp {
            part(format_args!("seccomp"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_lacks_is_told_from_what_the_kernel_lacks() {
        for (code, exhausted) in [
            (libc::EMFILE, true),
            (libc::ENOMEM, true),
            (libc::ENOSYS, false),
            (libc::EPERM, false),
        ] {
            let error = || std::io::Error::from_raw_os_error(code);
            assert_eq!(Failure::of("enter", "Landlock")(error()).is_exhausted, exhausted, "{code}");
            let wrapped = seccompiler::Error::Seccomp(error());
            assert_eq!(Failure::of("enter", "seccomp")(wrapped).is_exhausted, exhausted, "{code}");
        }
    }

    #[test]
    fn what_is_in_force_survives_an_exit_status_and_reads_as_a_list() {
        for (in_force, text, lacking) in [
            (
                InForce { no_new_privs: true, landlock: 7, seccomp: true },
                "no new privileges, Landlock ABI 7, seccomp",
                0,
            ),
            (
                InForce { no_new_privs: true, landlock: 0, seccomp: true },
                "no new privileges, seccomp",
                1,
            ),
            (InForce { no_new_privs: false, landlock: 1, seccomp: false }, "Landlock ABI 1", 2),
            (InForce::default(), "", 3),
        ] {
            assert_eq!(InForce::from_status(in_force.to_status()), in_force);
            assert_eq!(in_force.to_string(), text);
            assert_eq!(in_force.lacking().count(), lacking);
        }
    }
}
