"""Whose a store is: what drives a run obeys what it finds there, so whoever can write, commands."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property, partial
from io import FileIO
from pathlib import Path

from qcsc_loop.concurrency.whole_file import is_folder
from qcsc_loop.errors import StoreNotPrivate
from qcsc_loop.parameters.environment import environment

DOCUMENTS = 0o644
"""The mode of files that are replaced, never changed: whoever owns one has written it."""

_ACL = "system.posix_acl_access"


def refuse_foreign(root: Path, run_id: str, *, shared: bool) -> None:
    """Makes sure that a store, and a run in it, are this user's, and written by nobody else.

    A folder such as /tmp, where everybody may add and nobody may take away, will do as a store; what
    is in a run's own folder must not even be added to. root is trusted: it could do anything anyway.

    Args:
        run_id: empty: of the store alone.
        shared: a group's store: what the group may write is let pass, whoever it belongs to.

    Raises:
        StoreNotPrivate: it is not so; names the first place where it is not.
        OSError: it cannot be looked at.
    """
    for path in _places(root, run_id):
        with suppress(FileNotFoundError):
            _refuse_foreign(path, shared=shared, may_be_added_to=path == root)


def other_writer(path: Path) -> str:
    """Who else may have written a file; empty: this user did, or root, or there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ""
    if not _is_trusted(status.st_uid):
        return _name(status.st_uid)
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    group = status.st_mode & stat.S_IWGRP and not _is_alone(path, status)
    return _group(status.st_gid) if group else ""


class Access:
    """Who may write to what a store makes, whatever the umask, which some sites set for groups.

    Attributes:
        shared: a group's store, as QCSC_LOOP_SHARED_STORE says.
    """

    @cached_property
    def shared(self) -> bool:
        return environment().shared_store

    def make_folder(self, path: Path) -> None:
        """A folder with all above it; nothing if it is there."""
        if is_folder(path):
            return
        self.make_folder(path.parent)
        try:
            path.mkdir(0o777 if self.shared else 0o755)
        except FileExistsError:  # somebody else came first
            if not is_folder(path):
                raise

    def open_log(self, path: Path) -> FileIO:
        """A file that is added to: all others are only ever replaced, and are their writer's.

        Without a buffer: one whose write has failed writes again what it has when it is closed.
        """
        mode = 0o666 if self.shared else DOCUMENTS
        return open(path, "ab+", buffering=0, opener=partial(os.open, mode=mode))  # the caller's


def _places(root: Path, run_id: str) -> Iterator[Path]:
    yield root
    if run_id:
        yield root / run_id
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from sorted((root / run_id).iterdir())


def _refuse_foreign(path: Path, *, shared: bool, may_be_added_to: bool) -> None:
    status = path.stat()
    owners = {status.st_uid, path.lstat().st_uid}  # a link's own, too
    if not shared and not all(_is_trusted(owner) for owner in owners):
        theirs = next(owner for owner in owners if not _is_trusted(owner))
        raise StoreNotPrivate(str(path), f"it belongs to {_name(theirs)}, not to you", "")
    sticky = may_be_added_to and bool(status.st_mode & stat.S_ISVTX)
    if status.st_mode & stat.S_IWOTH and not sticky:
        raise StoreNotPrivate(str(path), "everybody can write to it", f"chmod -R o-w {path}")
    if status.st_mode & stat.S_IWGRP and not sticky and not shared and not _is_alone(path, status):
        cure = f"chmod -R g-w {path}"
        raise StoreNotPrivate(str(path), f"{_group(status.st_gid)} can write to it", cure)


def _is_trusted(owner: int) -> bool:
    return owner in (os.geteuid(), 0)


def _is_alone(path: Path, status: os.stat_result) -> bool:
    """Whether a group is its owner's alone, as Debian and Red Hat give each user one."""
    if _has_acl(path):  # then the group's bits are those of everybody that it names
        return False
    try:
        user, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    named = (user.pw_gid, user.pw_name) == (group.gr_gid, group.gr_name)
    return named and set(group.gr_mem) <= {user.pw_name}


def _has_acl(path: Path) -> bool:
    try:
        return _ACL in os.listxattr(path)
    except OSError:  # a file system without
        return False


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _group(group: int) -> str:
    try:
        return f"the group {grp.getgrgid(group).gr_name}"
    except KeyError:
        return f"group {group}"
