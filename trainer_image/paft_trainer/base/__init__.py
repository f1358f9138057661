"""The base checkpoint: what is known of its bytes, and how they get from the object store to whoever asks for them.

index.py, indexing.py          read once: the base's digest, and a hash of each piece of each tensor
piece_index.py                 what is then known (pure)
piece_source.py                the seam: verified bytes of runs of pieces
store_pieces.py                ... straight from the object store
cached_pieces.py               ... through files that all processes of a node share
open_pieces.py                 which of the two a stage gets
whole_copy.py                  the base as a folder, for readers that need one
"""
