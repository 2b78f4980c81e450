/* The weights that learn: as they were shipped, and their checksum; and the proof that a learner's table fits its network. */
#include "edge_anp_learn_table.h"

#define EA_LEARN_LARGEST 0x1000000u

/* Every matrix from the network's table into its planes; the fraction of a shipped weight is a half. */
void ea_learn_ship(const ea_learner *learner, uint8_t *block)
{
    const ea_learn_table *t = (const ea_learn_table *)learner->table;
    const ea_table *net = (const ea_table *)learner->model->table;
    const uint8_t *table = (const uint8_t *)net;
    const ea_learn_synapse *s = ea_synapses(t);
    uint32_t k, i;
    for (k = 0; k < t->synapses; k++) {
        const ea_connection *c = (const ea_connection *)(const void *)&table[(ea_layers(net) + s[k].layer)->first] + s[k].connection;
        const ea_map *map = (const ea_map *)(const void *)&table[c->first];
        for (i = 0; i < s[k].inputs * s[k].stride; i++) {
            block[s[k].high + i] = table[map->weights + i];
        }
        for (i = 0; s[k].low != 0u && i < s[k].inputs * s[k].outputs; i++) {
            block[s[k].low + i] = 128;
        }
    }
}

static uint32_t fits(const ea_learn_table *t, uint32_t place, uint32_t count, uint32_t size)
{
    return (place >= sizeof(ea_learn_head) && place % ((size == 1u) ? 1u : size) == 0u && count <= EA_LEARN_LARGEST && size <= 4096u &&
            place <= t->block && (count == 0u || size <= (t->block - place) / count)) ? 1u : 0u;
}

static uint32_t holds(const ea_learn_table *t, uint32_t place, uint32_t count, uint32_t size)
{
    return (place >= sizeof(ea_learn_table) && place % 4u == 0u && place <= t->bytes && count <= (t->bytes - place) / size) ? 1u : 0u;
}

static uint32_t good_synapse(const ea_learn_table *t, const ea_table *net, const ea_learn_synapse *s)
{
    const ea_layer *layer;
    const ea_connection *c;
    const ea_map *map;
    uint32_t words;
    if (s->layer >= net->layers) {
        return 0;
    }
    layer = ea_layers(net) + s->layer;
    if (s->connection >= layer->connections) {
        return 0;
    }
    c = (const ea_connection *)(const void *)((const uint8_t *)net + layer->first) + s->connection;
    map = (const ea_map *)(const void *)((const uint8_t *)net + c->first);
    words = (s->outputs + 31u) / 32u;
    if (c->maps != 1u || map->kind != EA_DENSE || map->in[0] != s->inputs || map->out_shape[0] != s->outputs || s->delay != c->delay ||
        s->stride != (s->outputs + 3u) / 4u * 4u || s->rate == 0u || s->rate > 19u || s->gain < -8 || s->gain > 4 || s->limit < 1 ||
        s->limit > 32767 || layer->leak.each != 0u) {
        return 0;
    }
    if (fits(t, s->high, s->inputs * s->stride + EA_BLOCK, 1) == 0u || (s->low != 0u && fits(t, s->low, s->inputs * s->outputs, 1) == 0u) ||
        (s->low == 0u) != (t->bits == 8u) || (s->trace != 0u && fits(t, s->trace, s->inputs, 2) == 0u) ||
        s->past_bytes < ((s->numbers != 0u) ? s->inputs : (s->inputs + 31u) / 32u * 4u) || s->past % 4u != 0u || s->past_bytes % 4u != 0u ||
        s->past_bytes > 65536u || fits(t, s->past, t->steps * s->past_bytes, 1) == 0u) {
        return 0;
    }
    return (s->trace == 0u || t->rule == 1u || (fits(t, s->psi, t->steps * words, 4) != 0u && fits(t, s->h, s->outputs, 2) != 0u)) ? 1u : 0u;
}

static uint32_t good_credit(const ea_learn_table *t, const ea_table *net, const ea_learn_credit *c)
{
    const uint32_t last = (ea_layers(net) + (net->layers - 1u))->size;
    uint32_t room = t->block;
    if (c->layer >= net->layers || c->size != (ea_layers(net) + c->layer)->size || fits(t, c->h, c->size, 2) == 0u || c->kind > EA_CREDIT_SHIPPED) {
        return 0;
    }
    if (c->kind == EA_CREDIT_ERROR) {
        return (c->size == last) ? 1u : 0u;
    }
    room = (c->kind == EA_CREDIT_MODEL) ? net->bytes : (c->kind == EA_CREDIT_SHIPPED) ? t->bytes : room;
    return (c->stride >= last && c->stride <= 256u && c->rows <= room && c->size <= (room - c->rows) / c->stride) ? 1u : 0u;
}

static uint32_t good_shown(const ea_learn_table *t, const ea_table *net, const ea_learn_shown *s)
{
    uint32_t words;
    if (s->layer >= net->layers) {
        return 0;
    }
    words = ((ea_layers(net) + s->layer)->size + 31u) / 32u;
    return ((s->spikes == 0u || fits(t, s->spikes, t->steps * words, 4) != 0u) &&
            (s->psi == 0u || ((ea_layers(net) + s->layer)->neuron & EA_READOUT) == 0u) && (s->psi == 0u || fits(t, s->psi, t->steps * words, 4) != 0u)) ? 1u : 0u;
}

