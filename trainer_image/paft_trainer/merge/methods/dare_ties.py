"""DARE before TIES: dropping at random takes the place of trimming (arXiv 2311.03099, section 3.3).

Dropping happens before (paft_trainer.merge.dropping); signs are elected and the mean is taken as by our TIES, where
mergekit adds the agreeing arms up unless it is told to normalise.
"""

from paft_trainer.merge.methods.ties import ties

dare_ties = ties
"""Elect signs and merge disjointly. `deltas`: dropped and rescaled, fp32, one shape."""
