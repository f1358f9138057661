"""Imported by the forkserver before anything else: it must not outlive the launcher.

Ranks are children of the forkserver, so a launcher that is killed takes all of them along through it.
"""

from paft_trainer.launching.parent_process import die_with_parent

die_with_parent()
