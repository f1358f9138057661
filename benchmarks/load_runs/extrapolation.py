"""What the measured shares mean for larger bases on more nodes, as the table of docs/reference/base-loading.md."""

from benchmarks.load_runs.results import Results

BASES = {"7B": 13.5e9, "70B": 138e9}
"""Bytes in bf16: 6.74 B and 69 B parameters, Llama 2's."""
NODES = (1, 4, 8)
_HEADER = (
    "| base | nodes | S3 sends, ours | stock | to each node, ours | stock | on its disk, ours | stock | time, ours | "
    "stock |\n|---|---|---|---|---|---|---|---|---|---|"
)


def extrapolated(results: Results) -> str:
    """Markdown. The formula is on the page."""
    ours, stock = results.loadings["ours"], results.loadings["stock"]
    ours_share = max(one.sent for one in ours) / results.base.size
    stock_share = max(one.sent for one in stock) / results.base.size
    ours_rate, stock_rate = (results.base.weights / results.seconds(way) for way in ("ours", "stock"))
    lines = [
        f"From {results.base.name} on one node: shares {ours_share:.4f} and {stock_share:.4f}, rates "
        f"{ours_rate / 1e6:.0f} and {stock_rate / 1e6:.0f} MB/s.",
        "",
        _HEADER,
    ]
    for name, size in BASES.items():
        for nodes in NODES:
            each = ours_share * size / nodes
            lines.append(
                f"| {name} | {nodes} | {_gigabytes(ours_share * size)} | {_gigabytes(stock_share * size * nodes)} | "
                f"{_gigabytes(each)} | {_gigabytes(stock_share * size)} | 0 | {_gigabytes(size)} | "
                f"{_minutes(size / nodes / ours_rate)} | {_minutes(size / stock_rate)} |"
            )
    return "\n".join(lines)


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
