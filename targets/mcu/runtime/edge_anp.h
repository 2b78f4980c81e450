/* edge_anp: run a compiled spiking network, one time step a call, bit for bit as its reference does.
 *
 *     static uint32_t state[DIGITS_STATE_BYTES / 4];
 *     if (ea_init(&digits, state, sizeof state) != EA_OK) { ... }
 *     for each time step:  ea_step_bits(&digits, state, input);
 *     answer = ea_answer(&digits, state);
 *     ea_reset(&digits, state);
 *
 * C99; no malloc, no libc, no floating point, no globals. The caller owns the memory: one block for a running network, aligned to
 * 4 bytes. A function returns EA_OK (0) or a positive answer, or one of the negative codes below, and then has changed nothing.
 * Not reentrant on one block; any number of blocks may run at once.
 */
#ifndef EDGE_ANP_H
#define EDGE_ANP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EA_OK = 0,
    EA_NULL = -1,       /* a pointer is null */
    EA_UNALIGNED = -2,  /* the block, the table or a bitmap is not aligned to 4 bytes */
    EA_TOO_SMALL = -3,  /* the block is smaller than ea_state_size says */
    EA_BAD_TABLE = -4,  /* the table is no network, or not the one that was compiled: its checksum or a bound is wrong */
    EA_NO_KERNEL = -5,  /* the network needs a kernel that its ea_model does not name */
    EA_NOT_READY = -6,  /* the block was not prepared by ea_init for this network */
    EA_BAD_INPUT = -7,  /* an event past the input or out of order; a number of -128 */
    EA_NO_LAYER = -8,   /* there is no such layer */
    EA_DIFFERS = -9     /* ea_selftest: an answer is not the golden one */
};

typedef struct ea_kernels ea_kernels; /* the functions that a network needs, so that a linker leaves out the others */

/* A network: its table (model.c), 4-byte aligned, and its kernels. */
typedef struct ea_model {
    const void *table;
    uint32_t bytes;
    const ea_kernels *kernels;
} ea_model;

extern const ea_kernels ea_all_kernels; /* for tables that are not known before the program runs */

/* Bytes of the block that a network runs in, or an error. */
int32_t ea_state_size(const ea_model *model);

/* Check the whole table (every bound and the checksum) and make `state` a network at rest. */
int32_t ea_init(const ea_model *model, void *state, uint32_t bytes);

/* Silence: every state and every delayed spike becomes 0, and so does the answer. */
int32_t ea_reset(const ea_model *model, void *state);

/* Advance by one step. The input is
 * bits:   a bitmap; input i is bit i % 32 of word i / 32, and bits past the last input are ignored
 * events: the indices of the inputs that spike, ascending
 * bytes:  one number of -127..127 an input
 * All three may be mixed. A step costs little where there are few spikes, and almost nothing where a layer is at rest.
 */
int32_t ea_step_bits(const ea_model *model, void *state, const uint32_t *bits);
int32_t ea_step_events(const ea_model *model, void *state, const uint16_t *events, uint32_t count);
int32_t ea_step_bytes(const ea_model *model, void *state, const int8_t *numbers);

/* The answer since the last reset, an index of the last layer; ties go to the lowest. The first 65535 steps count. */
int32_t ea_answer(const ea_model *model, const void *state);

/* What a layer did in the last step, inside the block; null for a wrong argument or where there is none.
 * spikes: a bitmap as above. membrane, current: one number a neuron (current only of current-based neurons).
 */
const uint32_t *ea_spikes(const ea_model *model, const void *state, uint32_t layer);
const int16_t *ea_membrane(const ea_model *model, const void *state, uint32_t layer);
const int16_t *ea_current(const ea_model *model, const void *state, uint32_t layer);
int32_t ea_layer_size(const ea_model *model, uint32_t layer);

/* Golden vectors: `steps` rows of numbers, and the checksum of every spike and state that follows from them (model.h). */
typedef struct ea_golden {
    const int8_t *numbers;
    uint32_t steps;
    uint32_t crc;
} ea_golden;

/* Run the golden vectors from silence in `state` (after ea_init) and leave silence behind: EA_OK, or EA_DIFFERS.
 * `crc`, if not null, receives the checksum that was found.
 */
int32_t ea_selftest(const ea_model *model, void *state, const ea_golden *golden, uint32_t *crc);

#ifdef __cplusplus
}
#endif

#endif
