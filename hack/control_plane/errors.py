"""What can go wrong with a control plane.

ControlPlaneError
├── ProgramsMissing     neither there nor to be built: no Go
├── BuildFailed         Go is there, the build failed
└── ProcessFailed       a program ended, or did not get ready
"""


class ControlPlaneError(Exception):
    """A control plane cannot be had."""


class ProgramsMissing(ControlPlaneError):
    """A program is in no place that was looked at, and Go, which could build it, is not there."""


class AssetsIncomplete(ControlPlaneError):
    """`KUBEBUILDER_ASSETS` names a folder that lacks a server."""


class BuildFailed(ControlPlaneError):
    """`go build` failed."""


class ProcessFailed(ControlPlaneError):
    """A program ended, or did not get ready in time."""
