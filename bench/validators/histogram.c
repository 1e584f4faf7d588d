// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench/validators/histogram.h"

#include <math.h>
#include <stddef.h>

#define PARTS     (UINT64_C(1) << HISTOGRAM_PART_BITS)
#define VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/*
 * Below PARTS a cell is a value.  Above, the highest bits choose the row (which power of
 * two) and the PART_BITS behind the first the cell in it.
 */
static size_t cell_of(uint64_t value)
{
	unsigned int shift;

	if (value < PARTS)
		return value;
	shift = 63 - (unsigned int)__builtin_clzll(value) - HISTOGRAM_PART_BITS;
	return (shift + 1) * PARTS + ((value >> shift) - PARTS);
}

/* The highest value of a cell. */
static uint64_t end_of(size_t cell)
{
	uint64_t row = cell >> HISTOGRAM_PART_BITS, part = cell & (PARTS - 1);

	if (!row)
		return cell;
	return ((PARTS + part + 1) << (row - 1)) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value_ns)
{
	if (value_ns > VALUE_MAX)
		value_ns = VALUE_MAX;
	if (!histogram->count || value_ns < histogram->min_ns)
		histogram->min_ns = value_ns;
	if (value_ns > histogram->max_ns)
		histogram->max_ns = value_ns;
	histogram->count++;
	histogram->sum_ns += value_ns;
	histogram->cells[cell_of(value_ns)]++;
}

void histogram_add(struct histogram *histogram, const struct histogram *more)
{
	if (!more->count)
		return;
	if (!histogram->count || more->min_ns < histogram->min_ns)
		histogram->min_ns = more->min_ns;
	if (more->max_ns > histogram->max_ns)
		histogram->max_ns = more->max_ns;
	histogram->count += more->count;
	histogram->sum_ns += more->sum_ns;
	for (size_t cell = 0; cell < HISTOGRAM_CELLS; cell++)
		histogram->cells[cell] += more->cells[cell];
}

uint64_t histogram_percentile_ns(const struct histogram *histogram, double percent)
{
	uint64_t wanted = (uint64_t)ceil((double)histogram->count * percent / 100), seen = 0;

	for (size_t cell = 0; cell < HISTOGRAM_CELLS; cell++) {
		seen += histogram->cells[cell];
		if (seen && seen >= wanted)
			return end_of(cell) < histogram->max_ns ? end_of(cell) : histogram->max_ns;
	}
	return histogram->max_ns;
}

uint64_t histogram_mean_ns(const struct histogram *histogram)
{
	return histogram->count ? histogram->sum_ns / histogram->count : 0;
}
