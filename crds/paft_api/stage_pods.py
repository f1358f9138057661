"""A stage's pod as seen from outside and inside: its container, volumes, paths and the variables it relies on."""

CONTAINER = "trainer"
"""The container that a stage runs in."""

RUN_SPEC_DIRECTORY = "/etc/paft"
"""Holds the attempt's RunSpec, read-only."""

RUN_SPEC_FILE = "run_spec.json"
"""Name of the RunSpec, in its ConfigMap and in its directory."""

API_ACCESS_DIRECTORY = "/var/run/secrets/paft.dev/api-access"
"""Holds token and ca.crt, with which the report is written."""

SHARED_MEMORY_DIRECTORY = "/dev/shm"
"""Shared memory between the ranks of a pod."""

SCRATCH_DIRECTORY = "/tmp"
"""Files of this attempt; HOME."""

CACHE_DIRECTORY = "/var/cache/paft"
"""Verified copies of bases."""

NODE_CACHE_DIRECTORY = "/var/cache/paft-node"
"""Parts of bases that others on the node use too, where spec.base.cache is set."""

CREDENTIALS_DIRECTORY = "/var/run/secrets/paft.dev/credentials"
"""Holds a folder of files for each Secret that the stage uses."""

SECRET_KEYS = {"AWS_ACCESS_KEY_ID": True, "AWS_SECRET_ACCESS_KEY": True, "AWS_SESSION_TOKEN": False}
"""Keys of a storage Secret, which are the files' names, and whether they have to be there."""

TRACKER_CREDENTIALS_DIRECTORY = "/var/run/secrets/paft.dev/tracker-credentials"
"""Holds a folder of files for each Secret of a tracker."""

TRACKER_SECRET_KEYS = (
    "WANDB_API_KEY",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
"""Keys of a tracker's Secret, which are the files' names and the variables that trackers know them by."""

TERMINATION_LOG = "/dev/termination-log"
"""Where the launcher tells why it ended."""

MASTER_PORT = 29500
"""Port of the rendezvous on the first pod of an arm."""

RENDEZVOUS_VARIABLES = ("JOB_COMPLETION_INDEX", "MASTER_ADDR", "MASTER_PORT")
"""By these the pods of an arm find one another."""

REPORT_KEY = "report.json"
"""Key of a report ConfigMap that holds the StageReport."""
