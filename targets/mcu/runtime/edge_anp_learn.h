/* edge_anp_learn: go on learning on the device, from right and wrong, bit for bit as edge_anp/ondevice.py does.
 *
 *     static uint32_t block[DIGITS_LEARN_BYTES / 4];
 *     ea_learn_init(&digits_learner, block, sizeof block, seed);          the weights that were shipped
 *     for each trial:
 *         trial = ea_learn_begin(&digits_learner, block);
 *         for each time step:  ea_learn_step_bits(&digits_learner, block, input);
 *         answer = ea_learn_answer(&digits_learner, block);               again after a wrong one, if the plan has guesses left
 *         ea_learn_reward(&digits_learner, block, trial, right ? 128 : 0);
 *         while (ea_learn_commit(&digits_learner, block, 16) == EA_MORE) { ... }
 *
 * The caller owns the memory: one block, aligned to 4 bytes, which holds the weights, one trial, and the network's own state. Weights
 * change in commit, rollback, load and init only. A function returns EA_OK, a positive answer, or a negative code (also of edge_anp.h), and
 * then has changed nothing.
 */
#ifndef EDGE_ANP_LEARN_H
#define EDGE_ANP_LEARN_H

#include "edge_anp.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EA_MORE = 1,        /* not done yet: call again */
    EA_STALE = -20,     /* the trial is over: another one has begun, or it was committed */
    EA_ORDER = -21,     /* not now: an answer before a trial, a commit before a reward, a trial longer than planned */
    EA_NO_GUESS = -22,  /* the trial has no guesses left */
    EA_BUSY = -23,      /* weights are being saved: they must not change until that is done */
    EA_NOTHING = -24,   /* nothing that was saved can be used: the shipped weights stay */
    EA_OTHER_MODEL = -25, /* what is saved belongs to another network, or to another plan */
    EA_FLASH = -26      /* the flash is too small, its pages are too large, or it does not work */
};

/* What ea_learn_health advises. */
enum { EA_KEEP = 0, EA_SAVE = 1, EA_ROLL_BACK = 2 };

typedef struct ea_learner {
    const ea_model *model;
    const void *table; /* learn.c, 4-byte aligned */
    uint32_t bytes;
} ea_learner;

/* Bytes of the block, or an error. */
int32_t ea_learn_size(const ea_learner *learner);

/* Check both tables and begin with the weights that were shipped (a factory reset). Noise is a function of `seed` and the trial. */
int32_t ea_learn_init(const ea_learner *learner, void *block, uint32_t bytes, uint32_t seed);

/* A new trial, from silence; `trial`, if not null, receives its number. What was kept of the one before is gone.
 * ea_learn_begin_mirrored: the second of the pair that the rule of perturbation takes; the same trial, the opposite noise.
 */
int32_t ea_learn_begin(const ea_learner *learner, void *block, uint32_t *trial);
int32_t ea_learn_begin_mirrored(const ea_learner *learner, void *block);

/* One time step of the input, as in edge_anp.h. */
int32_t ea_learn_step_bits(const ea_learner *learner, void *block, const uint32_t *bits);
int32_t ea_learn_step_events(const ea_learner *learner, void *block, const uint16_t *events, uint32_t count);
int32_t ea_learn_step_bytes(const ea_learner *learner, void *block, const int8_t *numbers);

/* An answer that explores: drawn by how sure the network is. ea_learn_best: the one it is surest of; learns from a label only. */
int32_t ea_learn_answer(const ea_learner *learner, void *block);
int32_t ea_learn_best(const ea_learner *learner, const void *block);

/* What the world says, even late, as long as no other trial began: how right the last answer was, 0 to 128; or the right answer. */
int32_t ea_learn_reward(const ea_learner *learner, void *block, uint32_t trial, uint32_t reward);
int32_t ea_learn_label(const ea_learner *learner, void *block, uint32_t trial, uint32_t label);

/* Change the weights, at most `rows` rows of them in this call (0: all): EA_MORE until done. In between nothing else may be called but
 * another network's functions. A row costs at most one update a neuron of its layer; so does the bookkeeping of a step, 16 inputs a row.
 */
int32_t ea_learn_commit(const ea_learner *learner, void *block, uint32_t rows);

/* No commit changes anything while frozen. */
int32_t ea_learn_freeze(const ea_learner *learner, void *block, uint32_t frozen);

/* What the rewards say, to be asked after every trial: EA_SAVE when they rose, EA_ROLL_BACK when they fell and learning does not help
 * (edge_anp/ondevice_guard.py has the rules). ea_learn_save and ea_learn_rollback (edge_anp_save.h) do it.
 */
int32_t ea_learn_health(const ea_learner *learner, const void *block);

/* CRC-32 of all weights that learn, as the host computes it; 0 for a wrong argument. */
uint32_t ea_learn_crc(const ea_learner *learner, const void *block);

#ifdef __cplusplus
}
#endif

#endif
