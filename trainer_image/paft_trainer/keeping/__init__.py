"""What stays in object storage and what goes: markers of attempts, retention, and what is provably left over.

The rules are a table in docs/reference/storage-layout.md. `attempt_marker` and `marked_attempt` make folders provable,
`stage_verdicts` and `output_verdicts` judge what a folder holds without any I/O, `reading` and `cleaning` do the I/O.
"""
