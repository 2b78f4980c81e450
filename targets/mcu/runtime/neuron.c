/* One step of a layer's neurons, from its drive; what a step means is edge_anp/reference.py.
 *
 *     leak(v) = floor((v keep + 2^(S-1)) / 2^S)     |v| <= 2^15 and keep <= 2^12: below 2^28
 *     drive                                         below 2^24, as the compiler proved; a sum with leak(v) below 2^25
 *
 * Both functions return 0 if no state changed.
 */
#include "edge_anp_table.h"

static inline int32_t fit(int32_t x)
{
    x = (x > 32767) ? 32767 : x;
    return (x < -32768) ? -32768 : x;
}

static inline int32_t leaked(int32_t v, int32_t keep, uint32_t bits)
{
    return ((v * keep) + (int32_t)(1u << (bits - 1u))) >> bits;
}

/* The plain case: v = fit(leak(v) + drive - (v > vth) vth), one leak for all, spikes where v > vth. */
uint32_t ea_lif(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive)
{
    const int32_t keep = *(const int16_t *)(const void *)&table[layer->leak.keep];
    const int16_t *vth = (const int16_t *)(const void *)&table[layer->vth];
    const uint32_t each = layer->vth_each, bits = layer->leak.bits;
    int16_t *v = (int16_t *)(void *)&state[layer->v];
    int16_t *const end = v + layer->size;
    uint32_t *spikes = (uint32_t *)(void *)&state[layer->spikes];
    uint32_t changed = 0;
    do {
        uint32_t word = 0, bit = 1;
        do {
            const int32_t old = *v, limit = *vth;
            int32_t x = ea_add(leaked(old, keep, bits), *drive++);
            if (old > limit) {
                x = ea_add(x, -limit);
            }
            x = fit(x);
            if (x > limit) {
                word |= bit;
            }
            bit <<= 1;
            changed |= (uint32_t)(x ^ old);
            *v++ = (int16_t)x;
            vth += each;
        } while (bit != 0u && v != end);
        *spikes++ = word;
    } while (v != end);
    return changed;
}

/* v1 and its reset within the step: with s and r, whether v1 and the old v lie above vth. */
static int32_t reset(int32_t v, int32_t c, int32_t limit, const ea_layer *layer, int32_t keep, int32_t *s)
{
    const uint32_t kind = layer->neuron & EA_RESET;
    const int32_t r = (v > limit) ? 1 : 0;
    int32_t x = ea_add(leaked((r == 1 && kind == EA_ZERO_BY_LEAK) ? 0 : v, keep, layer->leak.bits), c);
    if (kind == EA_SUBTRACT) {
        x = ea_add(x, -r * limit);
    }
    x = (r == 1 && kind == EA_ZERO_BY_UPDATE) ? 0 : fit(x);
    *s = (x > limit) ? 1 : 0;
    if ((layer->neuron & EA_IMMEDIATE) != 0u && kind != EA_NONE) {
        x = fit(x - (*s - r) * ((kind == EA_SUBTRACT) ? limit : x));
    }
    return x;
}

/* Any neuron: current-based or not, any reset, a readout; leaks and thresholds of its own. */
uint32_t ea_neuron(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive)
{
    const int16_t *keep = (const int16_t *)(const void *)&table[layer->leak.keep];
    const int16_t *current_keep = (const int16_t *)(const void *)&table[layer->current_leak.keep];
    const int16_t *vth = (const int16_t *)(const void *)&table[layer->vth];
    int16_t *v = (int16_t *)(void *)&state[layer->v];
    int16_t *u = (int16_t *)(void *)&state[layer->u];
    uint32_t *spikes = (uint32_t *)(void *)&state[layer->spikes];
    uint32_t changed = 0, n;
    for (n = 0; n < layer->size; n++) {
        int32_t c = drive[n], x, s = 0;
        if ((n & 31u) == 0u) {
            spikes[n / 32u] = 0;
        }
        if ((layer->neuron & EA_CURRENT) != 0u) {
            c = fit(ea_add(leaked(u[n], *current_keep, layer->current_leak.bits), c));
            changed |= (uint32_t)(c ^ u[n]);
            u[n] = (int16_t)c;
            current_keep += layer->current_leak.each;
        }
        if ((layer->neuron & EA_READOUT) != 0u) {
            x = fit(ea_add(leaked(v[n], *keep, layer->leak.bits), c));
        } else {
            x = reset(v[n], c, *vth, layer, *keep, &s);
            vth += layer->vth_each;
        }
        keep += layer->leak.each;
        spikes[n / 32u] |= (uint32_t)s << (n & 31u);
        changed |= (uint32_t)(x ^ v[n]);
        v[n] = (int16_t)x;
    }
    return changed;
}
