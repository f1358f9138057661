"""What a merge would do, without claiming or writing anything. Imports nothing of the merge: it imports Numba."""
