/* Dense synapses, event by event: the rows of the inputs that spiked, added up.
 *
 * A weight w lies in its table as the byte w + 128, four to a word, so that sums of bytes are never negative: two sums of 16 bits
 * share a register, and n events take 128 n off at the end. EA_EVENTS = 64 bytes of at most 255 add up to 16320 < 2^16.
 */
#include "edge_anp_table.h"

#if defined(__ARM_FEATURE_MVE) && !defined(EA_PORTABLE)
#include <arm_mve.h>
#define EA_MVE
#elif defined(__ARM_FEATURE_DSP) && !defined(EA_PORTABLE)
#define EA_DSP
#endif

#define LANES 0x00FF00FFu

/* Bytes 0 and 2, or 1 and 3, of a word of weights, added to the two halves of a sum. */
static inline uint32_t add_even(uint32_t sum, uint32_t word)
{
#if defined(EA_DSP)
    __asm__("uxtab16 %0, %0, %1" : "+r"(sum) : "r"(word));
    return sum;
#else
    return sum + (word & LANES);
#endif
}

static inline uint32_t add_odd(uint32_t sum, uint32_t word)
{
#if defined(EA_DSP)
    __asm__("uxtab16 %0, %0, %1, ror #8" : "+r"(sum) : "r"(word));
    return sum;
#else
    return sum + ((word >> 8) & LANES);
#endif
}

/* out += shift(lane - 128 n): with left = max(F, 0), right = max(-F, 0), ((lane << left) + offset) >> right,
 * offset = 2^(right-1) - (128 n << left).
 */
typedef struct {
    uint32_t left, right, offset;
} shifting;

static inline void put(int32_t *out, uint32_t lane, const shifting *s)
{
    *out = ea_add(*out, (int32_t)((lane << s->left) + s->offset) >> s->right);
}

static inline void put_word(int32_t *out, uint32_t even, uint32_t odd, const shifting *s)
{
    put(&out[0], even & 0xFFFFu, s);
    put(&out[1], odd & 0xFFFFu, s);
    put(&out[2], even >> 16, s);
    put(&out[3], odd >> 16, s);
}

/* Spikes: n rows, all columns. */
static void add_rows(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target)
{
    const uint32_t *end = &events->at[n];
    shifting s = {0, 0, 0};
    int32_t *out = target.out;
    uint32_t j;
    if (target.shift >= 0) {
        s.left = (uint32_t)target.shift;
    } else {
        s.right = (uint32_t)-target.shift;
        s.offset = 1u << (s.right - 1u);
    }
    s.offset -= (128u * n) << s.left;
    for (j = 0; j < words; j += 2) {
        uint32_t even0 = 0, odd0 = 0, even1 = 0, odd1 = 0;
        const uint32_t *at = events->at;
        do {
            const uint32_t *row = &weights[*at++];
            uint32_t a = row[0], b = row[1];
            odd0 = add_odd(odd0, a);
            even0 = add_even(even0, a);
            odd1 = add_odd(odd1, b);
            even1 = add_even(even1, b);
        } while (at != end);
        put_word(out, even0, odd0, &s);
        put_word(out + 4, even1, odd1, &s);
        out += 8;
        weights += 2;
    }
}

/* Numbers x: sum x (w + 128) - 128 sum x. |x| <= 128, so 64 events stay below 64 * 128 * 255 < 2^22. */
static void add_products(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target)
{
    int32_t *out = target.out;
    int32_t total = 0;
    uint32_t j, k;
    for (k = 0; k < n; k++) {
        total += 128 * events->values[k];
    }
    for (j = 0; j < words; j++) {
        int32_t s0 = -total, s1 = -total, s2 = -total, s3 = -total;
        for (k = 0; k < n; k++) {
            const uint32_t w = weights[events->at[k] + j];
            const int32_t x = events->values[k];
            s0 += x * (int32_t)(w & 255u);
            s1 += x * (int32_t)((w >> 8) & 255u);
            s2 += x * (int32_t)((w >> 16) & 255u);
            s3 += x * (int32_t)(w >> 24);
        }
        out[0] = ea_add(out[0], ea_shift(s0, target.shift));
        out[1] = ea_add(out[1], ea_shift(s1, target.shift));
        out[2] = ea_add(out[2], ea_shift(s2, target.shift));
        out[3] = ea_add(out[3], ea_shift(s3, target.shift));
        out += 4;
    }
}

void ea_dense(const ea_map *map, const void *weights, const ea_source *source, ea_target target)
{
    const uint32_t words = ((uint32_t)map->out_shape[0] + 3u) / 4u;
    ea_events events;
    uint32_t n;
    events.next = 0;
    events.left = 0;
    while ((n = ea_gather(source, words, &events)) != 0u) {
        if (source->bytes == NULL) {
            add_rows(weights, words, &events, n, target);
        } else {
            add_products(weights, words, &events, n, target);
        }
    }
}
