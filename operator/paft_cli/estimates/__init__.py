"""What a job needs before anything is spent: memory of each process, time, and bytes moved. Pure arithmetic.

Everything here is a function of shapes, sizes and the job; files and stores are read by `paft_cli.base_shapes` and
`paft_cli.data_sizes`.
"""
