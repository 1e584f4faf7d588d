/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a seed makes: CAs, certificates, a plan of trouble over weeks or a year, an operator who does
 * things beside the daemon, and quiet days after it.  scenario_seed() is in generator.c.
 */
#ifndef TESTS_SIM_GENERATOR_H
#define TESTS_SIM_GENERATOR_H

#include <stddef.h>
#include <stdint.h>

struct world;

/* Trouble of all kinds until the day, generator_trouble.c. */
void generator_plan_trouble(struct world *world, double days);

/* An operator who runs verbs and edits the configuration until the day, generator_operator.c. */
void generator_plan_operator(struct world *world, double days);

/* The moment, in ms from now, of a day with a fraction. */
uint64_t generator_ms(double day);
/* From 0 to below 1. */
double generator_part(struct world *world);
/* The bits of the certificates that contain this name. */
uint64_t generator_bits_of(const struct world *world, const char *name);

#endif
