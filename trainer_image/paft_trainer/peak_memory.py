"""Peak resident memory of this process."""

import re
import resource
import sys
from pathlib import Path


def peak_memory_bytes() -> int:
    """Largest resident set so far, in bytes.

    On Linux from /proc: getrusage keeps the peak of the process that forked us, through exec.
    """
    if sys.platform == "linux":
        match = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        assert match is not None
        return int(match[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
