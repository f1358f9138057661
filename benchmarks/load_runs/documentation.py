"""The tables of docs/reference/base-loading.md: what was measured, and what it means for larger bases on more nodes."""

from collections.abc import Sequence

from benchmarks.load_runs.results import Results, measurements_of

BASES = {"7B": 13.5e9, "70B": 138e9}
"""Bytes in bf16: 6.74 B and 69 B parameters, Llama 2's."""
NODES = (1, 4, 8)
_MEASURED = (
    "| base | way | time, s | MB/s | sent by S3, / base | memory over partition, MB | weights on disk, MB |\n"
    "|---|---|--:|--:|--:|--:|--:|"
)
_EXTRAPOLATED = (
    "| base | nodes | sent by S3, ours | stock | to each node, ours | stock | its disk, ours | stock | time, ours | "
    "stock |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def documentation(measured: Sequence[Results]) -> str:
    """Markdown."""
    parts = (_measured(measured), _goals(measured), _extrapolated(measured[-1]))
    return "\n\n".join(parts)


def _measured(measured: Sequence[Results]) -> str:
    lines = [_MEASURED]
    for results in measured:
        for way, loadings in results.loadings.items():
            sent = results.share(results.most(way, lambda one: one.sent + one.sent_beside))
            growth = results.most(way, lambda one: one.growth_over_partition) / 1e6
            kept = results.most(way, lambda one: one.kept) / 1e6
            lines.append(
                f"| {results.base.name} | {way}, {len(loadings)} runs | {results.seconds(way):.2f} | "
                f"{results.megabytes_per_second(way):.0f} | {sent:.4f} | {growth:.0f} | {kept:.0f} |"
            )
        for name, arms, share in results.whole_arms():
            lines.append(f"| {results.base.name} | {name} | | | {share:.4f} | | {arms.kept / 1e6:.0f} |")
    return "\n".join(lines)


def _goals(measured: Sequence[Results]) -> str:
    lines = ["| goal | measured | wanted | |", "|---|--:|--:|---|"]
    for one in (one for results in measured for one in measurements_of(results)):
        if one.goal is not None:
            verdict = "holds" if one.holds else "**missed**"
            lines.append(f"| {one.name} | {f'{one.value:.4g} {one.unit}'.rstrip()} | {one.goal} | {verdict} |")
    return "\n".join(lines)


def _extrapolated(results: Results) -> str:
    """By the formula of the page."""
    ours, stock = (
        results.share(results.most(way, lambda one: one.sent + one.sent_beside)) for way in ("ours", "stock")
    )
    ours_rate, stock_rate = (results.base.weights / results.seconds(way) for way in ("ours", "stock"))
    lines = [
        f"From {results.base.name} on one node: s is {ours:.4f} and {stock:.4f}, r is {ours_rate / 1e6:.0f} and "
        f"{stock_rate / 1e6:.0f} MB/s, ours and stock.",
        "",
        _EXTRAPOLATED,
    ]
    for name, size in BASES.items():
        for nodes in NODES:
            lines.append(
                f"| {name} | {nodes} | {_gigabytes(ours * size)} | {_gigabytes(stock * size * nodes)} | "
                f"{_gigabytes(ours * size / nodes)} | {_gigabytes(stock * size)} | 0 | {_gigabytes(size)} | "
                f"{_minutes(size / nodes / ours_rate)} | {_minutes(size / stock_rate)} |"
            )
    return "\n".join(lines)


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
