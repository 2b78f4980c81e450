/* Dense synapses of numbers: x w for every input x that is not zero, added up.
 *
 *     sum x w = sum x (w + 128) - 128 sum x        a weight w lies in its table as the byte w + 128
 *
 * |x| <= 128, so EA_EVENTS = 64 events stay below 64 * 128 * 255 < 2^22. The kernels take 4 or 16 columns at a time and may go that far
 * past the last one; a drive has room for it (EA_BLOCK).
 */
#include "edge_anp_table.h"

#if defined(__ARM_FEATURE_MVE) && !defined(EA_PORTABLE)
#include <arm_mve.h>
#endif

static inline int32_t sum_of(const ea_events *events, uint32_t n)
{
    int32_t total = 0;
    uint32_t k;
    for (k = 0; k < n; k++) {
        total += events->values[k];
    }
    return total;
}

#if defined(__ARM_FEATURE_MVE) && !defined(EA_PORTABLE)

static inline void put_four(int32_t *out, int32x4_t sum, int32_t shift)
{
    vst1q_s32(out, vaddq_s32(vld1q_s32(out), vrshlq_n_s32(sum, shift)));
}

/* M55: sixteen columns in four vectors. VRSHL rounds as ea_shift does. */
void ea_products(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target)
{
    const int32_t taken = -128 * sum_of(events, n);
    int32_t *out = target.out;
    uint32_t j;
    for (j = 0; j < words; j += 4u) {
        int32x4_t a = vdupq_n_s32(taken), b = a, c = a, d = a;
        const uint32_t *at = events->at;
        const int8_t *x = events->values;
        uint32_t k = n;
        do {
            const uint8_t *row = (const uint8_t *)weights + *at++;
            const int32_t number = *x++;
            a = vmlaq_n_s32(a, vreinterpretq_s32_u32(vldrbq_u32(row)), number);
            b = vmlaq_n_s32(b, vreinterpretq_s32_u32(vldrbq_u32(row + 4)), number);
            c = vmlaq_n_s32(c, vreinterpretq_s32_u32(vldrbq_u32(row + 8)), number);
            d = vmlaq_n_s32(d, vreinterpretq_s32_u32(vldrbq_u32(row + 12)), number);
        } while (--k != 0u);
        put_four(&out[0], a, target.shift);
        put_four(&out[4], b, target.shift);
        put_four(&out[8], c, target.shift);
        put_four(&out[12], d, target.shift);
        out += 16;
        weights += 4;
    }
}

#else

/* out += shift(sum, F) = (sum << left) >> right, where left = max(F, 0), right = max(-F, 0) and a sum begins at 2^(right-1) -
 * 128 sum x.
 */
typedef struct {
    uint32_t left, right, begin;
} sum_shift;

static inline sum_shift shift_of(int32_t shift, const ea_events *events, uint32_t n)
{
    sum_shift s = {0, 0, 0};
    if (shift >= 0) {
        s.left = (uint32_t)shift;
    } else {
        s.right = (uint32_t)-shift;
        s.begin = 1u << (s.right - 1u);
    }
    s.begin -= 128u * (uint32_t)sum_of(events, n);
    return s;
}

static inline void put_sums(int32_t *out, const uint32_t sums[4], const sum_shift *s)
{
    out[0] = ea_add(out[0], (int32_t)(sums[0] << s->left) >> s->right);
    out[1] = ea_add(out[1], (int32_t)(sums[1] << s->left) >> s->right);
    out[2] = ea_add(out[2], (int32_t)(sums[2] << s->left) >> s->right);
    out[3] = ea_add(out[3], (int32_t)(sums[3] << s->left) >> s->right);
}

#if defined(__ARM_FEATURE_DSP) && !defined(EA_PORTABLE)

/* M4, M7, M33: four columns, two events at a time; what follows an odd number of events counts 0. UXTB16 takes bytes 0 and 2, or
 * 1 and 3, of a word; SMLA multiplies either half by x and adds.
 */
#define PAIR(pair, word) __asm__("uxtb16 %0, %1" : "=r"(pair) : "r"(word))
#define PAIR_ODD(pair, word) __asm__("uxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word))
#define ADD_LOW(sum, pair, x) __asm__("smlabb %0, %1, %2, %0" : "+r"(sum) : "r"(pair), "r"(x))
#define ADD_HIGH(sum, pair, x) __asm__("smlatb %0, %1, %2, %0" : "+r"(sum) : "r"(pair), "r"(x))
#define NEXT_TWO(a, b, at) __asm__("ldrd %0, %1, [%2], #8" : "=&r"(a), "=&r"(b), "+r"(at) : "m"(*(const uint32_t(*)[2])(at)))

static inline void add_word(uint32_t sums[4], uint32_t word, int32_t x)
{
    uint32_t even, odd;
    PAIR(even, word);
    PAIR_ODD(odd, word);
    ADD_LOW(sums[0], even, x);
    ADD_LOW(sums[1], odd, x);
    ADD_HIGH(sums[2], even, x);
    ADD_HIGH(sums[3], odd, x);
}

void ea_products(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target)
{
    const sum_shift s = shift_of(target.shift, events, n);
    const uint32_t *const end = &events->at[n];
    int32_t *out = target.out;
    for (; words != 0u; words--) {
        uint32_t sums[4] = {s.begin, s.begin, s.begin, s.begin};
        const uint32_t *at = events->at;
        const int8_t *x = events->values;
        do {
            uint32_t a, b;
            NEXT_TWO(a, b, at);
            add_word(sums, *ea_row(weights, a), *x++);
            add_word(sums, *ea_row(weights, b), *x++);
        } while (at < end);
        put_sums(out, sums, &s);
        out += 4;
        weights++;
    }
}

#else

/* Any core: four columns. */
void ea_products(const uint32_t *weights, uint32_t words, const ea_events *events, uint32_t n, ea_target target)
{
    const sum_shift s = shift_of(target.shift, events, n);
    int32_t *out = target.out;
    for (; words != 0u; words--) {
        uint32_t sums[4] = {s.begin, s.begin, s.begin, s.begin};
        uint32_t k;
        for (k = 0; k < n; k++) {
            const uint32_t w = *ea_row(weights, events->at[k]);
            const uint32_t x = (uint32_t)(int32_t)events->values[k];
            sums[0] += x * (w & 255u);
            sums[1] += x * ((w >> 8) & 255u);
            sums[2] += x * ((w >> 16) & 255u);
            sums[3] += x * (w >> 24);
        }
        put_sums(out, sums, &s);
        out += 4;
        weights++;
    }
}

#endif

#endif
