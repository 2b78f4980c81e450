/* How a network lies in memory: the records of its table (const, in flash) and of its block (in RAM).
 *
 * Every place is a number of bytes from the start of the table or of the block; all numbers are little-endian. tables.py writes
 * these records, check.c proves that no place lies outside, and the kernels then take them as they are.
 */
#ifndef EA_TABLE_H
#define EA_TABLE_H

#include <stddef.h>

#include "edge_anp.h"

#if defined(__GNUC__)
#define EA_INLINE static inline __attribute__((always_inline))
#else
#define EA_INLINE static inline
#endif

#define EA_MAGIC 0x31504E41u     /* "ANP1" */
#define EA_INPUT 0xFFFFFFFFu     /* a connection's source: the input of the network */
#define EA_EVENTS 64u            /* events that a kernel takes at once */
#define EA_BLOCK 16u             /* a drive and a sum have room for a multiple of this; rows may be read that far past their end */
#define EA_LARGEST 0x1000000u    /* bytes of a table or a block: 16 MiB, so that sums of places do not wrap */
#define EA_COUNTED 65535u        /* steps that an answer counts */

enum { EA_DENSE, EA_DIAGONAL, EA_CONV, EA_SUM_POOL, EA_MAX_POOL, EA_MAPS };
enum { EA_COUNT, EA_FIRST_SPIKE, EA_MEMBRANE_MEAN, EA_MEMBRANE_LAST, EA_DECODES };

/* A neuron: one of four resets, and options. */
enum { EA_NONE, EA_SUBTRACT, EA_ZERO_BY_LEAK, EA_ZERO_BY_UPDATE };
#define EA_RESET 3u
#define EA_IMMEDIATE 4u
#define EA_CURRENT 8u  /* current-based */
#define EA_READOUT 16u /* no spikes, no reset */

typedef struct {
    uint32_t magic, semantics, bytes, crc; /* crc: of every byte after it */
    uint32_t layers, first;                /* first: place of the ea_layer records */
    uint32_t inputs, slots, history;       /* slots of `history`: steps of numbers that are kept of the input; 0: none */
    uint32_t decode, scores, drive, state_bytes;
} ea_table;

/* keep / 2^12; one per neuron (each = 1) or one for all (each = 0). */
typedef struct {
    uint32_t keep, each;
} ea_leak;

typedef struct {
    uint32_t size, neuron;
    uint32_t connections, first; /* first: place of the ea_connection records */
    uint32_t bias;               /* int32 each; 0: none */
    uint32_t vth;                /* int16 each, but for a readout */
    ea_leak leak, current_leak;
    uint32_t v, u;               /* in the block: int16 each */
    uint32_t spikes, slots;      /* in the block: bitmaps of this step, of the one before, ... */
    uint32_t rest;               /* in the block: 1 when another step without events would change nothing */
} ea_layer;

/* Maps from a source to a layer's drive: pools of numbers, one synapse, pools of sums; then the shift. */
typedef struct {
    uint32_t source, delay;
    int32_t shift;
    uint32_t maps, first; /* first: place of the ea_map records */
} ea_connection;

/* out: where in the block the map's values go; 0 for a synapse that adds to the drive itself. A pool before the synapse
 * makes int8, everything after it int32. shape: channels, height, width.
 */
typedef struct {
    uint16_t kind, groups, in[3], out_shape[3], kernel[2], stride[2], padding[2];
    uint32_t weights, each, out;
} ea_map;

/* The head of a block. ready: the checksum of its table. */
typedef struct {
    uint32_t ready, steps;
} ea_head;

typedef struct ea_form ea_form;
typedef struct ea_events ea_events;

/* What a connection reads in a step, in one of three forms. size: of the source; count: events in a list. */
typedef struct {
    const ea_form *form;
    const void *at; /* uint32_t words of bits, int8_t numbers, or a list of uint16_t */
    uint32_t size, count;
} ea_source;

/* Where a synapse adds: out[n] += shift(sum, shift). */
typedef struct {
    int32_t *out;
    int32_t shift;
} ea_target;

/* Events, EA_EVENTS at most: the source's index times a stride, and, where the form has numbers, its number. */
struct ea_events {
    uint32_t at[EA_EVENTS];
    int8_t values[EA_EVENTS];
    uint32_t next; /* where the search goes on: a word of bits, or an index */
    uint32_t left; /* bits of the word before `next` that are not yet taken */
};

/* A form: the next events (0: none are left; begin with next = left = 0), whether there are any, and how rows of them add up.
 * Where it has numbers, an odd count of events is followed by one that counts 0. A form that is not referred to is left out by the
 * linker.
 */
