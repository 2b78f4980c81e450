/* The three ways to give a step its input, checked and, where the network reads the past, remembered. */
#include "edge_anp_table.h"

/* Everything one step older: slot s takes what slot s - 1 held. */
void ea_age(uint32_t *ring, uint32_t words, uint32_t slots)
{
    uint32_t k;
    for (k = words * slots; k-- > words;) {
        ring[k] = ring[k - words];
    }
}

/* Make room in the history for this step's numbers; null where the network reads the caller's memory. */
static int8_t *remember(const ea_table *t, uint8_t *state)
{
    const uint32_t words = (t->inputs + 3u) / 4u;
    uint32_t k;
    if (t->slots == 0u) {
        return NULL;
    }
    ea_age(ea_words(state, t->history), words, t->slots);
    for (k = 0; k < words; k++) {
        ea_words(state, t->history)[k] = 0;
    }
    return (int8_t *)&state[t->history];
}

int32_t ea_step_bits(const ea_model *model, void *state, const uint32_t *bits)
{
    const ea_table *t;
    const int32_t error = ea_open(model, state, &t);
    ea_source input = {NULL, NULL, NULL, 0, 0};
    int8_t *numbers;
    uint32_t i;
    if (error != EA_OK || bits == NULL) {
        return (error != EA_OK) ? error : EA_NULL;
    }
    if (((uintptr_t)bits & 3u) != 0u) {
        return EA_UNALIGNED;
    }
    input.bits = bits;
    input.size = t->inputs;
    numbers = remember(t, (uint8_t *)state);
    if (numbers != NULL) {
        for (i = 0; i < t->inputs; i++) {
            numbers[i] = (int8_t)((bits[i / 32u] >> (i & 31u)) & 1u);
        }
        input.bits = NULL;
    }
    ea_advance(model, (uint8_t *)state, &input);
    return EA_OK;
}

int32_t ea_step_events(const ea_model *model, void *state, const uint16_t *events, uint32_t count)
{
    const ea_table *t;
    const int32_t error = ea_open(model, state, &t);
    ea_source input = {NULL, NULL, NULL, 0, 0};
    int8_t *numbers;
    uint32_t i;
    if (error != EA_OK || events == NULL) {
        return (error != EA_OK) ? error : EA_NULL;
    }
    for (i = 0; i < count; i++) {
        if (events[i] >= t->inputs || (i > 0u && events[i] <= events[i - 1u])) {
            return EA_BAD_INPUT;
        }
    }
    input.list = events;
    input.size = t->inputs;
    input.count = count;
    numbers = remember(t, (uint8_t *)state);
    if (numbers != NULL) {
        for (i = 0; i < count; i++) {
            numbers[events[i]] = 1;
        }
        input.list = NULL;
    }
    ea_advance(model, (uint8_t *)state, &input);
    return EA_OK;
}

int32_t ea_step_bytes(const ea_model *model, void *state, const int8_t *bytes)
{
    const ea_table *t;
    const int32_t error = ea_open(model, state, &t);
    ea_source input = {NULL, NULL, NULL, 0, 0};
    int8_t *numbers;
    uint32_t i;
    if (error != EA_OK || bytes == NULL) {
        return (error != EA_OK) ? error : EA_NULL;
    }
    for (i = 0; i < t->inputs; i++) {
        if (bytes[i] == -128) {
            return EA_BAD_INPUT;
        }
    }
    input.bytes = bytes;
    input.size = t->inputs;
    numbers = remember(t, (uint8_t *)state);
    if (numbers != NULL) {
        for (i = 0; i < t->inputs; i++) {
            numbers[i] = bytes[i];
        }
    }
    ea_advance(model, (uint8_t *)state, &input);
    return EA_OK;
}
