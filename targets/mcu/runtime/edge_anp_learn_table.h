/* How a learner lies in memory: the records of its table (const, in flash) and of its block (in RAM). All numbers are uint32 or int32.
 *
 * Places in the block are bytes from its start. A matrix lies in two planes: `high`, rows of bytes w + 128 in the form that ea_dense
 * reads, and `low`, rows of fractions (none with masters of 8 bits): a master is 256 high + low.
 */
#ifndef EA_LEARN_TABLE_H
#define EA_LEARN_TABLE_H

#include "edge_anp_learn.h"
#include "edge_anp_table.h"

#define EA_LEARN_MAGIC 0x314C4145u /* "EAL1" */
#define EA_GUESSES 8u
#define EA_CLASSES 240u
#define EA_FULL 128     /* a full reward; a whole probability */
#define EA_TRACE_MAX 255
#define EA_FINER 4u /* bits more that the guard's slow mean has */

enum { EA_DRAW_ANSWER = 16, EA_DRAW_PICK = 17, EA_DRAW_ROUND = 18, EA_DRAW_NODE = 19 };
enum { EA_IDLE, EA_RUNNING, EA_ANSWERED, EA_REWARDED, EA_COMMITTING };
enum { EA_NEWEST, EA_ANCHOR, EA_TRIED }; /* in trouble: which save is on trial; the anchor was */
#define EA_UNMOVED 2u /* in place of mirrored: a run without perturbation */
enum { EA_CREDIT_ERROR, EA_CREDIT_LEARNED, EA_CREDIT_MODEL, EA_CREDIT_SHIPPED };

typedef struct {
    uint32_t magic, version, bytes, crc; /* crc: of every byte after it */
    uint32_t model;                      /* checksum of the network's table */
    uint32_t synapses, first_synapse, credits, first_credit, shown, first_shown;
    uint32_t bits, rule, sigma, every, steps; /* rule 1: perturbation */
    int32_t temperature;
    uint32_t horizon, budget, guesses, drop, gain, window, narrowing;
    uint32_t block, state, v, e, g, input, input_bytes; /* input_bytes: of a step that is kept; numbers, or bits if `binary` */
    uint32_t binary, weights, weight_bytes;             /* weights: from here on, what is saved */
} ea_learn_table;

typedef struct {
    uint32_t layer, connection, inputs, outputs;
    uint32_t rate;
    int32_t gain, limit;
    uint32_t high, stride, low; /* places; bytes of a row of `high`; low 0: none */
    uint32_t trace;             /* int16 an input; 0 for a readout, whose rows have n instead */
    uint32_t past, past_bytes, numbers, delay; /* the source's raster: place, bytes of a step, whether it holds numbers */
    uint32_t psi, h;                           /* places; 0: none */
} ea_learn_synapse;

typedef struct {
    uint32_t layer, size, kind, rows, stride, h; /* rows: a place in the block, the network's table, or the learner's */
} ea_learn_credit;

/* A layer whose spikes or psi are kept, as bitmaps. */
typedef struct {
    uint32_t layer, spikes, psi;
} ea_learn_shown;

typedef struct {
    uint32_t ready, seed, trial, phase, t, given, frozen, mirrored;
    uint8_t tried[EA_GUESSES];
    uint32_t reward[2];                      /* of this run, and of the mirrored one before */
    uint32_t at_t, at_synapse, at_row, stage; /* where a commit goes on */
    uint32_t running, good, since, judged, slow, base, age, troubled, fruitless, trying; /* the guard's: edge_anp/ondevice_guard.py */
    uint32_t anchor;                        /* the sequence of the save that the guard may go back to beside the newest; 0: none */
    uint32_t saving, saved, slot, sequence; /* of a save: its stage, what of it is done, where it goes */
    uint32_t saved_trial, saved_running, saved_good, saved_anchor; /* as they were when it began: trials go on meanwhile */
} ea_learn_head;

