/* Events: from what a source sent, the indices that are not zero, a few at a time. */
#include "edge_anp_table.h"

/* The index of the lowest bit of v, v != 0: by an instruction, or by the perfect hash of a de Bruijn sequence. */
static inline uint32_t lowest(uint32_t v)
{
#if defined(__ARM_FEATURE_CLZ)
    return (uint32_t)__builtin_ctz(v);
#else
    static const uint8_t place[32] = {0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
                                      31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
    return place[((v & (~v + 1u)) * 0x077CB531u) >> 27];
#endif
}

static uint32_t from_bits(const ea_source *source, uint32_t stride, ea_events *events)
{
    uint32_t n = 0, next = events->next, left = events->left;
    const uint32_t words = (source->size + 31u) / 32u;
    for (;;) {
        uint32_t base = (next - 1u) * 32u; /* of the word that `left` comes from */
        while (left != 0u) {
            if (n == EA_EVENTS) {
                events->next = next;
                events->left = left;
                return n;
            }
            events->at[n++] = (base + lowest(left)) * stride;
            left &= left - 1u;
        }
        if (next == words) {
            break;
        }
        left = source->bits[next++];
        if (next == words && (source->size & 31u) != 0u) {
            left &= (1u << (source->size & 31u)) - 1u; /* what lies past the source is no event */
        }
    }
    events->next = next;
    events->left = 0;
    return n;
}

/* The next events of a source, at most EA_EVENTS; 0 when there are none left. Begin with next = left = 0. */
uint32_t ea_gather(const ea_source *source, uint32_t stride, ea_events *events)
{
    uint32_t n = 0, i = events->next;
    if (source->bits != NULL) {
        return from_bits(source, stride, events);
    }
    if (source->list != NULL) {
        for (; i < source->count && n < EA_EVENTS; i++) {
            events->at[n++] = source->list[i] * stride;
        }
    } else {
        for (; i < source->size && n < EA_EVENTS; i++) {
            if (source->bytes[i] != 0) {
                events->at[n] = i * stride;
                events->values[n++] = source->bytes[i];
            }
        }
    }
    events->next = i;
    return n;
}
