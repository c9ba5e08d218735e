//! The user that a server changes to after it has opened what only root can open.

use std::ffi::CString;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{
    self, Gid, Group, Uid, getegid, geteuid, getgrouplist, getgroups, getppid, getresgid,
    getresuid, setgroups, setresgid, setresuid,
};

use crate::error::{Error, Result};

/// A user, its group, and the other groups it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl User {
    /// Looks up `NAME` or `NAME:GROUP`. Either may be a number; a number that no user has needs a group.
    /// Without a group, the user has the groups of the database.
    ///
    /// # Errors
    /// There is no such user or group; it is root, or the number -1, with which nothing would change.
    pub fn look_up(text: &str) -> Result<Self> {
        let refuse = |why: &'static str| Error::new("look up user", text, why);
        let fail = |errno: Errno| Error::new("look up user", text, errno);
        let (name, group) = match text.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (text, None),
        };
        let number = name.parse().ok().map(Uid::from_raw);
        let mut entry = unistd::User::from_name(name).map_err(fail)?;
        if let (None, Some(uid)) = (&entry, number) {
            entry = unistd::User::from_uid(uid).map_err(fail)?;
        }
        let uid = entry.as_ref().map(|entry| entry.uid).or(number);
        let uid = uid.ok_or_else(|| refuse("there is no such user"))?;
        let gid = match (group, &entry) {
            (Some(group), _) => look_up_group(group).map_err(fail)?,
            (None, Some(entry)) => Some(entry.gid),
            (None, None) => return Err(refuse("no user has this number: say NUMBER:GROUP")),
        };
        let gid = gid.ok_or_else(|| refuse("there is no such group"))?;
        if uid.is_root() {
            return Err(refuse("this is root, which may do everything"));
        }
        if uid.as_raw() == u32::MAX || gid.as_raw() == u32::MAX {
            return Err(refuse("4294967295 stands for no change"));
        }
        let groups = match &entry {
            // Not empty: it begins with `gid`.
            Some(entry) => getgrouplist(&name_of(entry), gid).map_err(fail)?,
            None => vec![gid],
        };
        Ok(Self { name: text.to_owned(), uid, gid, groups })
    }

    /// Changes to this user permanently: real, effective and saved ids, and exactly its groups. The
    /// process has one thread.
    ///
    /// The result is checked, and that the process cannot change back. After an error the process has
    /// neither the old nor the new user, and has to end.
    ///
    /// # Errors
    /// This is not root; `EPERM` for a root that may not (`CAP_SETUID`, `CAP_SETGID`).
    pub fn assume(&self) -> Result<()> {
        self.may_be_assumed()?;
        if self.is_this_process() {
            // The old binary had become that user before it started this one.
            return Ok(());
        }
        let refuse = |why: &'static str| Error::new("become user", &self.name, why);
        // A change of user clears it (prctl(2)), and the parent process may rely on it.
        let (parent, at_its_death) = (getppid(), prctl::get_pdeathsig().ok().flatten());
        let Self { uid, gid, .. } = *self;
        setgroups(&self.groups)
            .and_then(|()| setresgid(gid, gid, gid))
            .and_then(|()| setresuid(uid, uid, uid))
            .map_err(Error::of("become user", &self.name))?;
        if !self.is_this_process() {
            return Err(refuse("the kernel reports other ids than were set"));
        }
        if unistd::setuid(Uid::from_raw(0)).is_ok() {
            return Err(refuse("the process could become root again"));
        }
        if let Some(signal) = at_its_death {
            let _ = prctl::set_pdeathsig(signal);
            if getppid() != parent {
                return Err(refuse("the parent process has ended meanwhile"));
            }
        }
        Ok(())
    }

    /// Whether this process may become that user.
    ///
    /// # Errors
    /// This process is not root, and is not that user already.
    pub fn may_be_assumed(&self) -> Result<()> {
        if self.is_this_process() || geteuid().is_root() {
            return Ok(());
        }
        Err(Error::new("become user", &self.name, "only root may change its user"))
    }

    /// Whether every id and group of this process is that of this user.
    fn is_this_process(&self) -> bool {
        let Self { uid, gid, .. } = *self;
        let users = getresuid().is_ok_and(|is| [is.real, is.effective, is.saved] == [uid; 3]);
        let groups = getresgid().is_ok_and(|is| [is.real, is.effective, is.saved] == [gid; 3]);
        // The kernel sorts them.
        let known = |others: Vec<Gid>| others.iter().all(|other| self.groups.contains(other));
        users && groups && getegid() == gid && getgroups().is_ok_and(known)
    }

    /// Its user id and group id.
    pub(super) fn ids(&self) -> (Uid, Gid) {
        (self.uid, self.gid)
    }
}

