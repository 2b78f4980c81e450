/* The three ways to give a step its input: checked and, where the network reads the past, remembered. */
#include "edge_anp_table.h"

/* Everything one step older: slot s takes what slot s - 1 held. */
void ea_age(uint32_t *ring, uint32_t words, uint32_t slots)
{
    uint32_t k;
    for (k = words * slots; k-- > words;) {
        ring[k] = ring[k - words];
    }
}

/* Put this step's input, as numbers, into the history, and read it there from now on. */
void ea_remember(const ea_table *t, uint8_t *state, ea_source *input)
{
    uint32_t *words = ea_words(state, t->history);
    int8_t *numbers = (int8_t *)&state[t->history];
    const uint32_t count = (t->inputs + 3u) / 4u;
    ea_events events;
    uint32_t n, k;
    ea_age(words, count, t->slots);
    for (k = 0; k < count; k++) {
        words[k] = 0;
    }
    events.next = 0;
    events.left = 0;
    while ((n = input->form->gather(input, 1, &events)) != 0u) {
        for (k = 0; k < n; k++) {
            numbers[events.at[k]] = (input->form->numbers != 0u) ? events.values[k] : (int8_t)1;
        }
    }
    input->form = &ea_bytes;
    input->at = numbers;
}

static int32_t advance(const ea_model *model, void *state, ea_source *input)
{
    const ea_table *t = (const ea_table *)model->table;
    input->size = t->inputs;
    if (t->slots != 0u) {
        model->kernels->remember(t, (uint8_t *)state, input);
    }
    ea_advance(model, (uint8_t *)state, input);
    return EA_OK;
}

int32_t ea_step_bits(const ea_model *model, void *state, const uint32_t *bits)
{
    const ea_table *t;
    const int32_t error = ea_open(model, state, &t);
    ea_source input;
    if (error != EA_OK || bits == NULL) {
        return (error != EA_OK) ? error : EA_NULL;
    }
    if (((uintptr_t)bits & 3u) != 0u) {
        return EA_UNALIGNED;
    }
    input.form = &ea_bits;
    input.at = bits;
    input.count = 0;
    return advance(model, state, &input);
}

int32_t ea_step_events(const ea_model *model, void *state, const uint16_t *events, uint32_t count)
{
    const ea_table *t;
    const int32_t error = ea_open(model, state, &t);
    ea_source input;
    uint32_t i;
    if (error != EA_OK || events == NULL) {
        return (error != EA_OK) ? error : EA_NULL;
    }
    for (i = 0; i < count; i++) {
        if (events[i] >= t->inputs || (i > 0u && events[i] <= events[i - 1u])) {
            return EA_BAD_INPUT;
        }
    }
    input.form = &ea_list;
    input.at = events;
    input.count = count;
    return advance(model, state, &input);
}

int32_t ea_step_bytes(const ea_model *model, void *state, const int8_t *numbers)
{
    const ea_table *t;
    const int32_t error = ea_open(model, state, &t);
    ea_source input;
    uint32_t i;
    if (error != EA_OK || numbers == NULL) {
        return (error != EA_OK) ? error : EA_NULL;
    }
    for (i = 0; i < t->inputs; i++) {
        if (numbers[i] == -128) {
            return EA_BAD_INPUT;
        }
    }
    input.form = &ea_bytes;
    input.at = numbers;
    input.count = 0;
    return advance(model, state, &input);
}
