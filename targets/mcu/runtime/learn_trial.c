/* One trial: the network's steps on the weights that learn, and what is kept of them until the reward comes. */
#include "edge_anp_learn_table.h"

int32_t ea_learn_open(const ea_learner *learner, const void *block, const ea_learn_table **table)
{
    if (learner == NULL || learner->table == NULL || learner->model == NULL || block == NULL) {
        return EA_NULL;
    }
    if (((uintptr_t)block & 3u) != 0u) {
        return EA_UNALIGNED;
    }
    *table = (const ea_learn_table *)learner->table;
    return (((const ea_learn_head *)block)->ready == ((*table)->crc ^ EA_LEARN_MAGIC)) ? EA_OK : EA_NOT_READY;
}

int32_t ea_learn_begin(const ea_learner *learner, void *block, uint32_t *trial)
{
    const ea_learn_table *t;
    ea_learn_head *head = (ea_learn_head *)block;
    const int32_t error = ea_learn_open(learner, block, &t);
    if (error != EA_OK) {
        return error;
    }
    if (head->phase == EA_COMMITTING) {
        return EA_ORDER;
    }
    head->trial++;
    head->mirrored = 0;
    head->phase = EA_RUNNING;
    head->t = 0;
    head->given = 0;
    if (trial != NULL) {
        *trial = head->trial;
    }
    return ea_reset(learner->model, (uint8_t *)block + t->state);
}

int32_t ea_learn_begin_mirrored(const ea_learner *learner, void *block)
{
    const ea_learn_table *t;
    ea_learn_head *head = (ea_learn_head *)block;
    const int32_t error = ea_learn_open(learner, block, &t);
    if (error != EA_OK) {
        return error;
    }
    if (head->phase != EA_REWARDED || head->mirrored != 0u) {
        return EA_ORDER;
    }
    head->mirrored = 1;
    head->phase = EA_RUNNING;
    head->t = 0;
    head->given = 0;
    return ea_reset(learner->model, (uint8_t *)block + t->state);
}

/* Where the weights of a connection lie that learns; null for one that does not. */
static const uint8_t *learned(const ea_learn_table *t, const uint8_t *block, uint32_t layer, uint32_t connection)
{
    const ea_learn_synapse *s = ea_synapses(t);
    uint32_t k;
    for (k = 0; k < t->synapses; k++) {
        if (s[k].layer == layer && s[k].connection == connection) {
            return &block[s[k].high];
        }
    }
    return NULL;
}

/* As ea_connect, with a matrix of the block: sums of their own where they must be whole before they are shifted. */
static void learn_connect(const ea_model *m, uint8_t *state, const ea_connection *c, const ea_source *x, const void *weights, int32_t *drive, uint32_t size)
{
    const ea_map *map = (const ea_map *)(const void *)((const uint8_t *)m->table + c->first);
    ea_target target;
    uint32_t n;
    target.out = drive;
    target.shift = c->shift;
    if (map->out != 0u) {
        target.out = ea_sums(state, map->out);
        target.shift = 0;
        ea_fill(target.out, NULL, size);
    }
    m->kernels->synapse[EA_DENSE](map, weights, x, target);
    if (map->out != 0u) {
        for (n = 0; n < size; n++) {
            drive[n] = ea_add(drive[n], ea_shift(target.out[n], c->shift));
        }
    }
}

/* A layer's step as ea_advance does it, on the weights of the block. */
static void learn_layer(const ea_learner *l, const ea_learn_table *t, uint8_t *block, uint32_t index, const ea_source *input)
{
    const ea_model *m = l->model;
    const uint8_t *table = (const uint8_t *)m->table;
    const ea_table *net = (const ea_table *)m->table;
    const ea_layer *layer = ea_layers(net) + index;
    const ea_connection *c = (const ea_connection *)(const void *)&table[layer->first];
    uint8_t *state = &block[t->state];
    int32_t *drive = ea_sums(state, net->drive);
    uint32_t k;
    ea_fill(drive, (layer->bias != 0u) ? (const int32_t *)(const void *)&table[layer->bias] : NULL, layer->size);
    for (k = 0; k < layer->connections; k++) {
        const uint8_t *weights = learned(t, block, index, k);
        ea_source source;
        ea_source_of(net, state, &c[k], input, &source);
        if (source.form->active(&source) == 0u) {
            continue;
        }
        if (weights == NULL) {
            ea_connect(m, state, &c[k], &source, drive);
        } else {
            learn_connect(m, state, &c[k], &source, weights, drive, layer->size);
        }
    }
    if (t->rule == 1u && ((const ea_learn_head *)(const void *)block)->mirrored != EA_UNMOVED) {
        ea_perturb(t, (const ea_learn_head *)(void *)block, index, layer->size, drive);
    }
    if (layer->neuron == EA_SUBTRACT && layer->leak.each == 0u && m->kernels->lif != NULL) {
        (void)m->kernels->lif(layer, table, state, drive);
    } else {
        (void)m->kernels->neuron(layer, table, state, drive);
    }
}

/* psi = -th/4 <= v - th < th/4, th/4 rounded down. */
static void keep_psi(const ea_layer *layer, const uint8_t *table, const uint8_t *state, uint32_t *psi)
{
    const int16_t *v = (const int16_t *)(const void *)&state[layer->v] + layer->size;
    const int16_t *vth = (const int16_t *)(const void *)&table[layer->vth] + layer->size;
    uint32_t n = layer->size, word = 0;
    while (n-- != 0u) {
        const int32_t limit = *--vth;
        const uint32_t box = (uint32_t)limit >> 2;
        word = (word << 1) | (((uint32_t)(*--v - limit) + box < 2u * box) ? 1u : 0u);
        if ((n & 31u) == 0u) {
            psi[n / 32u] = word;
            word = 0;
        }
    }
}