/// The number of a group: of its name, or that number.
///
/// # Errors
/// There is no such group; it is the number -1, with which nothing would change.
pub fn group_id(name: &str) -> Result<u32> {
    let refuse = |why: &'static str| Error::new("look up group", name, why);
    let found = look_up_group(name).map_err(Error::of("look up group", name))?;
    match found.map(Gid::as_raw) {
        None => Err(refuse("there is no such group")),
        Some(u32::MAX) => Err(refuse("4294967295 stands for no change")),
        Some(number) => Ok(number),
    }
}

fn look_up_group(name: &str) -> std::result::Result<Option<Gid>, Errno> {
    let entry = Group::from_name(name)?;
    Ok(entry.map(|entry| entry.gid).or_else(|| name.parse().ok().map(Gid::from_raw)))
}

/// The name of a user. It comes from the user database, so it has no NUL.
fn name_of(entry: &unistd::User) -> CString {
    CString::new(entry.name.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_own_group_or_the_one_that_is_named() {
        let Ok(Some(account)) = unistd::User::from_name("nobody") else { return };
        let user = User::look_up("nobody").unwrap();
        assert_eq!(user.ids(), (account.uid, account.gid));
        let by_number = User::look_up(&account.uid.to_string()).unwrap();
        assert_eq!(by_number.ids(), user.ids());
        let user = User::look_up("nobody:12345").unwrap();
        assert_eq!(user.ids(), (account.uid, Gid::from_raw(12345)));
        assert!(user.groups.contains(&Gid::from_raw(12345)));
    }

    #[test]
    fn an_unused_number_comes_with_a_group() {
        let user = User::look_up("3999999999:3999999998").unwrap();
        assert_eq!(user.ids(), (Uid::from_raw(3_999_999_999), Gid::from_raw(3_999_999_998)));
        assert_eq!(user.groups, [Gid::from_raw(3_999_999_998)]);
    }

    #[test]
    fn a_group_has_a_name_or_a_number() {
        let Ok(Some(root)) = Group::from_gid(Gid::from_raw(0)) else { return };
        assert_eq!(group_id(&root.name).unwrap(), 0);
        assert_eq!(group_id("3999999998").unwrap(), 3_999_999_998);
        for text in ["no-such-group", "", "-1", "4294967295", "4294967296"] {
            assert!(group_id(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_user_is_refused_by_name() {
        for (text, why) in [
            ("no-such-user", "there is no such user"),
            (":1", "there is no such user"),
            ("-1", "there is no such user"),
            ("4294967296", "there is no such user"),
            ("3999999999", "say NUMBER:GROUP"),
            ("3999999999:no-such-group", "there is no such group"),
            ("3999999999:", "there is no such group"),
            ("root", "root"),
            ("0:3999999999", "root"),
            ("4294967295:1", "no change"),
            ("3999999999:4294967295", "no change"),
        ] {
            let error = User::look_up(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("look up user {text}")), "{error}");
            assert!(error.contains(why), "{error}");
        }
    }
}
