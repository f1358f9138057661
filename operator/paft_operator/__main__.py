"""`python -m paft_operator`: settings, logs, and the operator until it is asked to stop."""

import asyncio
import os
import sys

from paft_operator.cluster.connection import ConnectionMissing
from paft_operator.operator_process import OperatorProcess
from paft_operator.serving.json_logs import configure_logs
from paft_operator.settings import OperatorSettings, SettingsInvalid, read_settings

EXIT_BAD_SETTINGS = 2


def main() -> int:
    """Run; the exit code."""
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        configure_logs(settings.log_level)
        return asyncio.run(_run(settings))
    except (SettingsInvalid, ConnectionMissing) as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_SETTINGS


async def _run(settings: OperatorSettings) -> int:
    return await OperatorProcess(settings).run()


if __name__ == "__main__":
    sys.exit(main())
