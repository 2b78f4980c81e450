/* What a network says and shows: its answer, its layers' spikes and states, and the test that it gives the golden ones. */
#include "edge_anp_table.h"

const ea_kernels ea_all_kernels = {{ea_dense, ea_diagonal, ea_conv}, ea_pool, ea_lif, ea_neuron, ea_check_windows, ea_remember,
                                   ea_path, ea_score};

static const ea_layer *layer_of(const ea_model *model, uint32_t layer)
{
    const ea_table *t;
    if (model == NULL || model->table == NULL) {
        return NULL;
    }
    t = (const ea_table *)model->table;
    return (layer < t->layers) ? (const ea_layer *)(const void *)((const uint8_t *)t + t->first) + layer : NULL;
}

static const void *shown(const ea_model *model, const void *state, uint32_t layer, uint32_t place)
{
    const ea_table *t;
    return (ea_open(model, state, &t) == EA_OK && layer_of(model, layer) != NULL) ? (const uint8_t *)state + place : NULL;
}

int32_t ea_layer_size(const ea_model *model, uint32_t layer)
{
    const ea_layer *l = layer_of(model, layer);
    return (l == NULL) ? EA_NO_LAYER : (int32_t)l->size;
}

const uint32_t *ea_spikes(const ea_model *model, const void *state, uint32_t layer)
{
    const ea_layer *l = layer_of(model, layer);
    return (l == NULL) ? NULL : (const uint32_t *)shown(model, state, layer, l->spikes);
}

const int16_t *ea_membrane(const ea_model *model, const void *state, uint32_t layer)
{
    const ea_layer *l = layer_of(model, layer);
    return (l == NULL) ? NULL : (const int16_t *)shown(model, state, layer, l->v);
}

const int16_t *ea_current(const ea_model *model, const void *state, uint32_t layer)
{
    const ea_layer *l = layer_of(model, layer);
    return (l == NULL || (l->neuron & EA_CURRENT) == 0u) ? NULL : (const int16_t *)shown(model, state, layer, l->u);
}

int32_t ea_answer(const ea_model *model, const void *state)
{
    const ea_table *t;
    const int32_t error = ea_open(model, state, &t);
    int32_t best = 0, largest = INT32_MIN;
    uint32_t n;
    if (error != EA_OK) {
        return error;
    }
    {
        const ea_layer *last = layer_of(model, t->layers - 1u);
        const int16_t *v = (const int16_t *)(const void *)((const uint8_t *)state + last->v);
        const int32_t *scores = (const int32_t *)(const void *)((const uint8_t *)state + t->scores);
        for (n = 0; n < last->size; n++) {
            const int32_t found = (t->decode == EA_MEMBRANE_LAST) ? v[n] : scores[n];
            if (n == 0u || found > largest) {
                largest = found;
                best = (int32_t)n;
            }
        }
    }
    return best;
}

/* CRC of one step: for each layer the words of its bitmap, its membranes, and its currents if it has them. */
static uint32_t crc_of_step(const ea_model *model, const uint8_t *state, uint32_t crc)
{
    const ea_table *t = (const ea_table *)model->table;
    uint32_t k;
    for (k = 0; k < t->layers; k++) {
        const ea_layer *l = layer_of(model, k);
        crc = ea_crc(crc, &state[l->spikes], (l->size + 31u) / 32u * 4u);
        crc = ea_crc(crc, &state[l->v], l->size * 2u);
        if ((l->neuron & EA_CURRENT) != 0u) {
            crc = ea_crc(crc, &state[l->u], l->size * 2u);
        }
    }
    return crc;
}

int32_t ea_selftest(const ea_model *model, void *state, const ea_golden *golden, uint32_t *crc)
{
    const ea_table *t;
    uint32_t found = 0, k;
    int32_t error = ea_reset(model, state);
    if (error != EA_OK || golden == NULL || golden->numbers == NULL) {
        return (error != EA_OK) ? error : EA_NULL;
    }
    t = (const ea_table *)model->table;
    for (k = 0; k < golden->steps && error == EA_OK; k++) {
        error = ea_step_bytes(model, state, &golden->numbers[k * t->inputs]);
        found = crc_of_step(model, (const uint8_t *)state, found);
    }
    if (crc != NULL) {
        *crc = found;
    }
    (void)ea_reset(model, state);
    return (error == EA_OK && found != golden->crc) ? EA_DIFFERS : error;
}
