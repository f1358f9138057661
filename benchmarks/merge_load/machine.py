"""What the machine is, in words."""

import os
import re
from pathlib import Path


def describe_processor() -> str:
    """Its model's name."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return "an unnamed processor" if found is None else found[1]


def describe_disk(folder: Path) -> str:
    """File system and device of a folder, from the mount that holds it."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[2] == number:
            kind, source = fields[fields.index("-") + 1 :][:2]
            return f"{kind} on {source}"
    return "an unnamed disk"
