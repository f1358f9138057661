"""What can go wrong with a node.

NodeError
├── RequirementsMissing    this machine lacks something that a node needs
├── ImageFailed            an image could not be built or loaded
├── NodeRuns               there is one already
└── NodeFailed             a part of it ended, or did not get ready
"""


class NodeError(Exception):
    """A node cannot be had."""


class RequirementsMissing(NodeError):
    """This machine lacks something that a node needs; `str()` says what, and what to do."""


class ImageFailed(NodeError):
    """An image could not be built or loaded."""


class NodeRuns(NodeError):
    """There is one already; it has to go first."""


class NodeFailed(NodeError):
    """A part of it ended, or did not get ready in time."""
