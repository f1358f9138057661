"""Every merge method in float64, written from the papers' formulas and apart from the engine, to compare it with.

fp32 may decide otherwise than float64 where two magnitudes or two sides of an election are nearly equal: such entries
are left out by the mask `decided`.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from paft_api.spec.merge import MergeOptions

Matrix = np.ndarray
Weights = Callable[[str], tuple[float, float]]
ARMS = ("sft", "preference")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """`delta`: the merged one. `scale`: Σ|term| of what each of its entries is the sum of."""

    delta: Matrix
    scale: Matrix
    decided: Matrix


@dataclass(frozen=True, kw_only=True)
class Case:
    """One tensor of a merge. `slack`: relative gap from which fp32 tells two magnitudes apart; 0 for exact deltas.
    `limits`: magnitudes over the whole model between which an arm's entries stay."""

    name: str
    options: MergeOptions
    deltas: tuple[Matrix, Matrix]
    base: Matrix
    weights: tuple[float, float]
    balance: tuple[float, float]
    slack: float
    limits: tuple[tuple[float, float], ...] | None = None
    undecided: list[Matrix] = field(default_factory=list)

    def option(self, name: str) -> object:
        """As it acts, by its name in documents."""
        return self.options.resolved()[name]

    def doubt(self, mask: Matrix) -> None:
        """Entries that are not compared."""
        self.undecided.append(mask)


def reference_merge(
    options: MergeOptions,
    deltas: Mapping[str, tuple[Matrix | None, Matrix | None]],
    *,
    weights: Weights,
    bases: Mapping[str, Matrix],
    slack: float = 1e-6,
) -> dict[str, Reference]:
    """All tensors that get a delta, by name; None where an arm does not adapt one."""
    shapes = {name: next(delta.shape for delta in pair if delta is not None) for name, pair in deltas.items()}
    full = {
        name: tuple(np.zeros(shapes[name]) if delta is None else delta.astype(np.float64) for delta in pair)
        for name, pair in deltas.items()
    }
    balances = _balances(options, full)
    limits = None
    if options.resolved().get("densityScope") == "Model":
        limits = tuple(
            _shares(
                options,
                np.concatenate(
                    [np.zeros(0)]
                    + [
                        np.abs(full[name][arm] * balances[name][arm]).ravel()
                        for name, pair in deltas.items()
                        if pair[arm] is not None
                    ]
                ),
            )
            for arm in range(2)
        )
    return {
        name: _merge(
            Case(
                name=name,
                options=options,
                deltas=pair,
                base=bases[name].astype(np.float64),
                weights=weights(name),
                balance=balances[name],
                slack=slack,
                limits=limits,
            )
        )
        for name, pair in full.items()
    }


def _balances(options: MergeOptions, full: Mapping[str, tuple[Matrix, ...]]) -> dict[str, tuple[float, float]]:
    rule = options.resolved().get("balance", "None")
    if rule == "None":
        return dict.fromkeys(full, (1.0, 1.0))
    if rule == "Tensor":
        return {name: _equally_long([np.linalg.norm(delta) for delta in pair]) for name, pair in full.items()}
    lengths = [math.sqrt(sum(float((pair[arm] ** 2).sum()) for pair in full.values())) for arm in range(2)]
    return dict.fromkeys(full, _equally_long(lengths))


def _equally_long(lengths: list[float]) -> tuple[float, float]:
    mean = sum(lengths) / 2
    return (mean / lengths[0], mean / lengths[1]) if min(lengths) > 0 else (1.0, 1.0)


def _merge(case: Case) -> Reference:
    delta, scale = _METHODS[case.options.method](case)
    decided = np.ones(delta.shape, bool)
    for mask in case.undecided:
        decided &= ~mask
    factor = case.options.lambda_
    return Reference(delta=factor * delta, scale=abs(factor) * scale, decided=decided)


Sum = tuple[Matrix, Matrix]


def _weighted(deltas: tuple[Matrix, ...], factors: tuple[float, ...]) -> Sum:
    terms = [delta * factor for delta, factor in zip(deltas, factors, strict=True)]
    return sum(terms), sum(np.abs(term) for term in terms)


def _scales(case: Case) -> tuple[float, float]:
    return case.weights[0] * case.balance[0], case.weights[1] * case.balance[1]


def _linear(case: Case) -> Sum:
    first, second = _scales(case)
    return _weighted(case.deltas, (first / sum(case.weights), second / sum(case.weights)))


