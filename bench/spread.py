# SPDX-License-Identifier: GPL-3.0-or-later
"""What a series of measurements says, and how surely."""

import random
import statistics

RESAMPLES = 2000


def confidence(values):
    """The interval that holds the median with 95 %, by the percentile bootstrap."""
    generator = random.Random(1)  # the same series says the same
    medians = sorted(
        statistics.median(generator.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    return medians[round(RESAMPLES * 0.025)], medians[round(RESAMPLES * 0.975) - 1]


def describe(values, digits):
    """The object that steering.json has for a series, one value a round."""
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    low, high = confidence(values)
    numbers = {
        "median": statistics.median(values),
        "lower_quartile": lower,
        "upper_quartile": upper,
        "median_low": low,
        "median_high": high,
    }
    return {key: round(value, digits) for key, value in numbers.items()} | {"rounds": len(values)}
