/* The commands of a learner, beside harness.h's: what `learn`, the tests and boards talk to. A command is a word as in harness.h.
 *
 *     H                              -> "EAL1", bytes of the block, bytes of its weights
 *     B seed                         -> status        begin with the shipped weights
 *     N                              -> status, trial
 *     M                              -> status        the mirrored run of a pair
 *     1 2 3 input                    -> status, ticks
 *     A                              -> answer        one that explores
 *     E                              -> answer        the best
 *     W trial, reward                -> status
 *     Y trial, label                 -> status
 *     C rows                         -> status, ticks
 *     X label, guesses, form, input  -> status, asked, right, ticks of the steps, ticks of the commit, health
 *                                       a whole trial whose world answers by `label`; guesses 0: it is told the label; 255: nothing is asked
 *                                       form + 256: the guard's advice is followed after every trial
 *     S L V                          -> status        save to, load from, roll back to a flash of FLASH_BYTES that is kept in RAM
 *     Z frozen                       -> status
 *     G                              -> health
 *     K                              -> crc
 *     R                              -> the weights
 *     I trial, seed, weights         -> status        put what R gave
 *     Q                              end
 */
#include "edge_anp_learn_table.h"
#include "edge_anp_save.h"
#include "harness.h"

#ifndef FLASH_BYTES
#define FLASH_BYTES 0 /* none */
#endif
#define SECTOR 4096u
#ifndef BLOCK_BYTES
#define BLOCK_BYTES 4096
#endif
#ifndef INPUT_BYTES
#define INPUT_BYTES 2048
#endif

extern const ea_learner *const ea_built_in_learner;

static uint32_t block[BLOCK_BYTES / 4];
static uint32_t input[INPUT_BYTES / 4 + 3];

static uint8_t flash[FLASH_BYTES + 1];

static int32_t erase(void *context, uint32_t sector)
{
    uint32_t k;
    (void)context;
    for (k = 0; k < SECTOR; k++) {
        flash[sector * SECTOR + k] = 255;
    }
    return 0;
}

static int32_t program(void *context, uint32_t at, const uint8_t *page)
{
    uint32_t k;
    (void)context;
    for (k = 0; k < 256u; k++) {
        flash[at + k] &= page[k];
    }
    return 0;
}

static int32_t fetch(void *context, uint32_t at, uint8_t *data, uint32_t bytes)
{
    uint32_t k;
    (void)context;
    for (k = 0; k < bytes; k++) {
        data[k] = flash[at + k];
    }
    return 0;
}

static const ea_flash kept = {0, SECTOR, FLASH_BYTES / SECTOR, 256, erase, program, fetch};

static int32_t save(const ea_learner *l)
{
    int32_t status;
    do {
        status = ea_learn_save(l, block, &kept);
    } while (status == EA_MORE);
    return status;
}

static void answer(int32_t status)
{
    port_write(&status, 4);
}

static int32_t step(const ea_learner *l, uint32_t form, const uint8_t *at, uint32_t bytes)
{
    if (form == '1') {
        return ea_learn_step_bits(l, block, (const uint32_t *)(const void *)at);
    }
    if (form == '2') {
        return ea_learn_step_events(l, block, (const uint16_t *)(const void *)at, bytes / 2u);
    }
    return ea_learn_step_bytes(l, block, (const int8_t *)at);
}

static uint32_t since(uint32_t before)
{
    return (port_ticks() - before) & 0xFFFFFFu;
}

