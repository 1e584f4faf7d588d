/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Repeatable chance: the same seed gives the same numbers, on every machine. */
#ifndef DICE_H
#define DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
	uint64_t state;
};

/* SplitMix64 (Steele, Lea, Flood 2014): any state is a good one. */
static inline uint64_t dice_roll(struct dice *dice)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Dice of their own for one part of the simulation, so that another part does not shift them. */
static inline struct dice dice_split(uint64_t seed, uint64_t part)
{
	struct dice dice = {seed * 0x2545f4914f6cdd1d + part};

	dice_roll(&dice);
	return dice;
}

/* From 0 to below `bound`, which is not 0. */
static inline uint64_t dice_below(struct dice *dice, uint64_t bound)
{
	return dice_roll(dice) % bound;
}

/* From `low` to `high`, both included. */
static inline int64_t dice_between(struct dice *dice, int64_t low, int64_t high)
{
	return low + (int64_t)dice_below(dice, (uint64_t)(high - low) + 1);
}

static inline bool dice_chance(struct dice *dice, unsigned int percent)
{
	return percent && dice_below(dice, 100) < percent;
}

#endif