static void keep(const ea_learner *l, const ea_learn_table *t, uint8_t *block)
{
    const uint8_t *table = (const uint8_t *)l->model->table;
    const ea_learn_shown *shown = (const ea_learn_shown *)(const void *)((const uint8_t *)t + t->first_shown);
    const uint32_t at = ((const ea_learn_head *)(void *)block)->t;
    uint32_t k, w;
    for (k = 0; k < t->shown; k++) {
        const ea_layer *layer = ea_layers((const ea_table *)(const void *)table) + shown[k].layer;
        const uint32_t words = (layer->size + 31u) / 32u;
        if (shown[k].spikes != 0u) {
            const uint32_t *spikes = ea_words(block, t->state + layer->spikes);
            uint32_t *to = ea_words(block, shown[k].spikes) + at * words;
            for (w = 0; w < words; w++) {
                to[w] = spikes[w];
            }
        }
        if (shown[k].psi != 0u) {
            keep_psi(layer, table, &block[t->state], ea_words(block, shown[k].psi) + at * words);
        }
    }
}

/* The input of this step, as it will be needed: bits, or numbers. */
static void keep_input(const ea_learn_table *t, uint8_t *block, ea_source *input)
{
    uint8_t *to = &block[t->input + ((const ea_learn_head *)(void *)block)->t * t->input_bytes];
    uint32_t *words = (uint32_t *)(void *)to;
    ea_events events;
    uint32_t n, k;
    for (k = 0; k < t->input_bytes / 4u; k++) {
        words[k] = 0;
    }
    events.next = 0;
    events.left = 0;
    while ((n = input->form->gather(input, 1, &events)) != 0u) {
        for (k = 0; k < n; k++) {
            const uint32_t i = events.at[k];
            if (t->binary != 0u) {
                words[i / 32u] |= 1u << (i & 31u);
            } else {
                to[i] = (input->form->numbers != 0u) ? (uint8_t)events.values[k] : 1u;
            }
        }
    }
}

static int32_t learn_advance(const ea_learner *l, const ea_learn_table *t, uint8_t *block, ea_source *input)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const ea_layer *layers = ea_layers(net);
    uint8_t *state = &block[t->state];
    ea_head *head = (ea_head *)(void *)state;
    uint32_t k;
    input->size = net->inputs;
    if (t->input != 0u) {
        keep_input(t, block, input);
    }
    if (net->slots != 0u) {
        l->model->kernels->remember(net, state, input);
    }
    for (k = 0; k < net->layers; k++) {
        ea_age(ea_words(state, layers[k].spikes), (layers[k].size + 31u) / 32u, layers[k].slots);
    }
    for (k = 0; k < net->layers; k++) {
        learn_layer(l, t, block, k, input);
    }
    if (l->model->kernels->score != NULL && head->steps < EA_COUNTED) {
        head->steps++;
        l->model->kernels->score(net, state, &layers[net->layers - 1u]);
    }
    keep(l, t, block);
    ((ea_learn_head *)(void *)block)->t++;
    return EA_OK;
}

static int32_t running(const ea_learner *l, const void *block, const void *input, const ea_learn_table **t)
{
    const int32_t error = ea_learn_open(l, block, t);
    const ea_learn_head *head = (const ea_learn_head *)block;
    if (error != EA_OK || input == NULL) {
        return (error != EA_OK) ? error : EA_NULL;
    }
    return (head->phase == EA_RUNNING && head->t < (*t)->steps) ? EA_OK : EA_ORDER;
}

int32_t ea_learn_step_bits(const ea_learner *learner, void *block, const uint32_t *bits)
{
    const ea_learn_table *t;
    const int32_t error = running(learner, block, bits, &t);
    ea_source input;
    if (error != EA_OK) {
        return error;
    }
    if (((uintptr_t)bits & 3u) != 0u) {
        return EA_UNALIGNED;
    }
    input.form = &ea_bits;
    input.at = bits;
    input.count = 0;
    return learn_advance(learner, t, (uint8_t *)block, &input);
}

int32_t ea_learn_step_events(const ea_learner *learner, void *block, const uint16_t *events, uint32_t count)
{
    const ea_learn_table *t;
    const int32_t error = running(learner, block, events, &t);
    ea_source input;
    uint32_t i;
    if (error != EA_OK) {
        return error;
    }
    for (i = 0; i < count; i++) {
        if (events[i] >= ((const ea_table *)learner->model->table)->inputs || (i > 0u && events[i] <= events[i - 1u])) {
            return EA_BAD_INPUT;
        }
    }
    input.form = &ea_list;
    input.at = events;
    input.count = count;
    return learn_advance(learner, t, (uint8_t *)block, &input);
}

int32_t ea_learn_step_bytes(const ea_learner *learner, void *block, const int8_t *numbers)
{
    const ea_learn_table *t;
    const int32_t error = running(learner, block, numbers, &t);
    ea_source input;
    uint32_t i;
    if (error != EA_OK) {
        return error;
    }
    for (i = 0; i < ((const ea_table *)learner->model->table)->inputs; i++) {
        if (numbers[i] == -128 || (t->binary != 0u && (numbers[i] & ~1) != 0)) {
            return EA_BAD_INPUT;
        }
    }
    input.form = &ea_bytes;
    input.at = numbers;
    input.count = 0;
    return learn_advance(learner, t, (uint8_t *)block, &input);
}
