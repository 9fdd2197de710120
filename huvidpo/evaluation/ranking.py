"""Three or more systems in one order, from choices between two at a time. Knows arrays and comparisons only."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from huvidpo.evaluation.estimates import expanded
from huvidpo.evaluation.verdict import Comparison
from huvidpo.preferences.statistics import MIN_PROMPTS

PRIOR = 0.5  # a win each way of this weight for every two that met: who never lost has no finite strength without it
LIMIT = 6.0  # of a log-strength, for where there is no prior
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
        return float(expit(self.strength))

    @property
    def against_average_interval(self) -> tuple[float, float]:
        """That of 95 %; from 0 to 1 where nothing is known."""
        return float(expit(self.low)), float(expit(self.high))

    def to_row(self) -> dict[str, object]:
        """Plain values for JSON; None for an end that is not known."""
        ends = {name: end if np.isfinite(end) else None for name, end in (("low", self.low), ("high", self.high))}
        average = {"against_average": self.against_average, "against_average_interval": self.against_average_interval}
        return asdict(self) | ends | average


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


def counted(
    comparisons: Sequence[Comparison], systems: list[str], prompts: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """How often each system won against each other one on each prompt, and how often the two tied: (p s s) each."""
    wins, ties = (np.zeros((len(prompts), len(systems), len(systems))) for _ in range(2))
    for comparison in comparisons:
        prompt, i, j = prompts.index(comparison.prompt), *map(systems.index, (comparison.first, comparison.second))
        if comparison.outcome == "tie":
            ties[prompt, i, j] += 1
            ties[prompt, j, i] += 1
        else:
            i, j = (i, j) if comparison.outcome == "first" else (j, i)
            wins[prompt, i, j] += 1
    return wins, ties


def rank(comparisons: Sequence[Comparison]) -> list[Standing]:
    """The systems in these comparisons, the strongest first, by Davidson's model.

    Intervals draw whole prompts with all their votes; where every draw says the same, or there are fewer than
    MIN_PROMPTS, they are infinite, and so is the upper end of who won every vote and the lower end of who lost every
    one. ValueError when systems are in no way connected by comparisons: then nothing says which is the better one.
    """
    systems = systems_in(comparisons)
    prompts = sorted({comparison.prompt for comparison in comparisons})
    wins, ties = counted(comparisons, systems, prompts)
    votes = wins.sum(axis=0) + ties.sum(axis=0) / 2
    if systems and connected_components(votes, directed=False)[0] > 1:
        raise ValueError("These systems cannot be ranked: some were never compared, not even by way of a third one.")

    prior = PRIOR * (votes + votes.T > 0)

    def strengths(drawn: np.ndarray) -> np.ndarray:
        return davidson(wins[drawn].sum(axis=0) + prior, ties[drawn].sum(axis=0))[0]

    if not systems:
        return []
    low, high = np.full(len(systems), -np.inf), np.full(len(systems), np.inf)
    if len(prompts) >= MIN_PROMPTS:
        generator = np.random.default_rng(0)
        draws = generator.integers(len(prompts), size=(RESAMPLES, len(prompts)))
        drawn = np.array([strengths(draw) for draw in draws])
        tails = 50 * (1 - expanded(len(prompts)))
        ends = np.percentile(drawn, [tails, 100 - tails], axis=0)
        known = np.ptp(drawn, axis=0) > 1e-6
        low = np.where(known & (votes.sum(axis=1) > 0), ends[0], low)
        high = np.where(known & (votes.sum(axis=0) > 0), ends[1], high)
    columns = zip(systems, strengths(np.arange(len(prompts))), low, high, strict=True)
    standings = [Standing(name, float(strength), float(a), float(b)) for name, strength, a, b in columns]
    return sorted(standings, key=lambda standing: -standing.strength)
