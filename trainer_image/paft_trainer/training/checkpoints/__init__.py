"""Checkpoints of an arm: what one holds and how it lies in storage, and how it is saved while training goes on.

`checkpoint` tells the layout and reads, `parts` is the form of what one rank writes, `background_save` writes it in a
thread, `part_records` tells rank 0 of the others' parts, and `saver` is what training calls.
"""