/* words: label, guesses, form, then the steps. */
static void whole_trial(const ea_learner *l, uint32_t bytes)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const uint32_t label = input[0], guesses = input[1], form = input[2] & 255u, guarded = input[2] >> 8;
    const uint32_t size = (form == '1') ? (net->inputs + 31u) / 32u * 4u : net->inputs;
    uint32_t trial = 0, at, asked = 0, right = 0, before, out[5] = {0};
    int32_t status = ea_learn_begin(l, block, &trial);
    for (at = 0; status == EA_OK && at + size <= bytes - 12u; at += size) {
        before = port_ticks();
        status = step(l, form, (const uint8_t *)&input[3] + at, size);
        out[2] += since(before);
    }
    if (status == EA_OK && guesses == 0u) {
        right = (ea_learn_best(l, block) == (int32_t)label) ? 1u : 0u;
        status = ea_learn_label(l, block, trial, label);
    }
    while (status == EA_OK && asked < guesses && right == 0u && guesses != 255u) {
        const int32_t given = ea_learn_answer(l, block);
        asked++;
        right = (given == (int32_t)label) ? 1u : 0u;
        status = (given < 0) ? given : ea_learn_reward(l, block, trial, 128u * right);
    }
    if (status == EA_OK && guesses == 255u) {
        right = (uint32_t)ea_learn_best(l, block);
        ((ea_learn_head *)(void *)block)->trial = trial - 1u; /* looking changes nothing: neither noise nor annealing */
        ((ea_learn_head *)(void *)block)->phase = EA_IDLE;
    } else if (status == EA_OK) {
        before = port_ticks();
        status = ea_learn_commit(l, block, 0);
        out[3] = since(before);
    } else {
        /* the status says why */
    }
    out[0] = asked;
    out[1] = right;
    out[4] = (uint32_t)ea_learn_health(l, block);
    if (status == EA_OK && guarded != 0u && out[4] == (uint32_t)EA_SAVE) {
        status = save(l);
    }
    if (status == EA_OK && guarded != 0u && out[4] == (uint32_t)EA_ROLL_BACK) {
        status = ea_learn_rollback(l, block, &kept);
    }
    answer(status);
    port_write(out, 20);
}

int main(void)
{
    const ea_learner *l = ea_built_in_learner;
    const ea_learn_table *t = (const ea_learn_table *)l->table;
    port_open();
    for (;;) {
        uint32_t word, letter, bytes, before, ticks;
        port_read(&word, 4);
        letter = word & 255u;
        bytes = word >> 8;
        if (letter == 'I') {
            port_read(input, 8);
            ((ea_learn_head *)(void *)block)->trial = input[0];
            ((ea_learn_head *)(void *)block)->seed = input[1];
            port_read((uint8_t *)block + t->weights, t->weight_bytes);
            answer(EA_OK);
            port_flush();
            continue;
        }
        if (bytes > sizeof input) {
            port_close(2);
        }
        if (bytes != 0u) {
            port_read(input, bytes);
        }
        if (letter == 'H') {
            port_write("EAL1", 4);
            port_write(&t->block, 4);
            port_write(&t->weight_bytes, 4);
        } else if (letter == 'B') {
            answer(ea_learn_init(l, block, BLOCK_BYTES, input[0]));
        } else if (letter == 'N') {
            uint32_t trial = 0;
            answer(ea_learn_begin(l, block, &trial));
            port_write(&trial, 4);
        } else if (letter == 'M') {
            answer(ea_learn_begin_mirrored(l, block));
        } else if (letter >= '1' && letter <= '3') {
            int32_t status;
            before = port_ticks();
            status = step(l, letter, (const uint8_t *)input, bytes);
            ticks = since(before);
            answer(status);
            port_write(&ticks, 4);
        } else if (letter == 'A') {
            answer(ea_learn_answer(l, block));
        } else if (letter == 'E') {
            answer(ea_learn_best(l, block));
        } else if (letter == 'W') {
            answer(ea_learn_reward(l, block, input[0], input[1]));
        } else if (letter == 'Y') {
            answer(ea_learn_label(l, block, input[0], input[1]));
        } else if (letter == 'C') {
            int32_t status;
            before = port_ticks();
            status = ea_learn_commit(l, block, input[0]);
            ticks = since(before);
            answer(status);
            port_write(&ticks, 4);
        } else if (letter == 'X') {
            whole_trial(l, bytes);
        } else if (letter == 'S') {
            answer(save(l));
        } else if (letter == 'L') {
            answer(ea_learn_load(l, block, &kept));
        } else if (letter == 'V') {
            answer(ea_learn_rollback(l, block, &kept));
        } else if (letter == 'Z') {
            answer(ea_learn_freeze(l, block, input[0]));
        } else if (letter == 'G') {
            answer(ea_learn_health(l, block));
        } else if (letter == 'K') {
            const uint32_t crc = ea_learn_crc(l, block);
            port_write(&crc, 4);
        } else if (letter == 'R') {
            port_write((const uint8_t *)block + t->weights, t->weight_bytes);
        } else {
            port_close((letter == 'Q') ? 0 : 2);
            return (letter == 'Q') ? 0 : 2;
        }
        port_flush();
    }
}