/* What moving the rows of one synapse in one step has in common. */
typedef struct {
    uint8_t *high, *low;
    const uint32_t *list;
    uint32_t count, stride, outputs, bits, shift, prefix;
} ea_moving;

/* The journal: edge_anp_save.h. */
#define EA_JOURNAL_MAGIC 0x314A4145u /* "EAJ1" */
#define EA_JOURNAL_WORDS 16u
#define EA_WEIGHTS_AT 256u
#define EA_PAGE 256u
#define EA_SLOTS 3u

enum {
    EA_J_MAGIC, EA_J_VERSION, EA_J_SEQUENCE, EA_J_NETWORK, EA_J_LEARNER, EA_J_TRIAL, EA_J_SEED, EA_J_RUNNING, EA_J_GOOD, EA_J_BYTES, EA_J_CRC,
    EA_J_ANCHOR, EA_J_HEAD_CRC = 15
};
struct ea_flash;

extern int32_t ea_learn_open(const ea_learner *learner, const void *block, const ea_learn_table **table);
extern uint32_t ea_noise(const uint32_t *places, uint32_t count);
extern uint32_t ea_stir(uint32_t x, uint32_t a);
extern void ea_perturb(const ea_learn_table *t, const ea_learn_head *head, uint32_t layer, uint32_t size, int32_t *drive);
extern int32_t ea_xi(const ea_learn_head *head, uint32_t t, uint32_t layer, uint32_t n);
extern uint32_t ea_annealing(const ea_learn_table *t, uint32_t trial);
extern ea_moving ea_moves(const ea_learn_table *t, uint8_t *block, uint32_t k, const uint32_t *list, uint32_t count, uint32_t at);
extern void ea_move(const ea_moving *m, uint32_t j, int32_t x);
extern void ea_horizon(const ea_learner *l, const ea_learn_table *t, uint8_t *block);
extern void ea_credit(const ea_learner *l, const ea_learn_table *t, uint8_t *block, const ea_learn_credit *c);
extern uint32_t ea_slot_sectors(const ea_learn_table *t, const struct ea_flash *flash);
extern uint32_t ea_slot_count(const ea_learn_table *t, const struct ea_flash *flash);
extern uint32_t ea_slot_at(const ea_learn_table *t, const struct ea_flash *flash, uint32_t slot);
extern int32_t ea_slot_newest(const ea_learn_table *t, const struct ea_flash *flash, uint32_t *slot, uint32_t words[EA_JOURNAL_WORDS]);
extern int32_t ea_slot_numbered(
    const ea_learn_table *t, const struct ea_flash *flash, uint32_t sequence, uint32_t *slot, uint32_t words[EA_JOURNAL_WORDS]);
extern int32_t ea_slot_restore(
    const ea_learn_table *t, uint8_t *block, const struct ea_flash *flash, uint32_t anchor, uint32_t words[EA_JOURNAL_WORDS]);
extern void ea_learn_ship(const ea_learner *learner, uint8_t *block);
extern void ea_learn_judge(const ea_learn_table *t, ea_learn_head *head, uint32_t reward);
extern int32_t ea_learn_changed(const ea_learn_table *t, const ea_learn_head *head);
extern void ea_learn_saved(ea_learn_head *head);
extern void ea_learn_rolled_back(ea_learn_head *head);
extern void ea_learn_resume(ea_learn_head *head, uint32_t running, uint32_t good);

EA_INLINE const ea_learn_synapse *ea_synapses(const ea_learn_table *t)
{
    return (const ea_learn_synapse *)(const void *)((const uint8_t *)t + t->first_synapse);
}

EA_INLINE int16_t *ea_shorts(uint8_t *block, uint32_t place)
{
    return (int16_t *)(void *)&block[place];
}

EA_INLINE const ea_layer *ea_layers(const ea_table *t)
{
    return (const ea_layer *)(const void *)((const uint8_t *)t + t->first);
}

#endif
