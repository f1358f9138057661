"""The losses of direct preference optimisation, as pure functions of log-probabilities of whole answers.

Equal to TRL's (1.16), which gathers a dozen figures over all processes in each forward pass and needs the same number
of pairs on each. Every loss here is one of single pairs: that of a pair is the same in whatever batch it comes.
"""
