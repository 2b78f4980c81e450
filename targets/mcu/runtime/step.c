/* A time step: for each layer, the events of its connections into its drive, then its neurons. */
#include "edge_anp_table.h"

/* What a connection reads in this step. */
EA_INLINE void source_of(const ea_table *t, uint8_t *state, const ea_connection *c, const ea_source *input, ea_source *source)
{
    source->form = input->form;
    source->at = input->at;
    source->size = input->size;
    source->count = input->count;
    if (c->source != EA_INPUT) {
        const ea_layer *from = (const ea_layer *)(const void *)((const uint8_t *)t + t->first) + c->source;
        source->form = &ea_bits;
        source->at = ea_words(state, from->spikes) + c->delay * ((from->size + 31u) / 32u);
        source->size = from->size;
    } else if (t->slots != 0u) {
        source->at = &state[t->history + c->delay * ((t->inputs + 3u) / 4u * 4u)];
    } else {
        /* the caller's own memory */
    }
}

/* drive = bias. The drive has room for whole blocks, so four at a time do not leave it. */
void ea_fill(int32_t *drive, const int32_t *bias, uint32_t size)
{
    uint32_t n;
    if (bias != NULL) {
        for (n = 0; n < size; n++) {
            drive[n] = bias[n];
        }
        return;
    }
    for (n = 0; n < size; n += 4u) {
        drive[n] = 0;
        drive[n + 1u] = 0;
        drive[n + 2u] = 0;
        drive[n + 3u] = 0;
    }
}

/* drive += shift(w x, F). */
EA_INLINE void connect(const ea_model *m, uint8_t *state, const ea_connection *c, ea_source *x, int32_t *drive)
{
    const uint8_t *table = (const uint8_t *)m->table;
    const ea_map *map = (const ea_map *)(const void *)&table[c->first];
    if (c->maps == 1u && map->out == 0u) {
        const ea_target target = {drive, c->shift};
        m->kernels->synapse[map->kind](map, &table[map->weights], x, target);
    } else {
        m->kernels->path(m, state, c, x, drive);
    }
}

/* The same two for the learner, which steps layers with weights of its own. */
void ea_source_of(const ea_table *t, uint8_t *state, const ea_connection *c, const ea_source *input, ea_source *source)
{
    source_of(t, state, c, input, source);
}

void ea_connect(const ea_model *m, uint8_t *state, const ea_connection *c, ea_source *x, int32_t *drive)
{
    connect(m, state, c, x, drive);
}

/* A connection whose source is silent adds shift(0) = 0. A layer at rest without events stays exactly as it is: its step is a
 * function of its state and its drive, and with this very drive it changed nothing before.
 */
static void step_layer(const ea_model *m, uint8_t *state, const ea_layer *layer, const ea_source *input)
{
    const uint8_t *table = (const uint8_t *)m->table;
    const ea_table *t = (const ea_table *)m->table;
    const ea_connection *c = (const ea_connection *)(const void *)&table[layer->first];
    const int32_t *bias = (layer->bias != 0u) ? (const int32_t *)(const void *)&table[layer->bias] : NULL;
    int32_t *drive = ea_sums(state, t->drive);
    uint32_t *rest = ea_words(state, layer->rest);
    uint32_t k, changed, busy = 0;
    for (k = 0; k < layer->connections; k++) {
        ea_source source;
        source_of(t, state, &c[k], input, &source);
        if (source.form->active(&source) == 0u) {
            continue;
        }
        if (busy == 0u) {
            busy = 1;
            ea_fill(drive, bias, layer->size);
        }
        connect(m, state, &c[k], &source, drive);
    }
    if (busy == 0u) {
        if (*rest == 1u) {
            return;
        }
        ea_fill(drive, bias, layer->size);
    }
    if (layer->neuron == EA_SUBTRACT && layer->leak.each == 0u && m->kernels->lif != NULL) {
        changed = m->kernels->lif(layer, table, state, drive);
    } else {
        changed = m->kernels->neuron(layer, table, state, drive);
    }
    *rest = (busy == 0u && changed == 0u) ? 1u : 0u;
}

void ea_advance(const ea_model *m, uint8_t *state, const ea_source *input)
{
    const ea_table *t = (const ea_table *)m->table;
    const ea_layer *layer = (const ea_layer *)(const void *)((const uint8_t *)m->table + t->first);
    ea_head *head = (ea_head *)(void *)state;
    uint32_t k;
    for (k = 0; k < t->layers; k++) {
        ea_age(ea_words(state, layer[k].spikes), (layer[k].size + 31u) / 32u, layer[k].slots);
    }
    for (k = 0; k < t->layers; k++) {
        step_layer(m, state, &layer[k], input);
    }
    if (m->kernels->score != NULL && head->steps < EA_COUNTED) {
        head->steps++;
        m->kernels->score(t, state, &layer[t->layers - 1u]);
    }
}
