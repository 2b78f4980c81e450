/* One step of a layer's neurons, from its drive; what a step means is edge_anp/reference.py.
 *
 *     leak(v) = floor((v keep + 2^11) / 2^12)     |v| <= 2^15 and keep <= 2^12: below 2^28
 *     drive                                       below 2^24, as the compiler proved; a sum with leak(v) below 2^25
 *
 * A leak keep / 2^8 is 16 keep / 2^12: the same function. Both kernels return 0 if no state changed.
 */
#include "edge_anp_table.h"

#if defined(__ARM_FEATURE_MVE) && !defined(EA_PORTABLE)
#include <arm_mve.h>
#endif

#define LEAK_BITS 12

static inline int32_t fit(int32_t x)
{
#if defined(__ARM_FEATURE_SAT) && !defined(EA_PORTABLE)
    __asm__("ssat %0, #16, %0" : "+r"(x));
    return x;
#else
    const int32_t low = (int16_t)x;
    return (low == x) ? x : ((x >> 31) ^ 32767);
#endif
}

static inline int32_t leaked(int32_t v, int32_t keep)
{
    return ((v * keep) + (1 << (LEAK_BITS - 1))) >> LEAK_BITS;
}

/* The plain case: v = fit(leak(v) + drive - (v > vth) vth), one leak for all, spikes where v > vth. */
#if defined(__ARM_FEATURE_MVE) && !defined(EA_PORTABLE)

/* M55: four neurons at a time. A predicate has four bits a neuron; one of each goes into the bitmap. */
uint32_t ea_lif(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive)
{
    const int32_t keep = *(const int16_t *)(const void *)&table[layer->leak.keep];
    const int16_t *vth = (const int16_t *)(const void *)&table[layer->vth];
    int16_t *v = (int16_t *)(void *)&state[layer->v];
    uint32_t *spikes = ea_words(state, layer->spikes);
    const int32x4_t low = vdupq_n_s32(-32768), high = vdupq_n_s32(32767);
    int32x4_t changed = vdupq_n_s32(0);
    uint32_t left = layer->size, word = 0, at = 0;
    while (left != 0u) {
        const mve_pred16_t some = vctp32q(left);
        const int32x4_t old = vldrhq_z_s32(v, some), limit = vldrhq_z_s32(vth, some);
        int32x4_t x = vaddq_s32(vrshrq_n_s32(vmulq_n_s32(old, keep), LEAK_BITS), vld1q_s32(drive));
        uint32_t fired;
        x = vsubq_m_s32(x, x, limit, vcmpgtq_s32(old, limit));
        x = vmaxq_s32(vminq_s32(x, high), low);
        changed = vorrq_m_s32(changed, changed, veorq_s32(x, old), some);
        vstrhq_p_s32(v, x, some);
        fired = (uint32_t)vcmpgtq_m_s32(x, limit, some) & 0x1111u;
        word |= ((fired | (fired >> 3) | (fired >> 6) | (fired >> 9)) & 15u) << at;
        at += 4u;
        left = (left > 4u) ? left - 4u : 0u;
        if (at == 32u || left == 0u) {
            *spikes++ = word;
            word = 0;
            at = 0;
        }
        v += 4;
        vth += 4;
        drive += 4;
    }
    return (uint32_t)vcmpneq_n_s32(changed, 0);
}

#else

/* From the last neuron to the first, so that a word of the bitmap grows by one shift a neuron: limit - x < 0 is a spike. */
uint32_t ea_lif(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive)
{
    const int32_t keep = *(const int16_t *)(const void *)&table[layer->leak.keep];
    const int16_t *vth = (const int16_t *)(const void *)&table[layer->vth] + layer->size;
    int16_t *const first = (int16_t *)(void *)&state[layer->v];
    int16_t *v = first + layer->size;
    uint32_t *spikes = ea_words(state, layer->spikes) + (layer->size + 31u) / 32u;
    int16_t *stop = first + ((layer->size - 1u) / 32u) * 32u;
    uint32_t changed = 0;
    drive += layer->size;
    for (;;) {
        uint32_t word = 0;
        do {
            const int32_t old = *--v, limit = *--vth;
            int32_t x = ea_add(leaked(old, keep), *--drive);
            if (old > limit) {
                x = ea_add(x, -limit);
            }
            x = fit(x);
            changed |= (uint32_t)(x ^ old);
            *v = (int16_t)x;
            word = (word << 1) | ((uint32_t)(limit - x) >> 31);
        } while (v != stop);
        *--spikes = word;
        if (v == first) {
            return changed;
        }
        stop -= 32;
    }
}

#endif

/* v1 and its reset within the step: with s and r, whether v1 and the old v lie above vth. */
static int32_t reset(int32_t v, int32_t c, int32_t limit, const ea_layer *layer, int32_t keep, int32_t *s)
{
    const uint32_t kind = layer->neuron & EA_RESET;
    const int32_t r = (v > limit) ? 1 : 0;
    int32_t x = ea_add(leaked((r == 1 && kind == EA_ZERO_BY_LEAK) ? 0 : v, keep), c);
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

/* Any neuron: current-based or not, any reset, a readout; leaks of its own. */
uint32_t ea_neuron(const ea_layer *layer, const uint8_t *table, uint8_t *state, const int32_t *drive)
{
    const int16_t *keep = (const int16_t *)(const void *)&table[layer->leak.keep];
    const int16_t *current_keep = (const int16_t *)(const void *)&table[layer->current_leak.keep];
    const int16_t *vth = (const int16_t *)(const void *)&table[layer->vth];
    int16_t *v = (int16_t *)(void *)&state[layer->v];
    int16_t *u = (int16_t *)(void *)&state[layer->u];
    uint32_t *spikes = ea_words(state, layer->spikes);
    uint32_t changed = 0, n;
    for (n = 0; n < layer->size; n++) {
        int32_t c = drive[n], x, s = 0;
        if ((n & 31u) == 0u) {
            spikes[n / 32u] = 0;
        }
        if ((layer->neuron & EA_CURRENT) != 0u) {
            c = fit(ea_add(leaked(u[n], *current_keep), c));
            changed |= (uint32_t)(c ^ u[n]);
            u[n] = (int16_t)c;
            current_keep += layer->current_leak.each;
        }
        if ((layer->neuron & EA_READOUT) != 0u) {
            x = fit(ea_add(leaked(v[n], *keep), c));
        } else {
            x = reset(v[n], c, vth[n], layer, *keep, &s);
        }
        keep += layer->leak.each;
        spikes[n / 32u] |= (uint32_t)s << (n & 31u);
        changed |= (uint32_t)(x ^ v[n]);
        v[n] = (int16_t)x;
    }
    return changed;
}
