/* edge_anp_log: what happened in a device's trials, so that a desk can repeat it: `edge-anp replay FOLDER LOG`.
 *
 *     ea_log log = {uart, write};
 *     ea_log_open(&log, &digits_learner, block);                    once, after ea_learn_init and ea_learn_load
 *     ea_learn_begin(..., &trial);  ea_log_numbers(&log, 'N', 1, trial, 0);
 *     ea_learn_step_bits(...bits);  ea_log_step(&log, '1', bits, inputs);      '3' for ea_learn_step_bytes
 *     answer = ea_learn_answer(...);  ea_log_numbers(&log, 'A', 1, answer, 0);
 *     ea_learn_reward(..., r);  ea_log_numbers(&log, 'W', 2, trial, r);        'Y', 2, trial, label for ea_learn_label
 *     ea_learn_commit(...) is done;  ea_log_numbers(&log, 'C', 1, 0, 0);       or ea_learn_crc(...) in place of the first 0
 *     saved: 'S', 0; rolled back: 'V', 0; loaded: 'L', 0; frozen: 'Z', 1, frozen; mirrored: 'M', 0; checksum: 'K', 1, ea_learn_crc(...)
 *
 * Functions return 0, or what `write` returned where it failed. docs/trial_log.md is the format, version 1. Little-endian cores only.
 */
#ifndef EDGE_ANP_LOG_H
#define EDGE_ANP_LOG_H

#include "edge_anp_learn_table.h"

typedef struct ea_log {
    void *context;
    int32_t (*write)(void *context, const void *data, uint32_t bytes);
} ea_log;

EA_INLINE int32_t ea_log_open(const ea_log *log, const ea_learner *learner, const void *block)
{
    const ea_learn_table *t = (const ea_learn_table *)learner->table;
    const ea_learn_head *head = (const ea_learn_head *)block;
    uint32_t words[8];
    words[0] = 0x31544145u; /* "EAT1" */
    words[1] = 1;
    words[2] = t->model;
    words[3] = t->crc;
    words[4] = head->seed;
    words[5] = head->trial;
    words[6] = ea_learn_crc(learner, block);
    words[7] = ea_crc(0, words, 28);
    return log->write(log->context, words, 32);
}

EA_INLINE int32_t ea_log_numbers(const ea_log *log, char letter, uint32_t count, uint32_t first, uint32_t second)
{
    uint32_t words[3];
    words[0] = (uint32_t)(uint8_t)letter | ((4u * count) << 8);
    words[1] = first;
    words[2] = second;
    return log->write(log->context, words, 4u + 4u * count);
}

/* The input of a step: a bitmap ('1') or int8 numbers ('3') of `inputs` values. */
EA_INLINE int32_t ea_log_step(const ea_log *log, char letter, const void *input, uint32_t inputs)
{
    const uint32_t bytes = (letter == '1') ? (inputs + 31u) / 32u * 4u : inputs, filled = (bytes + 3u) / 4u * 4u, nothing = 0;
    const uint32_t word = (uint32_t)(uint8_t)letter | (filled << 8);
    int32_t error = log->write(log->context, &word, 4);
    if (error == 0) {
        error = log->write(log->context, input, bytes);
    }
    return (error == 0 && filled != bytes) ? log->write(log->context, &nothing, filled - bytes) : error;
}

#endif