def _task_arithmetic(case: Case) -> Sum:
    return _weighted(case.deltas, _scales(case))


def _ties(case: Case) -> Sum:
    return _elect(case, _trimmed(case))


def _breadcrumbs(case: Case) -> Sum:
    return _weighted(_trimmed(case), _scales(case))


def _dare_linear(case: Case) -> Sum:
    return _weighted(_dropped(case), _scales(case))


def _dare_ties(case: Case) -> Sum:
    return _elect(case, _dropped(case))


def _della(case: Case) -> Sum:
    return _elect(case, _dropped(case))


def _slerp(case: Case) -> Sum:
    """Shoemake's arc; a line where its ends are parallel, opposed or 0."""
    t = case.weights[1] / sum(case.weights)
    deltas = tuple(delta * factor for delta, factor in zip(case.deltas, case.balance, strict=True))
    ends = tuple(case.base + delta for delta in deltas) if case.option("wholeWeights") else deltas
    lengths = [float(np.linalg.norm(end)) for end in ends]
    cosine = 1.0 if min(lengths) == 0 else float((ends[0] * ends[1]).sum()) / lengths[0] / lengths[1]
    if abs(cosine) > 0.9995:
        return _weighted(deltas, (1 - t, t))
    angle = math.acos(cosine)
    factors = math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
    if not case.option("wholeWeights"):
        return _weighted(deltas, factors)
    return _weighted((*deltas, case.base), (*factors, sum(factors) - 1))


def _model_stock(case: Case) -> Sum:
    first, second = case.deltas
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    cosine = 0.0 if lengths == 0 else float((first * second).sum() / lengths)
    t = 0.0 if cosine < -1 + 1e-6 else 2 * cosine / (1 + cosine)
    t = t if case.options.is_mergekit else max(t, 0.0)
    return _weighted(case.deltas, (t / 2, t / 2))


def _sce(case: Case) -> Sum:
    first, second = case.deltas
    # Of two numbers the variance is a quarter of their difference's square.
    distances = np.abs(first - second)
    density = case.options.resolved_density
    if density < 1:
        counted = np.count_nonzero(distances) if case.options.is_mergekit else distances.size
        low, _ = _limits(distances.ravel(), kept=int(density * counted), removed=0)
        selected = distances >= low
        case.doubt((distances != low) & (np.abs(distances - low) <= case.slack * low))
        first, second = np.where(selected, first, 0.0), np.where(selected, second, 0.0)
    squares = (first**2).sum(), (second**2).sum()
    total = sum(squares)
    tiny = total == 0 or (case.options.is_mergekit and total / first.size < 1e-6)
    shares = (0.5, 0.5) if tiny else (squares[0] / total, squares[1] / total)
    return _disjoint(case, (first, second), votes=(1.0, 1.0), values=shares, masses=shares)


def _sft_only(case: Case) -> Sum:
    return _weighted(case.deltas, (case.weights[0], 0.0))


def _preference_only(case: Case) -> Sum:
    return _weighted(case.deltas, (0.0, case.weights[1]))


def _shares(options: MergeOptions, magnitudes: Matrix) -> tuple[float, float]:
    kept = int(options.resolved_density * len(magnitudes))
    gamma = float(str(options.resolved().get("gamma", 0.0)))
    return _limits(magnitudes, kept=kept, removed=min(int(gamma * len(magnitudes)), len(magnitudes) - kept))


def _limits(magnitudes: Matrix, *, kept: int, removed: int) -> tuple[float, float]:
    """Magnitudes of the last and the first entry that stay."""
    in_order = np.sort(magnitudes)[::-1]
    return (float(in_order[removed + kept - 1]), float(in_order[removed])) if kept else (math.inf, math.inf)


def _trimmed(case: Case) -> tuple[Matrix, ...]:
    trimmed = []
    for arm, delta in enumerate(case.deltas):
        if case.limits is None:
            magnitudes = np.abs(delta)
            low, high = _shares(case.options, magnitudes.ravel())
        else:
            magnitudes = np.abs(delta * case.balance[arm])
            low, high = case.limits[arm]
        if case.slack:
            for limit in (low, high):
                case.doubt((np.abs(magnitudes - limit) <= case.slack * magnitudes) & (magnitudes > 0))
        trimmed.append(np.where((magnitudes >= low) & (magnitudes <= high), delta, 0.0))
    return tuple(trimmed)


