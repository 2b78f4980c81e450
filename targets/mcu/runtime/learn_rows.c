/* Rows of weights, moved: the inner loops of a commit. */
#include "edge_anp_learn_table.h"

#if defined(__GNUC__)
#define EA_APART __attribute__((noinline))
#else
#define EA_APART
#endif

/* k <= 3 once 1 - 2^-k of the budget is spent; it is at most 2^28: 7 budget + 7 < 2^31. */
uint32_t ea_annealing(const ea_learn_table *t, uint32_t trial)
{
    uint32_t k = 0;
    while (t->budget != 0u && k < 3u && trial >= (((2u << k) - 1u) * t->budget + ((2u << k) - 1u)) >> (k + 1u)) {
        k++;
    }
    return k;
}

/* The rest of a change: what of it reaches the upper byte, saturated. */
static inline void carry(uint8_t *high, uint8_t *low, uint32_t n, int32_t more)
{
    int32_t u = (int32_t)high[n] + more;
    if (u < 0 || u > 255) {
        u = (u < 0) ? 0 : 255;
        low[n] = (uint8_t)u;
    }
    high[n] = (uint8_t)u;
}

/* U -= round(x hg / 2^shift) for one neuron, hg in the upper half of `one`, its index in the lower. Few changes reach the upper byte. */
static inline void move_one(uint8_t *high, uint8_t *low, uint32_t one, int32_t x, uint32_t shift, int32_t half)
{
    const uint32_t n = one & 0xFFFFu;
    int32_t u = (int32_t)low[n], d;
#if defined(__ARM_FEATURE_DSP) && !defined(EA_PORTABLE)
    __asm__("smlatb %0, %1, %2, %3" : "=r"(d) : "r"(one), "r"(x), "r"(half));
#else
    d = ((int32_t)one >> 16) * x + half;
#endif
    u -= d >> shift;
    low[n] = (uint8_t)u;
    u >>= 8;
    if (u != 0) {
        carry(high, low, n, u);
    }
}

/* One row of masters of 16 bits. */
static EA_APART void move_row(uint8_t *high, uint8_t *low, const uint32_t *list, const uint32_t *end, int32_t x, uint32_t shift)
{
    const int32_t half = (1 << shift) >> 1;
    if ((((uintptr_t)end - (uintptr_t)list) & 4u) != 0u) {
        move_one(high, low, *list++, x, shift, half);
    }
    while (list != end) {
        move_one(high, low, list[0], x, shift, half);
        move_one(high, low, list[1], x, shift, half);
        list += 2;
    }
}

/* One row of masters of 8 bits, rounded by noise: `places` are those of the hash but for the last, which begins at `first`. */
static void move_row8(uint8_t *high, const uint32_t *list, uint32_t count, int32_t x, uint32_t shift, uint32_t prefix, uint32_t first)
{
    uint32_t k;
    for (k = 0; k < count; k++) {
        const uint32_t n = list[k] & 0xFFFFu;
        const int32_t low = (int32_t)(ea_stir(prefix, first + n) >> (32u - shift));
        const int32_t d = (((int32_t)list[k] >> 16) * x + low) >> shift;
        if (d != 0) { /* seldom */
            const int32_t u = (int32_t)high[n] - d;
            high[n] = (uint8_t)((u > 255) ? 255 : (u < 0) ? 0 : u);
        }
    }
}

static uint32_t prefix(const ea_learn_head *head, uint32_t at, uint32_t synapse)
{
    uint32_t places[5];
    places[0] = head->seed;
    places[1] = head->trial;
    places[2] = EA_DRAW_ROUND;
    places[3] = at;
    places[4] = synapse;
    return ea_noise(places, 5);
}

ea_moving ea_moves(const ea_learn_table *t, uint8_t *block, uint32_t k, const uint32_t *list, uint32_t count, uint32_t at)
{
    const ea_learn_head *head = (const ea_learn_head *)(void *)block;
    const ea_learn_synapse *s = ea_synapses(t) + k;
    ea_moving m;
    m.high = &block[s->high];
    m.low = &block[s->low];
    m.list = list;
    m.count = count;
    m.stride = s->stride;
    m.outputs = s->outputs;
    m.bits = t->bits;
    m.shift = s->rate + ea_annealing(t, head->trial) + ((t->bits == 16u) ? 0u : 8u);
    m.prefix = (t->bits == 16u) ? 0u : prefix(head, at, k);
    return m;
}

void ea_move(const ea_moving *m, uint32_t j, int32_t x)
{
    if (m->bits == 16u) {
        move_row(m->high + j * m->stride, m->low + j * m->outputs, m->list, m->list + m->count, x, m->shift);
    } else {
        move_row8(m->high + j * m->stride, m->list, m->count, x, m->shift, m->prefix, j * m->outputs);
    }
}
