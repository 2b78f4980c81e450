/* The three forms of a source, and their events: the indices that are not zero, a few at a time. */
#include "edge_anp_table.h"

static uint32_t bits_gather(const ea_source *source, uint32_t stride, ea_events *events)
{
    uint32_t n = 0, next = events->next, left = events->left;
    const uint32_t *bits = (const uint32_t *)source->at;
    const uint32_t words = (source->size + 31u) / 32u;
    for (;;) {
        const uint32_t base = (next - 1u) * 32u; /* of the word that `left` comes from */
        while (left != 0u) {
            if (n == EA_EVENTS) {
                events->next = next;
                events->left = left;
                return n;
            }
            events->at[n++] = (base + ea_lowest(left)) * stride;
            left &= left - 1u;
        }
        if (next == words) {
            break;
        }
        left = bits[next++];
        if (next == words && (source->size & 31u) != 0u) {
            left &= (1u << (source->size & 31u)) - 1u; /* what lies past the source is no event */
        }
    }
    events->next = next;
    events->left = 0;
    return n;
}

static uint32_t bits_active(const ea_source *source)
{
    const uint32_t *bits = (const uint32_t *)source->at;
    const uint32_t whole = source->size / 32u, rest = source->size & 31u;
    uint32_t found = 0, i;
    for (i = 0; i < whole && found == 0u; i++) {
        found = bits[i];
    }
    if (rest != 0u) {
        found |= bits[whole] & ((1u << rest) - 1u);
    }
    return found;
}

static uint32_t list_gather(const ea_source *source, uint32_t stride, ea_events *events)
{
    const uint16_t *list = (const uint16_t *)source->at;
    uint32_t n = 0, i = events->next;
    for (; i < source->count && n < EA_EVENTS; i++) {
        events->at[n++] = list[i] * stride;
    }
    events->next = i;
    return n;
}

static uint32_t list_active(const ea_source *source)
{
    return source->count;
}

static uint32_t bytes_gather(const ea_source *source, uint32_t stride, ea_events *events)
{
    const int8_t *numbers = (const int8_t *)source->at;
    uint32_t n = 0, i = events->next;
    for (; i < source->size && n < EA_EVENTS; i++) {
        if (numbers[i] != 0) {
            events->at[n] = i * stride;
            events->values[n++] = numbers[i];
        }
    }
    if ((n & 1u) != 0u) { /* then there is room for one more, EA_EVENTS being even */
        events->at[n] = 0;
        events->values[n] = 0;
    }
    events->next = i;
    return n;
}

static uint32_t bytes_active(const ea_source *source)
{
    const int8_t *numbers = (const int8_t *)source->at;
    uint32_t found = 0, i;
    for (i = 0; i < source->size && found == 0u; i++) {
        found = (uint8_t)numbers[i];
    }
    return found;
}

const ea_form ea_bits = {bits_gather, bits_active, ea_rows, 0};
const ea_form ea_list = {list_gather, list_active, ea_rows, 0};
const ea_form ea_bytes = {bytes_gather, bytes_active, ea_products, 1};
