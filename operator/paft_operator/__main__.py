"""`python -m paft_operator`: settings, logs, and the operator until it is asked to stop."""

import asyncio
import gc
import os
import sys

from paft_operator.serving.json_logs import configure_logs
from paft_operator.settings import OperatorSettings, SettingsInvalid, read_settings

EXIT_BAD_SETTINGS = 2
COLLECT_GARBAGE_AFTER = 20_000
"""New objects. Documents of the API have thousands each, and hardly any cycle: Python's own 700 doubles their cost."""


def main() -> int:
    """Run; the exit code."""
    try:
        settings = read_settings(sys.argv[1:], os.environ)
    except SettingsInvalid as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_SETTINGS
    configure_logs(settings.log_level)
    gc.set_threshold(COLLECT_GARBAGE_AFTER, *gc.get_threshold()[1:])
    _leave_out_the_official_client()
    return asyncio.run(_run(settings))


def _leave_out_the_official_client() -> None:
    """Where it is installed, kopf imports it for its types only: 50 MB and 2 seconds for nothing."""
    sys.modules["kubernetes"] = None  # type: ignore[assignment]


async def _run(settings: OperatorSettings) -> int:
    from paft_operator.cluster.connection import ConnectionMissing
    from paft_operator.operator_process import OperatorProcess

    try:
        operator = OperatorProcess(settings)
    except ConnectionMissing as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_SETTINGS
    return await operator.run()


if __name__ == "__main__":
    sys.exit(main())
