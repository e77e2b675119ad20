"""Two things measured in turn, many times: what the one adds to the other.

One long run of each says little on a machine that does other things, too.
Short ones that lie beside each other are disturbed alike: each round has a
difference (or a ratio) of its own, and their median, with the interval that it
lies in for 95 of 100, shows whether there were enough of them.
"""

import math
import statistics
from collections import namedtuple

Estimate = namedtuple("Estimate", "median low high rounds")


def rank(count):
    """The largest k so that the median lies between the k-th smallest and the
    k-th largest of `count` values in at least 95 of 100 cases: whether a value
    is above it is a coin.  1 when there are too few for that."""
    outside, k = 0.0, 0
    while k < count // 2:
        outside += 2 * math.comb(count, k) / 2 ** count
        if outside > 0.05:
            break
        k += 1
    return max(k, 1)


def estimate(values):
    values = sorted(values)
    k = rank(len(values))
    return Estimate(statistics.median(values), values[k - 1], values[-k],
                    len(values))


def differences(rounds, with_it, without_it):
    return estimate([r[with_it] - r[without_it] for r in rounds])


def of_least(rounds, with_it, without_it):
    """What is disturbed only ever takes longer: the difference of the least
    of both is the better judge where nearly all rounds are."""
    return min(r[with_it] for r in rounds) - min(r[without_it]
                                                 for r in rounds)


def ratios(rounds, with_it, without_it):
    return estimate([r[with_it] / r[without_it] for r in rounds])


def as_json(found):
    return {name: value._asdict() for name, value in found.items()}
