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
 *                                       by perturbation: a pair of runs, one answer each
 *                                       form + 256: the guard's advice is followed after every trial; + 512: it answers at random;
 *                                       + 1024: it says right where the answer is wrong, and wrong where it is right
 *     D place, label, guesses, form, input -> status  keep a sample, the one of place 0 first; all are as long
 *     P first, trials, guesses, form, seed, samples -> status, asked, right, saves, rollbacks, health
 *                                       trials first, first + 1, ... on the samples that continual.schedule chooses
 *     S L V                          -> status        save to, load from, roll back to a flash of FLASH_BYTES that is kept in RAM
 *     J                              -> bytes, that flash
 *     F flash                        -> status        put one; B and L load from it
 *     Z frozen                       -> status
 *     G                              -> health
 *     K                              -> crc
 *     R                              -> the weights
 *     I trial, seed, weights         -> status        put what R gave
 *     Q                              end
 */
#include "learn_world.h"

#ifndef BLOCK_BYTES
#define BLOCK_BYTES 4096
#endif
#ifndef INPUT_BYTES
#define INPUT_BYTES 2048
#endif

extern const ea_learner *const ea_built_in_learner;

static uint32_t block[BLOCK_BYTES / 4];
static uint32_t input[INPUT_BYTES / 4 + 3];

static void answer(int32_t status)
{
    port_write(&status, 4);
}

int main(void)
{
    const ea_learner *l = ea_built_in_learner;
    const ea_learn_table *t = (const ea_learn_table *)l->table;
    port_open();
    world_open();
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
        if (letter == 'F') {
            answer(world_put(bytes));
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
            status = world_step(l, block, letter, input, bytes);
            ticks = (port_ticks() - before) & 0xFFFFFFu;
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
            ticks = (port_ticks() - before) & 0xFFFFFFu;
            answer(status);
            port_write(&ticks, 4);
        } else if (letter == 'X') {
            uint32_t found[5];
            answer(world_trial(l, block, input, bytes, found));
            port_write(found, sizeof found);
        } else if (letter == 'D') {
            answer(world_keep(input, bytes));
        } else if (letter == 'P') {
            uint32_t found[5];
            answer(world_play(l, block, input, found));
            port_write(found, sizeof found);
        } else if (letter == 'S') {
            answer(world_save(l, block));
        } else if (letter == 'L') {
            answer(ea_learn_load(l, block, &world_flash));
        } else if (letter == 'V') {
            answer(ea_learn_rollback(l, block, &world_flash));
        } else if (letter == 'J') {
            world_give();
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
