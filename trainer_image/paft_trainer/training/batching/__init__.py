"""How the rows of an optimizer step are shared out over processes and forward passes, and laid out as tensors.

Which rows a step has is the sampler's choice alone (`training.sampling`). What is here changes no mathematics: each row
is computed once, sees no other row, and every loss is normalised over the step's rows or tokens on all processes.
"""