struct ea_form {
    uint32_t (*gather)(const ea_source *source, uint32_t stride, ea_events *events);
    uint32_t (*active)(const ea_source *source);
    void (*add)(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target);
    uint32_t numbers; /* 0: every event counts 1, and `values` holds nothing */
};
extern const ea_form ea_bits, ea_list, ea_bytes;

/* Null for what a network does not need: then the linker leaves it out. */
struct ea_kernels {
    void (*synapse[EA_CONV + 1])(const ea_map *map, const void *weights, const ea_source *source, ea_target target);
    int32_t *(*pool)(const ea_map *map, ea_source *source, const int32_t *sums, uint8_t *out);
    uint32_t (*lif)(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive);
    uint32_t (*neuron)(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive);
    int32_t (*check)(const ea_map *map); /* of windows: convolutions and pools */
    void (*remember)(const ea_table *t, uint8_t *state, ea_source *input);
    void (*path)(const ea_model *m, uint8_t *state, const ea_connection *c, ea_source *x, int32_t *drive); /* of more than a synapse */
    void (*score)(const ea_table *t, uint8_t *state, const ea_layer *layer); /* null: the answer needs none */
};

/* The kernels, and what they share. */
extern void ea_dense(const ea_map *map, const void *weights, const ea_source *source, ea_target target);
extern void ea_diagonal(const ea_map *map, const void *weights, const ea_source *source, ea_target target);
extern void ea_conv(const ea_map *map, const void *weights, const ea_source *source, ea_target target);
extern int32_t *ea_pool(const ea_map *map, ea_source *source, const int32_t *sums, uint8_t *out);
extern int32_t ea_check_windows(const ea_map *map);
extern uint32_t ea_lif(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive);
extern uint32_t ea_neuron(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive);
extern void ea_remember(const ea_table *t, uint8_t *state, ea_source *input);
extern void ea_path(const ea_model *m, uint8_t *state, const ea_connection *c, ea_source *x, int32_t *drive);
extern void ea_fill(int32_t *drive, const int32_t *bias, uint32_t size);
extern void ea_score_spikes(const ea_table *t, uint8_t *state, const ea_layer *layer);
extern void ea_score_membranes(const ea_table *t, uint8_t *state, const ea_layer *layer);
extern void ea_score(const ea_table *t, uint8_t *state, const ea_layer *layer);
extern void ea_rows(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target);
extern void ea_products(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target);
extern void ea_advance(const ea_model *model, uint8_t *state, const ea_source *input);
extern void ea_source_of(const ea_table *t, uint8_t *state, const ea_connection *c, const ea_source *input, ea_source *source);
extern void ea_connect(const ea_model *m, uint8_t *state, const ea_connection *c, ea_source *x, int32_t *drive);
extern void ea_age(uint32_t *ring, uint32_t words, uint32_t slots);
extern uint32_t ea_crc(uint32_t crc, const void *data, uint32_t bytes);
extern int32_t ea_check(const ea_model *m, const ea_table *t);
extern int32_t ea_open(const ea_model *model, const void *state, const ea_table **table);

/* a -> a 2^F for F >= 0, else floor((a + 2^(-F-1)) / 2^-F). Sums wrap where a table lies about its bounds; an honest one keeps
 * them below 2^24. Shifts of negative numbers are arithmetic, which ea_arithmetic_shift asserts.
 */
typedef char ea_arithmetic_shift[((-3 >> 1) == -2) ? 1 : -1];

EA_INLINE int32_t ea_shift(int32_t a, int32_t shift)
{
    if (shift >= 0) {
        return (int32_t)((uint32_t)a << shift);
    }
    return (int32_t)((uint32_t)a + (1u << (-shift - 1))) >> -shift;
}

/* The row of weights that begins `bytes` after the first. */
EA_INLINE const uint32_t *ea_row(const uint32_t *weights, uint32_t bytes)
{
    return (const uint32_t *)(const void *)((const uint8_t *)weights + bytes);
}

/* A place of the block as words or as sums. */
EA_INLINE uint32_t *ea_words(uint8_t *state, uint32_t place)
{
    return (uint32_t *)(void *)&state[place];
}

EA_INLINE int32_t *ea_sums(uint8_t *state, uint32_t place)
{
    return (int32_t *)(void *)&state[place];
}

/* The index of the lowest bit of v, v != 0: by an instruction, or by the perfect hash of a de Bruijn sequence. */
EA_INLINE uint32_t ea_lowest(uint32_t v)
{
#if defined(__ARM_FEATURE_CLZ)
    return (uint32_t)__builtin_ctz(v);
#else
    static const uint8_t place[32] = {0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
                                      31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
    return place[((v & (~v + 1u)) * 0x077CB531u) >> 27];
#endif
}

EA_INLINE int32_t ea_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

#endif
