/* The commands of harness.h. */
#include "harness.h"

#ifndef TABLE_BYTES
#define TABLE_BYTES 4 /* memory for a table that is sent; 4: none is taken */
#endif
#ifndef STATE_BYTES
#define STATE_BYTES 4096
#endif
#ifndef INPUT_BYTES
#define INPUT_BYTES 2048
#endif

static uint32_t table[TABLE_BYTES / 4];
static uint32_t state[STATE_BYTES / 4];
static uint32_t input[INPUT_BYTES / 4];

static void skip(uint32_t bytes)
{
    uint8_t one;
    while (bytes-- != 0u) {
        port_read(&one, 1);
    }
}

static void answer(int32_t status)
{
    port_write(&status, 4);
}

static int32_t step(const ea_model *model, uint32_t form, uint32_t bytes)
{
    if (form == '1') {
        return ea_step_bits(model, state, input);
    }
    if (form == '2') {
        return ea_step_events(model, state, (const uint16_t *)(const void *)input, bytes / 2u);
    }
    return ea_step_bytes(model, state, (const int8_t *)input);
}

static void trace(const ea_model *model)
{
    uint32_t layer;
    int32_t size;
    for (layer = 0; (size = ea_layer_size(model, layer)) > 0; layer++) {
        const int16_t *current = ea_current(model, state, layer);
        port_write(ea_spikes(model, state, layer), ((uint32_t)size + 31u) / 32u * 4u);
        port_write(ea_membrane(model, state, layer), (uint32_t)size * 2u);
        if (current != 0) {
            port_write(current, (uint32_t)size * 2u);
        }
    }
}

int main(void)
{
    ea_model sent = {table, 0, &ea_all_kernels};
    const ea_model *model = ea_built_in;
    port_open();
    for (;;) {
        uint32_t word, letter, bytes;
        port_read(&word, 4);
        letter = word & 255u;
        bytes = word >> 8;
        if (letter == 'H') {
            const uint32_t sizes[2] = {TABLE_BYTES, STATE_BYTES};
            port_write("EAH1", 4);
            port_write(sizes, 8);
        } else if (letter == 'B') {
            model = ea_built_in;
            answer((model == 0) ? EA_NULL : ea_init(model, state, STATE_BYTES));
        } else if (letter == 'L') {
            if (bytes > TABLE_BYTES) {
                skip(bytes);
                answer(EA_TOO_SMALL);
            } else {
                port_read(table, bytes);
                sent.bytes = bytes;
                model = &sent;
                answer(ea_init(model, state, STATE_BYTES));
            }
        } else if (letter == 'R') {
            answer(ea_reset(model, state));
        } else if (letter == 'A') {
            answer(ea_answer(model, state));
        } else if (letter == 'T') {
            uint32_t crc = 0;
            answer(ea_selftest(model, state, ea_built_in_golden, &crc));
            port_write(&crc, 4);
        } else if (letter >= '1' && letter <= '3' && bytes <= INPUT_BYTES) {
            uint32_t before, after;
            int32_t status;
            port_read(input, bytes);
            before = port_ticks();
            status = step(model, letter, bytes);
            after = (port_ticks() - before) & 0xFFFFFFu;
            answer(status);
            port_write(&after, 4);
            trace(model);
        } else {
            port_close((letter == 'Q') ? 0 : 2);
            return (letter == 'Q') ? 0 : 2;
        }
        port_flush();
    }
}
