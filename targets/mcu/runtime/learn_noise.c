/* The hash of edge_anp/noise.py, and the perturbation that it makes. */
#include "edge_anp_learn_table.h"

/* One argument more of the hash of edge_anp/noise.py. */
uint32_t ea_stir(uint32_t x, uint32_t a)
{
    static const uint32_t rounds[3] = {0x7F4A7C15u, 0x85EBCA6Bu, 0xC2B2AE35u};
    uint32_t k;
    x += a * 0x9E3779B1u;
    for (k = 0; k < 3u; k++) {
        x *= x + x + 1u;
        x = (x >> 16) + (x << 16) + rounds[k];
    }
    return x;
}

uint32_t ea_noise(const uint32_t *places, uint32_t count)
{
    uint32_t x = 0, k;
    for (k = 0; k < count; k++) {
        x = ea_stir(x, places[k]);
    }
    return x;
}

/* +-1 for neuron n of a layer in step t. */
int32_t ea_xi(const ea_learn_head *head, uint32_t t, uint32_t layer, uint32_t n)
{
    uint32_t places[6];
    places[0] = head->seed;
    places[1] = head->trial;
    places[2] = EA_DRAW_NODE;
    places[3] = t;
    places[4] = layer;
    places[5] = n / 32u;
    return (((ea_noise(places, 6) >> (n & 31u)) & 1u) != 0u) ? 1 : -1;
}

/* drive += sigma xi, or -sigma xi in the mirrored run, where a matrix of the layer learns. */
void ea_perturb(const ea_learn_table *t, const ea_learn_head *head, uint32_t layer, uint32_t size, int32_t *drive)
{
    const ea_learn_synapse *s = ea_synapses(t);
    const int32_t sigma = (head->mirrored != 0u) ? -(int32_t)t->sigma : (int32_t)t->sigma;
    uint32_t k, n;
    for (k = 0; k < t->synapses && s[k].layer != layer; k++) {
    }
    if (k == t->synapses) {
        return;
    }
    for (n = 0; n < size; n++) {
        drive[n] = ea_add(drive[n], sigma * ea_xi(head, head->t, layer, n));
    }
}
