/* The codes of edge_anp.h, each brought about under sanitizers; ends with status 0, or with the number of the line that was wrong. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define MUST(what, code) \
    do { \
        const int32_t found = (what); \
        if (found != (code)) { \
            printf("line %d: %s is %d, must be %d\n", __LINE__, #what, (int)found, (int)(code)); \
            return 1; \
        } \
    } while (0)

int main(void)
{
    const uint32_t need = (uint32_t)ea_state_size(&network);
    uint32_t *state = calloc(1, need);
    uint8_t *odd = malloc(need + 4u);
    uint32_t *bits = calloc(1, (NETWORK_INPUTS + 31) / 32 * 4);
    int8_t *numbers = calloc(1, NETWORK_INPUTS);
    uint32_t *copy = malloc(network.bytes);
    const uint16_t twice[2] = {0, 0}, past[1] = {NETWORK_INPUTS};
    ea_model m = network;
    ea_golden wrong = network_golden;
    uint32_t byte, bit, crc = 0;

    MUST(ea_state_size(NULL), EA_NULL);
    MUST(ea_init(NULL, state, need), EA_NULL);
    MUST(ea_init(&network, NULL, need), EA_NULL);
    MUST(ea_step_bits(&network, state, bits), EA_NOT_READY);
    MUST(ea_answer(&network, state), EA_NOT_READY);
    MUST(ea_reset(&network, state), EA_NOT_READY);
    MUST(ea_init(&network, state, need - 1u), EA_TOO_SMALL);
    MUST(ea_init(&network, odd + 1, need), EA_UNALIGNED);
    MUST(ea_step_bits(&network, odd + 1, bits), EA_UNALIGNED);
    MUST(ea_init(&network, state, need), EA_OK);

    MUST(ea_step_bits(&network, state, NULL), EA_NULL);
    MUST(ea_step_bits(&network, NULL, bits), EA_NULL);
    MUST(ea_step_bits(NULL, state, bits), EA_NULL);
    MUST(ea_step_bytes(&network, state, NULL), EA_NULL);
    MUST(ea_step_events(&network, state, NULL, 0), EA_NULL);
    MUST(ea_step_bits(&network, state, (const uint32_t *)(const void *)(odd + 2)), EA_UNALIGNED);
    MUST(ea_step_events(&network, state, past, 1), EA_BAD_INPUT);
    MUST(ea_step_events(&network, state, twice, 2), EA_BAD_INPUT);
    numbers[NETWORK_INPUTS - 1] = -128;
    MUST(ea_step_bytes(&network, state, numbers), EA_BAD_INPUT);
    MUST(ea_layer_size(&network, NETWORK_LAYERS), EA_NO_LAYER);
    MUST(ea_layer_size(NULL, 0), EA_NO_LAYER);
    MUST(ea_spikes(&network, state, NETWORK_LAYERS) == NULL, 1);
    MUST(ea_membrane(&network, NULL, 0) == NULL, 1);
    MUST(ea_current(NULL, state, 0) == NULL, 1);

    MUST(ea_selftest(&network, state, &network_golden, &crc), EA_OK);
    MUST(crc == network_golden.crc, 1);
    MUST(ea_selftest(&network, state, NULL, &crc), EA_NULL);
    wrong.crc ^= 1u;
    MUST(ea_selftest(&network, state, &wrong, NULL), EA_DIFFERS);

    /* Every single bit of the table, one after the other: the checksum misses none. */
    memcpy(copy, network.table, network.bytes);
    m.table = copy;
    MUST(ea_init(&m, state, need), EA_OK);
    for (byte = 0; byte < network.bytes; byte++) {
        for (bit = 0; bit < 8u; bit++) {
            int32_t found;
            ((uint8_t *)copy)[byte] ^= (uint8_t)(1u << bit);
            found = ea_init(&m, state, need);
            ((uint8_t *)copy)[byte] ^= (uint8_t)(1u << bit);
            if (found != EA_BAD_TABLE && found != EA_TOO_SMALL) {
                printf("bit %u of byte %u: %d\n", (unsigned)bit, (unsigned)byte, (int)found);
                return 1;
            }
        }
    }
    m.bytes = network.bytes - 4u;
    MUST(ea_init(&m, state, need), EA_BAD_TABLE);
    m.bytes = 8;
    MUST(ea_init(&m, state, need), EA_BAD_TABLE);
    m.bytes = network.bytes;
    m.table = (const uint8_t *)copy + 2;
    MUST(ea_init(&m, state, need), EA_UNALIGNED);
    m.table = NULL;
    MUST(ea_init(&m, state, need), EA_NULL);
    m = network;
    m.kernels = NULL;
    MUST(ea_init(&m, state, need), EA_NULL);
    {
        static const uint32_t none[32] = {0};
        m.kernels = (const ea_kernels *)(const void *)none;
        MUST(ea_init(&m, state, need), EA_NO_KERNEL);
    }
    free(state);
    free(odd);
    free(bits);
    free(numbers);
    free(copy);
    return 0;
}
