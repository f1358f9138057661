"""Reference log-probabilities of DPO: computed once for a base and its pairs, kept in the object store, found again."""
