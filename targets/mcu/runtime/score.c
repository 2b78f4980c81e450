/* The score of each neuron of the last layer, step by step, as edge_anp/decode.py has it. At most 65535 steps count. */
#include "edge_anp_table.h"

/* Their number, or, the earlier the more, the first one alone. */
void ea_score_spikes(const ea_table *t, uint8_t *state, const ea_layer *layer)
{
    const int32_t early = (int32_t)(EA_COUNTED + 1u - ((const ea_head *)(void *)state)->steps);
    int32_t *scores = ea_sums(state, t->scores);
    ea_source source;
    ea_events events;
    uint32_t n, k;
    source.at = &state[layer->spikes];
    source.size = layer->size;
    events.next = 0;
    events.left = 0;
    while ((n = ea_bits.gather(&source, 1, &events)) != 0u) {
        for (k = 0; k < n; k++) {
            int32_t *found = &scores[events.at[k]];
            if (t->decode == EA_COUNT) {
                *found = ea_add(*found, 1);
            } else if (*found == 0) {
                *found = early;
            } else {
                /* only the first spike counts */
            }
        }
    }
}

/* |v| 65535 < 2^31. */
void ea_score_membranes(const ea_table *t, uint8_t *state, const ea_layer *layer)
{
    const int16_t *v = (const int16_t *)(const void *)&state[layer->v];
    int32_t *scores = ea_sums(state, t->scores);
    uint32_t n;
    for (n = 0; n < layer->size; n++) {
        scores[n] = ea_add(scores[n], v[n]);
    }
}

/* Whatever the table asks for. */
void ea_score(const ea_table *t, uint8_t *state, const ea_layer *layer)
{
    if (t->decode == EA_MEMBRANE_MEAN) {
        ea_score_membranes(t, state, layer);
    } else if (t->decode != EA_MEMBRANE_LAST) {
        ea_score_spikes(t, state, layer);
    } else {
        /* the membranes are there */
    }
}
