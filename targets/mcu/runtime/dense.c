/* Dense synapses of spikes, event by event: the rows of the inputs that spiked, added up.
 *
 * A weight w lies in its table as the byte w + 128, four to a word, so that sums of bytes are never negative: two sums of 16 bits
 * share a register, and n events take 128 n off at the end. EA_EVENTS = 64 bytes of at most 255 add up to 16320 < 2^16.
 * The three kernels add 8 or 16 columns at a time and may go that far past the last one; a drive has room for it (EA_BLOCK).
 */
#include "edge_anp_table.h"

#if defined(__ARM_FEATURE_MVE) && !defined(EA_PORTABLE)
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP) && !defined(EA_PORTABLE)
#define EA_DSP
#endif

#if defined(__ARM_FEATURE_MVE) && !defined(EA_PORTABLE)

/* M55: sixteen columns in two vectors. VRSHL rounds as ea_shift does. */
void ea_rows(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target)
{
    const int32_t offset = 128 * (int32_t)n;
    int32_t *out = target.out;
    uint32_t j, k;
    for (j = 0; j < words; j += 4u) {
        uint16x8_t low = vdupq_n_u16(0), high = vdupq_n_u16(0);
        uint16_t sums[16];
        const uint32_t *at = events->at;
        k = n;
        do {
            const uint8_t *row = (const uint8_t *)weights + *at++;
            low = vaddq_u16(low, vldrbq_u16(row));
            high = vaddq_u16(high, vldrbq_u16(row + 8));
        } while (--k != 0u);
        vst1q_u16(sums, low);
        vst1q_u16(sums + 8, high);
        for (k = 0; k < 16u; k += 4u) {
            const int32x4_t sum = vsubq_n_s32(vreinterpretq_s32_u32(vldrhq_u32(&sums[k])), offset);
            vst1q_s32(out, vaddq_s32(vld1q_s32(out), vrshlq_n_s32(sum, target.shift)));
            out += 4;
        }
        weights += 4;
    }
}

#else

/* out += shift(lane - 128 n, F) = ((lane << left) + offset) >> right, where left = max(F, 0), right = max(-F, 0) and
 * offset = 2^(right-1) - (128 n << left).
 */
typedef struct {
    uint32_t left, right, offset;
} lane_shift;

static inline void put(int32_t *out, uint32_t lane, const lane_shift *s)
{
    *out = ea_add(*out, (int32_t)((lane << s->left) + s->offset) >> s->right);
}

static inline void put_word(int32_t *out, uint32_t even, uint32_t odd, const lane_shift *s)
{
    put(&out[0], even & 0xFFFFu, s);
    put(&out[1], odd & 0xFFFFu, s);
    put(&out[2], even >> 16, s);
    put(&out[3], odd >> 16, s);
}

#if defined(EA_DSP)

/* M4, M7, M33: sixteen columns. UXTAB16 adds bytes 0 and 2, or 1 and 3, of a word to the halves of a sum. */
#define UXTAB16(sum, word) __asm__("uxtab16 %0, %0, %1" : "+r"(sum) : "r"(word))
#define UXTAB16_ODD(sum, word) __asm__("uxtab16 %0, %0, %1, ror #8" : "+r"(sum) : "r"(word))
#define LDRD(a, b, row, at) __asm__("ldrd %0, %1, %2" : "=&r"(a), "=r"(b) : "m"(*(const uint64_t *)(const void *)&(row)[at]))
#define COLUMNS 4u

static void sum_rows(const uint32_t *weights, const ea_events *events, uint32_t n, uint32_t sums[8])
{
    uint32_t even0 = 0, odd0 = 0, even1 = 0, odd1 = 0, even2 = 0, odd2 = 0, even3 = 0, odd3 = 0;
    const uint32_t *at = events->at, *end = &events->at[n];
    do {
        const uint32_t *row = ea_row(weights, *at++);
        uint32_t a, b;
        LDRD(a, b, row, 0);
        UXTAB16_ODD(odd0, a);
        UXTAB16(even0, a);
        UXTAB16_ODD(odd1, b);
        UXTAB16(even1, b);
        LDRD(a, b, row, 2);
        UXTAB16_ODD(odd2, a);
        UXTAB16(even2, a);
        UXTAB16_ODD(odd3, b);
        UXTAB16(even3, b);
    } while (at != end);
    sums[0] = even0;
    sums[1] = odd0;
    sums[2] = even1;
    sums[3] = odd1;
    sums[4] = even2;
    sums[5] = odd2;
    sums[6] = even3;
    sums[7] = odd3;
}

#else

/* Any core: eight columns. */
#define LANES 0x00FF00FFu
#define COLUMNS 2u

static void sum_rows(const uint32_t *weights, const ea_events *events, uint32_t n, uint32_t sums[4])
{
    uint32_t even0 = 0, odd0 = 0, even1 = 0, odd1 = 0;
    const uint32_t *at = events->at, *end = &events->at[n];
    do {
        const uint32_t *row = ea_row(weights, *at++);
        const uint32_t a = row[0], b = row[1];
        odd0 += (a >> 8) & LANES;
        even0 += a & LANES;
        odd1 += (b >> 8) & LANES;
        even1 += b & LANES;
    } while (at != end);
    sums[0] = even0;
    sums[1] = odd0;
    sums[2] = even1;
    sums[3] = odd1;
}

#endif

/* Spikes: n rows, all columns. */
void ea_rows(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target)
{
    lane_shift s = {0, 0, 0};
    int32_t *out = target.out;
    uint32_t sums[2u * COLUMNS], j, k;
    if (target.shift >= 0) {
        s.left = (uint32_t)target.shift;
    } else {
        s.right = (uint32_t)-target.shift;
        s.offset = 1u << (s.right - 1u);
    }
    s.offset -= (128u * n) << s.left;
    for (j = 0; j < words; j += COLUMNS) {
        sum_rows(weights, events, n, sums);
        for (k = 0; k < COLUMNS; k++) {
            put_word(out, sums[2u * k], sums[2u * k + 1u], &s);
            out += 4;
        }
        weights += COLUMNS;
    }
}

#endif

void ea_dense(const ea_map *map, const void *weights, const ea_source *source, ea_target target)
{
    const uint32_t words = ((uint32_t)map->out_shape[0] + 3u) / 4u;
    ea_events events;
    uint32_t n;
    events.next = 0;
    events.left = 0;
    while ((n = source->form->gather(source, 4u * words, &events)) != 0u) {
        source->form->add((const uint32_t *)weights, words, &events, n, target);
    }
}
