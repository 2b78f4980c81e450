/* A device that keeps a log, as edge_anp_log.h says: 20 trials, written to the file that is its argument; prints the weights' checksum. */
#include <stdio.h>

#include "edge_anp_log.h"
#include "learn.h"

static uint32_t block[NETWORK_LEARN_BYTES / 4];

static int32_t put(void *context, const void *data, uint32_t bytes)
{
    return (fwrite(data, 1, bytes, context) == bytes) ? 0 : 1;
}

int main(int count, char **words)
{
    const ea_learner *const l = &network_learner;
    FILE *file = (count > 1) ? fopen(words[1], "wb") : NULL;
    ea_log log;
    uint32_t k, t, dice = 1;
    log.context = file;
    log.write = put;
    if (file == NULL || ea_learn_init(l, block, sizeof block, 5) != EA_OK || ea_log_open(&log, l, block) != 0) {
        return 1;
    }
    for (k = 0; k < 20u; k++) {
        uint32_t trial = 0, bits[1], reward;
        int32_t answer, error = ea_learn_begin(l, block, &trial);
        error |= ea_log_numbers(&log, 'N', 1, trial, 0);
        for (t = 0; t < 10u; t++) {
            dice = dice * 1664525u + 1013904223u;
            bits[0] = (dice >> 16) & (dice >> 8) & 0x1Fu; /* five inputs */
            error |= ea_learn_step_bits(l, block, bits) | ea_log_step(&log, '1', bits, 5);
        }
        answer = ea_learn_answer(l, block);
        reward = (answer == (int32_t)(k % 4u)) ? 128u : k;
        error |= ea_log_numbers(&log, 'A', 1, (uint32_t)answer, 0) | ea_learn_reward(l, block, trial, reward);
        error |= ea_log_numbers(&log, 'W', 2, trial, reward) | ea_learn_commit(l, block, 0);
        error |= ea_log_numbers(&log, 'C', 1, ea_learn_crc(l, block), 0);
        if (error != 0) {
            return 2;
        }
    }
    printf("%08x\n", (unsigned)ea_learn_crc(l, block));
    return fclose(file);
}
