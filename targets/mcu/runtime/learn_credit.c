/* What a reward says of each neuron: the horizon g of the readout, and the error h of a layer. */
#include "edge_anp_learn_table.h"

/* g[T-1] = 256, g[t] = min(256 + (g[t+1] k >> 12), 65535): k < 2^13, so that products fit in 32 bits without a sign. */
void ea_horizon(const ea_learner *l, const ea_learn_table *t, uint8_t *block)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const ea_layer *last = ea_layers(net) + (net->layers - 1u);
    const uint32_t keep = (uint32_t) * (const int16_t *)(const void *)((const uint8_t *)net + last->leak.keep);
    const uint32_t direct = (net->decode == EA_MEMBRANE_LAST) ? 0u : 256u;
    uint16_t *g = (uint16_t *)(void *)&block[t->g];
    uint32_t at = ((const ea_learn_head *)(void *)block)->t, now = 256;
    while (at-- != 0u) {
        g[at] = (uint16_t)now;
        now = direct + ((now * keep) >> 12);
        now = (now > 65535u) ? 65535u : now;
    }
}

/* h: the error of each neuron of a layer. */
void ea_credit(const ea_learner *l, const ea_learn_table *t, uint8_t *block, const ea_learn_credit *c)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const uint32_t classes = (ea_layers(net) + (net->layers - 1u))->size;
    const int16_t *e = ea_shorts(block, t->e);
    int16_t *h = ea_shorts(block, c->h);
    const uint8_t *row = (c->kind == EA_CREDIT_LEARNED) ? &block[c->rows] : (c->kind == EA_CREDIT_MODEL) ? (const uint8_t *)net + c->rows : (const uint8_t *)t + c->rows;
    uint32_t i, k;
    for (i = 0; i < c->size; i++) {
        int32_t sum = 0;
        if (c->kind == EA_CREDIT_ERROR) {
            h[i] = (int16_t)(8 * e[i]);
            continue;
        }
        for (k = 0; k < classes; k++) {
            sum += e[k] * ((int32_t)row[k] - 128);
        }
        h[i] = (int16_t)(sum >> 3);
        row += c->stride;
    }
}