def numbers_of(seed: int, arm: str, name: str, entries: int) -> Matrix:
    """SplitMix64's numbers of 32 bits, from its definition."""
    key = np.uint64(int(hashlib.sha256(f"{seed}\0{arm}\0{name}".encode()).hexdigest()[:16], 16))
    z = key + np.arange(1, entries + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(32)


def _dropped(case: Case) -> tuple[Matrix, ...]:
    density, rescale = case.options.resolved_density, case.option("rescale")
    dropped = []
    for arm, delta in zip(ARMS, case.deltas, strict=True):
        if density in (0, 1):
            dropped.append(delta * density)
            continue
        probability = _probability(case, delta)
        numbers = numbers_of(int(str(case.option("seed"))), arm, case.name, delta.size).reshape(delta.shape)
        kept = np.where(numbers < np.round(probability * 2**32), delta, 0.0)
        if rescale == "Density":
            kept = np.divide(kept, probability, out=np.zeros_like(kept), where=kept != 0)
        elif rescale == "Norm" and kept.any():
            kept = kept * (np.abs(delta).sum() / np.abs(kept).sum())
        dropped.append(kept)
    return tuple(dropped)


def _probability(case: Case, delta: Matrix) -> Matrix:
    """To stay: the density, with DELLA more for the larger ones of a row."""
    density = case.options.resolved_density
    if "epsilon" not in case.options.resolved():
        return np.full(delta.shape, density)
    epsilon = case.options.resolved_epsilon
    columns = delta.shape[1]
    magnitudes = np.abs(delta)
    order = np.argsort(magnitudes, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable")
    if case.slack:
        in_order = np.take_along_axis(magnitudes, order, axis=1)
        gaps = np.diff(in_order, axis=1, prepend=-np.inf, append=np.inf)
        near = np.minimum(gaps[:, :-1], gaps[:, 1:]) <= case.slack * in_order
        case.doubt(np.take_along_axis(near, ranks, axis=1) & (magnitudes > 0))
    return density - epsilon + 2 * epsilon * ranks / max(columns - 1, 1)


def _elect(case: Case, deltas: tuple[Matrix, ...]) -> Sum:
    values = _scales(case)
    votes = values if case.option("election") == "Weighted" else case.balance
    mergekit = case.options.is_mergekit
    masses = case.weights if mergekit else (abs(case.weights[0]), abs(case.weights[1]))
    return _disjoint(case, deltas, votes=votes, values=values, masses=masses if case.option("normalize") else None)


def _disjoint(
    case: Case,
    deltas: tuple[Matrix, ...],
    *,
    votes: tuple[float, float],
    values: tuple[float, float],
    masses: tuple[float, float] | None,
) -> Sum:
    """The mean of what agrees with the sign of Σ vote·delta, with these masses; without them the sum."""
    ballots = [delta * vote for delta, vote in zip(deltas, votes, strict=True)]
    balance, total = sum(ballots), sum(np.abs(ballot) for ballot in ballots)
    exact = (votes[0] == votes[1]) & (deltas[0] == -deltas[1])
    case.doubt((total > 0) & (np.abs(balance) <= 1e-5 * total) & ~exact)
    elected = np.sign(balance)
    if case.options.is_mergekit:
        elected = np.where(balance == 0, 1.0, elected)
    result, scale, divisor = np.zeros_like(balance), np.zeros_like(balance), np.zeros_like(balance)
    for arm in range(2):
        agrees = ballots[arm] * elected > 0
        result += np.where(agrees, deltas[arm] * values[arm], 0.0)
        scale += np.where(agrees, np.abs(deltas[arm] * values[arm]), 0.0)
        divisor += np.where(agrees, 1.0 if masses is None else masses[arm], 0.0)
    if masses is None:
        return result, scale
    divisor = np.where(divisor == 0, 1.0, divisor)
    return result / divisor, scale / np.abs(divisor)


_METHODS: dict[str, Callable[[Case], Sum]] = {
    "linear": _linear,
    "task_arithmetic": _task_arithmetic,
    "ties": _ties,
    "dare_linear": _dare_linear,
    "dare_ties": _dare_ties,
    "della": _della,
    "breadcrumbs": _breadcrumbs,
    "slerp": _slerp,
    "sce": _sce,
    "model_stock": _model_stock,
    "sft_only": _sft_only,
    "preference_only": _preference_only,
}
