"""What `paft merge` is told: flags, recipe files of our own and mergekit's, lists of candidates."""
