"""On which kind of file system a path lies: SQLite's locks and flock cannot be trusted over a network."""

import re
from pathlib import Path

_MOUNTS = Path("/proc/mounts")
_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "afs", "ncpfs", "ceph", "glusterfs", "fuse.sshfs",
     "fuse.glusterfs", "fuse.smbnetfs", "fuse.s3fs", "fuse.rclone", "fuse.davfs", "davfs"}
)  # fmt: skip
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """Return the kind of the network file system that `path` lies on; empty for a local one.

    Args:
        path: a file or folder that need not exist.
        mounts: the kernel's table of mounts; where there is none, the path counts as local.
    """
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    where = path.resolve()
    kind, longest = "", -1
    for line in table.splitlines():
        fields = line.split(" ")
        place = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[1]))
        # Later mounts on the same place hide earlier ones.
        if where.is_relative_to(place) and len(place.parts) >= longest:
            kind, longest = fields[2], len(place.parts)
    return kind if kind in _REMOTE else ""
