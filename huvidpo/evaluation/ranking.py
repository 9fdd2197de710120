"""Three or more systems in one order, from choices between two at a time. Knows arrays and comparisons only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components

from huvidpo.evaluation.estimates import expanded
from huvidpo.evaluation.verdict import Comparison
from huvidpo.preferences.statistics import MIN_PROMPTS

LIMIT = 6.0  # of a log-strength: who never lost would otherwise have none that is finite
LOG_TIES = (-12.0, 6.0)  # bounds of log nu; no tie at all is the lower one
RESAMPLES = 200  # a fit each
RANKED = 3  # systems from which on there is a ranking: for two the win rate says it all


@dataclass(frozen=True)
class Standing:
    """A system's place. exp(strength of one - strength of another) are the odds that it is preferred, ties aside."""

    system: str
    strength: float  # log pi; the mean over systems is 0
    low: float  # 95 % bootstrap interval over prompts; the infinite one where these say nothing of others
    high: float

    @property
    def against_average(self) -> float:
        """How often it is expected to be preferred to a system of strength 0, ties aside."""
        return float(1 / (1 + np.exp(-self.strength)))


# Davidson (1970), "On extending the Bradley-Terry model to accommodate ties": with strengths pi_i and nu >= 0,
#   P(i beats j) = pi_i / (pi_i + pi_j + nu sqrt(pi_i pi_j)),   P(tie) = nu sqrt(pi_i pi_j) / (the same).
# nu = 0 is the model of Bradley and Terry (1952), which knows no ties.
# Below d = log pi_i - log pi_j, and both fractions are divided by
# sqrt(pi_i pi_j), so that the denominator is z = 2 cosh(d / 2) + nu.
def davidson(wins: np.ndarray, ties: np.ndarray) -> tuple[np.ndarray, float]:
    """Maximum likelihood: how often i beat j (s s), how often both tied (s s, symmetric) -> log-strengths (s,), nu.

    The problem is convex in the log-strengths and log nu. Log-strengths have the mean 0 and lie within +-6 of the
    middle; without ties nu is 0 to five digits, and the strengths are Bradley's and Terry's.
    """
    systems = len(wins)
    beaten, met = wins - wins.T, wins + wins.T + ties

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        strengths, nu = x[:-1], np.exp(x[-1])
        d = strengths[:, None] - strengths[None, :]
        z = 2 * np.cosh(d / 2) + nu
        # Every pair stands twice in these matrices. The last term chooses one of all equally likely offsets.
        value = (met * np.log(z) - beaten * d / 2).sum() / 2 - ties.sum() / 2 * x[-1] + 5e-7 * (strengths**2).sum()
        by_strength = (met * np.sinh(d / 2) / z - beaten / 2).sum(axis=1) + 1e-6 * strengths
        return value, np.append(by_strength, (met * nu / z - ties).sum() / 2)

    bounds = [(-LIMIT, LIMIT)] * systems + [LOG_TIES]
    options = {"ftol": 1e-13, "gtol": 1e-8}
    fit = minimize(cost, np.zeros(systems + 1), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return fit.x[:-1] - fit.x[:-1].mean(), float(np.exp(fit.x[-1]))


def ranking_of(comparisons: Sequence[Comparison]) -> tuple[list[Standing], str]:
    """The ranking of three systems or more, or none and the reason in a sentence; neither for fewer systems."""
    if len(systems_in(comparisons)) < RANKED:
        return [], ""
    try:
        return rank(comparisons), ""
    except ValueError as error:
        return [], str(error)


def systems_in(comparisons: Sequence[Comparison]) -> list[str]:
    """The names of all that were compared, sorted."""
    return sorted({name for comparison in comparisons for name in (comparison.first, comparison.second)})


def rank(comparisons: Sequence[Comparison], seed: int = 0) -> list[Standing]:
    """The systems in these comparisons, the strongest first, by Davidson's model.

    Intervals draw whole prompts with all their votes; where every draw says the same, or there are fewer than
    MIN_PROMPTS, they are infinite. ValueError when systems are in no way connected by comparisons: then nothing says
    which is the better one.
    """
    systems = systems_in(comparisons)
    prompts = sorted({comparison.prompt for comparison in comparisons})
    wins, ties = (np.zeros((len(prompts), len(systems), len(systems))) for _ in range(2))
    for comparison in comparisons:
        prompt, i, j = prompts.index(comparison.prompt), *map(systems.index, (comparison.first, comparison.second))
        if comparison.outcome == "tie":
            ties[prompt, i, j] += 1
            ties[prompt, j, i] += 1
        else:
            i, j = (i, j) if comparison.outcome == "first" else (j, i)
            wins[prompt, i, j] += 1
    if systems and connected_components(wins.sum(axis=0) + ties.sum(axis=0), directed=False)[0] > 1:
        raise ValueError("These systems cannot be ranked: some were never compared, not even by way of a third one.")

    def strengths(drawn: np.ndarray) -> np.ndarray:
        return davidson(wins[drawn].sum(axis=0), ties[drawn].sum(axis=0))[0]

    if not systems:
        return []
    low, high = np.full(len(systems), -np.inf), np.full(len(systems), np.inf)
    if len(prompts) >= MIN_PROMPTS:
        generator = np.random.default_rng(seed)
        draws = generator.integers(len(prompts), size=(RESAMPLES, len(prompts)))
        drawn = np.array([strengths(draw) for draw in draws])
        tails = 50 * (1 - expanded(len(prompts)))
        ends = np.percentile(drawn, [tails, 100 - tails], axis=0)
        low, high = np.where(np.ptp(drawn, axis=0) > 1e-6, ends, (low, high))
    columns = zip(systems, strengths(np.arange(len(prompts))), low, high, strict=True)
    standings = [Standing(name, float(strength), float(a), float(b)) for name, strength, a, b in columns]
    return sorted(standings, key=lambda standing: -standing.strength)
