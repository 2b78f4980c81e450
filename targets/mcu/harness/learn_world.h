/* The world of harness/learn.c: it knows the right answers, and keeps a flash in RAM. */
#ifndef EA_LEARN_WORLD_H
#define EA_LEARN_WORLD_H

#include "edge_anp_learn_table.h"
#include "edge_anp_save.h"
#include "harness.h"

#ifndef FLASH_BYTES
#define FLASH_BYTES 0 /* none */
#endif
#ifndef DATA_BYTES
#define DATA_BYTES 0 /* of samples that are kept for `P` */
#endif

/* The low byte of `form` is the input's; the rest is how the world answers. */
enum { WORLD_GUARDED = 256, WORLD_RANDOM = 512, WORLD_INVERTED = 1024 };

/* words: label, guesses, form, then the steps; found: asked, right, ticks of the steps, ticks of the commit, health. */
extern int32_t world_trial(const ea_learner *l, void *block, const uint32_t *words, uint32_t bytes, uint32_t found[5]);
extern int32_t world_step(const ea_learner *l, void *block, uint32_t form, const void *at, uint32_t bytes);
extern int32_t world_save(const ea_learner *l, void *block);
extern const ea_flash world_flash;
extern void world_open(void); /* erases the flash */
extern void world_give(void); /* its bytes, to the port */
extern int32_t world_put(uint32_t bytes); /* its bytes, from the port */

/* words: place, then a trial's words: keep a sample. */
extern int32_t world_keep(const uint32_t *words, uint32_t bytes);
/* words: first, trials, guesses, form, seed, samples: trials on kept samples; found: asked, right, saves, rollbacks, health. */
extern int32_t world_play(const ea_learner *l, void *block, const uint32_t *words, uint32_t found[5]);

#endif
