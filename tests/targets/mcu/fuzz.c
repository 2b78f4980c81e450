/* Hostile bytes as a table, as a block, and as input, through the public interface: nothing may be read or written out of bounds,
 * whatever they say. The checksum is made right first, so that the bounds are what is tried. Every buffer has its exact size on
 * the heap, where AddressSanitizer watches both ends.
 *
 * A sample: 4 bytes of seed for block and input, then a table. corpus/ holds small networks; `make_corpus.py` wrote them.
 */
#include <stdlib.h>
#include <string.h>

#include "edge_anp_table.h"

#define WORK 2000000u /* window elements of a step; a table may ask for more, and then it is only checked */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t draw(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void scribble(void *memory, size_t bytes, uint32_t *seed)
{
    uint8_t *p = memory;
    size_t k;
    for (k = 0; k < bytes; k++) {
        p[k] = (uint8_t)(draw(seed) >> 11);
    }
}

/* How much a step of a checked table is, so that none takes minutes. */
static uint64_t work(const uint8_t *table)
{
    const ea_table *t = (const ea_table *)(const void *)table;
    const ea_layer *l = (const ea_layer *)(const void *)(table + t->first);
    uint64_t total = 0;
    uint32_t i, k, n;
    for (i = 0; i < t->layers; i++) {
        const ea_connection *c = (const ea_connection *)(const void *)(table + l[i].first);
        total += (uint64_t)l[i].size * 4u + (uint64_t)l[i].slots * l[i].size;
        for (k = 0; k < l[i].connections; k++) {
            const ea_map *map = (const ea_map *)(const void *)(table + c[k].first);
            for (n = 0; n < c[k].maps; n++) {
                const uint64_t in = (uint64_t)map[n].in[0] * map[n].in[1] * map[n].in[2];
                const uint64_t out = (uint64_t)map[n].out_shape[0] * map[n].out_shape[1] * map[n].out_shape[2];
                total += in + out + ((map[n].kind == EA_DENSE) ? in * out : out * map[n].kernel[0] * map[n].kernel[1] * map[n].in[0]);
            }
        }
    }
    return total + (uint64_t)t->slots * t->inputs;
}

static void step(const ea_model *m, void *state, uint32_t inputs, uint32_t *seed)
{
    uint32_t *bits = malloc((inputs + 31u) / 32u * 4u);
    int8_t *numbers = malloc(inputs);
    uint16_t events[5];
    uint32_t k;
    scribble(bits, (inputs + 31u) / 32u * 4u, seed);
    (void)ea_step_bits(m, state, bits);
    scribble(numbers, inputs, seed);
    if (ea_step_bytes(m, state, numbers) == EA_BAD_INPUT) {
        for (k = 0; k < inputs; k++) {
            numbers[k] = (numbers[k] == -128) ? 0 : numbers[k];
        }
        (void)ea_step_bytes(m, state, numbers);
    }
    scribble(events, sizeof events, seed);
    (void)ea_step_events(m, state, events, draw(seed) % 6u);
    events[0] = 0;
    (void)ea_step_events(m, state, events, 1);
    free(bits);
    free(numbers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *table;
    uint32_t *state;
    uint32_t seed, bytes, layer;
    ea_model m;
    int32_t need;
    if (size < 4u + sizeof(ea_table)) {
        return 0;
    }
    memcpy(&seed, data, 4);
    seed |= 1u;
    bytes = (uint32_t)(size - 4u);
    table = malloc(bytes);
    memcpy(table, data + 4, bytes);
    {
        ea_table *t = (ea_table *)(void *)table;
        t->magic = EA_MAGIC;
        t->semantics = 1;
        t->bytes = bytes;
        t->crc = ea_crc(0, &t->layers, bytes - 16u);
    }
    m.table = table;
    m.bytes = bytes;
    m.kernels = &ea_all_kernels;
    need = ea_state_size(&m);
    if (need >= 8 && need < (1 << 20)) {
        state = malloc((size_t)need);
        scribble(state, (size_t)need, &seed);
        (void)ea_step_bits(&m, state, state); /* not prepared: refused */
        if (ea_init(&m, state, (uint32_t)need) == EA_OK && work(table) < WORK) {
            const uint32_t inputs = ((const ea_table *)(const void *)table)->inputs;
            step(&m, state, inputs, &seed);
            scribble((uint8_t *)state + sizeof(uint32_t), (size_t)need - sizeof(uint32_t), &seed);
            step(&m, state, inputs, &seed);
            (void)ea_answer(&m, state);
            for (layer = 0; layer < 3u; layer++) {
                const int32_t neurons = ea_layer_size(&m, layer);
                if (neurons > 0 && (ea_spikes(&m, state, layer) == NULL || ea_membrane(&m, state, layer) == NULL)) {
                    abort();
                }
                (void)ea_current(&m, state, layer);
            }
            (void)ea_reset(&m, state);
            step(&m, state, inputs, &seed);
        }
        free(state);
    }
    free(table);
    return 0;
}

#ifdef REPLAY
#include <stdio.h>

/* Without libFuzzer: run each file that is named. */
int main(int count, char **names)
{
    static uint8_t data[1 << 16];
    int k;
    for (k = 1; k < count; k++) {
        FILE *file = fopen(names[k], "rb");
        if (file == NULL) {
            return 2;
        }
        (void)LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
        (void)fclose(file);
    }
    printf("%d samples\n", count - 1);
    return 0;
}
#endif
