/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run as a directory to keep or to show: report.md with plots, and all the figures. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>

struct results;

/* Make the directory, before the run: 0 or -errno. */
int report_prepare(const char *directory);

/*
 * Write report.md, results.json, latency.tsv and seconds.tsv, and by gnuplot latency.svg
 * and seconds.svg.  Without a gnuplot that works the plots are left out, of the text too,
 * and *ret_plotted is false.  0 or -errno.
 */
int report_write(const struct results *results, const char *directory, bool *ret_plotted);

#endif