static int32_t check(const ea_learner *learner, const ea_learn_table *t)
{
    const ea_table *net = (const ea_table *)learner->model->table;
    const ea_learn_credit *c = (const ea_learn_credit *)(const void *)((const uint8_t *)t + t->first_credit);
    const ea_learn_shown *shown = (const ea_learn_shown *)(const void *)((const uint8_t *)t + t->first_shown);
    uint32_t k, classes;
    if (t->version != 1u || ea_crc(0, &t->model, t->bytes - 16u) != t->crc || t->model != net->crc ||
        holds(t, t->first_synapse, t->synapses, sizeof(ea_learn_synapse)) == 0u || holds(t, t->first_credit, t->credits, sizeof(ea_learn_credit)) == 0u ||
        holds(t, t->first_shown, t->shown, sizeof(ea_learn_shown)) == 0u || t->synapses == 0u || t->steps == 0u || t->steps > 2048u) {
        return EA_BAD_TABLE;
    }
    classes = (ea_layers(net) + (net->layers - 1u))->size;
    if ((t->bits != 8u && t->bits != 16u) || t->rule > 1u || t->every > 5u || t->temperature < -20 || t->temperature > 30 || t->horizon > 16u ||
        t->budget > 1u << 28 || t->guesses == 0u || t->guesses > EA_GUESSES || t->window == 0u || t->window > 12u || classes > EA_CLASSES ||
        t->narrowing > 8u || t->sigma > 16384u || fits(t, t->state, net->state_bytes / 4u, 4) == 0u || fits(t, t->v, classes, 2) == 0u || fits(t, t->e, classes, 2) == 0u ||
        fits(t, t->g, t->steps, 2) == 0u || t->input_bytes % 4u != 0u || t->input_bytes > 65536u || t->weights % 4u != 0u || t->weights > t->block ||
        t->weight_bytes > t->block - t->weights ||
        (t->input != 0u && (fits(t, t->input, t->steps * t->input_bytes / 4u, 4) == 0u || t->input_bytes < ((t->binary != 0u) ? (net->inputs + 31u) / 32u * 4u : net->inputs)))) {
        return EA_BAD_TABLE;
    }
    for (k = 0; k < t->synapses; k++) {
        if (good_synapse(t, net, ea_synapses(t) + k) == 0u) {
            return EA_BAD_TABLE;
        }
    }
    for (k = 0; k < t->credits; k++) {
        if (good_credit(t, net, &c[k]) == 0u) {
            return EA_BAD_TABLE;
        }
    }
    for (k = 0; k < t->shown; k++) {
        if (good_shown(t, net, &shown[k]) == 0u) {
            return EA_BAD_TABLE;
        }
    }
    return EA_OK;
}

static int32_t head_of(const ea_learner *learner, const ea_learn_table **table)
{
    const ea_learn_table *t;
    if (learner == NULL || learner->table == NULL || learner->model == NULL || learner->model->table == NULL) {
        return EA_NULL;
    }
    if (((uintptr_t)learner->table & 3u) != 0u) {
        return EA_UNALIGNED;
    }
    t = (const ea_learn_table *)learner->table;
    *table = t;
    return (learner->bytes < sizeof(ea_learn_table) || t->magic != EA_LEARN_MAGIC || t->bytes != learner->bytes || t->bytes >= EA_LEARN_LARGEST ||
            t->block >= EA_LEARN_LARGEST || t->block < sizeof(ea_learn_head)) ? EA_BAD_TABLE : EA_OK;
}

int32_t ea_learn_size(const ea_learner *learner)
{
    const ea_learn_table *t;
    const int32_t error = head_of(learner, &t);
    return (error != EA_OK) ? error : (int32_t)t->block;
}

int32_t ea_learn_init(const ea_learner *learner, void *block, uint32_t bytes, uint32_t seed)
{
    const ea_learn_table *t;
    int32_t error = head_of(learner, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t k;
    if (error == EA_OK && block == NULL) {
        error = EA_NULL;
    }
    if (error == EA_OK && ((uintptr_t)block & 3u) != 0u) {
        error = EA_UNALIGNED;
    }
    if (error == EA_OK && bytes < t->block) {
        error = EA_TOO_SMALL;
    }
    if (error == EA_OK && t->state >= t->block) {
        error = EA_BAD_TABLE;
    }
    if (error == EA_OK) {
        error = ea_init(learner->model, (uint8_t *)block + t->state, t->block - t->state);
    }
    if (error == EA_OK) {
        error = check(learner, t);
    }
    if (error != EA_OK) {
        return error;
    }
    for (k = 0; k < sizeof(ea_learn_head) / 4u; k++) {
        ((uint32_t *)block)[k] = 0;
    }
    ea_learn_ship(learner, (uint8_t *)block);
    head->seed = seed;
    head->ready = t->crc ^ EA_LEARN_MAGIC;
    return EA_OK;
}

uint32_t ea_learn_crc(const ea_learner *learner, const void *block)
{
    const ea_learn_table *t;
    const uint8_t *b = (const uint8_t *)block;
    uint32_t crc = 0, k, j, n;
    if (ea_learn_open(learner, block, &t) != EA_OK) {
        return 0;
    }
    for (k = 0; k < t->synapses; k++) {
        const ea_learn_synapse *s = ea_synapses(t) + k;
        for (j = 0; j < s->inputs; j++) {
            for (n = 0; n < s->outputs; n++) {
                uint8_t bytes[2];
                bytes[0] = (s->low != 0u) ? b[s->low + j * s->outputs + n] : 0u;
                bytes[1] = b[s->high + j * s->stride + n] ^ 128u;
                crc = (s->low != 0u) ? ea_crc(crc, bytes, 2) : ea_crc(crc, &bytes[1], 1);
            }
        }
    }
    return crc;
}
