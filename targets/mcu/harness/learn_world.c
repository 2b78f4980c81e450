/* Whole trials in a world that knows the right answers: one that is sent, or many on samples that are kept. */
#include "learn_world.h"

#define SECTOR 4096u
enum { DRAW_WORLD = 33, DRAW_REWARD = 34 }; /* of the hash; edge_anp/continual.py has the first */

static uint8_t flash[FLASH_BYTES + 1];
static uint32_t data[DATA_BYTES / 4 + 1], size; /* size: words of a sample, its count of bytes the first */

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

static int32_t fetch(void *context, uint32_t at, uint8_t *to, uint32_t bytes)
{
    uint32_t k;
    (void)context;
    for (k = 0; k < bytes; k++) {
        to[k] = flash[at + k];
    }
    return 0;
}

const ea_flash world_flash = {0, SECTOR, FLASH_BYTES / SECTOR, 256, erase, program, fetch};

void world_open(void)
{
    uint32_t k;
    for (k = 0; k < FLASH_BYTES; k++) {
        flash[k] = 255;
    }
}

void world_give(void)
{
    const uint32_t bytes = FLASH_BYTES;
    port_write(&bytes, 4);
    port_write(flash, bytes);
}

int32_t world_put(uint32_t bytes)
{
    uint32_t k;
    uint8_t one;
    for (k = 0; k < bytes; k++) {
        port_read(&one, 1);
        if (k < FLASH_BYTES) {
            flash[k] = one;
        }
    }
    return (bytes == FLASH_BYTES) ? EA_OK : EA_FLASH;
}

int32_t world_save(const ea_learner *l, void *block)
{
    int32_t status;
    do {
        status = ea_learn_save(l, block, &world_flash);
    } while (status == EA_MORE);
    return status;
}

int32_t world_step(const ea_learner *l, void *block, uint32_t form, const void *at, uint32_t bytes)
{
    if (form == '1') {
        return ea_learn_step_bits(l, block, at);
    }
    return (form == '2') ? ea_learn_step_events(l, block, at, bytes / 2u) : ea_learn_step_bytes(l, block, at);
}

static uint32_t since(uint32_t before)
{
    return (port_ticks() - before) & 0xFFFFFFu;
}

/* What the world says of an answer: 1 is right. */
static uint32_t judge(uint32_t form, uint32_t right, uint32_t trial, uint32_t asked)
{
    uint32_t places[6] = {0};
    if ((form & WORLD_RANDOM) != 0u) {
        places[1] = trial;
        places[2] = DRAW_REWARD;
        places[5] = asked;
        return ea_noise(places, 6) >> 31;
    }
    return ((form & WORLD_INVERTED) != 0u) ? 1u - right : right;
}

/* All steps of a run that was begun. */
static int32_t all_steps(const ea_learner *l, void *block, const uint32_t *words, uint32_t bytes, uint32_t *ticks)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const uint32_t form = words[2] & 255u, one = (form == '1') ? (net->inputs + 31u) / 32u * 4u : net->inputs;
    int32_t status = EA_OK;
    uint32_t at, before;
    for (at = 0; status == EA_OK && at + one <= bytes - 12u; at += one) {
        before = port_ticks();
        status = world_step(l, block, form, (const uint8_t *)&words[3] + at, one);
        *ticks += since(before);
    }
    return status;
}

/* The mirrored run of a pair, whose answer is judged too. */
static int32_t mirrored_run(const ea_learner *l, void *block, const uint32_t *words, uint32_t bytes, uint32_t *ticks)
{
    const uint32_t trial = ((ea_learn_head *)block)->trial;
    int32_t status = ea_learn_begin_mirrored(l, block), given;
    status = (status == EA_OK) ? all_steps(l, block, words, bytes, ticks) : status;
    if (status != EA_OK) {
        return status;
    }
    given = ea_learn_answer(l, block);
    return (given < 0) ? given : ea_learn_reward(l, block, trial, 128u * judge(words[2], (given == (int32_t)words[0]) ? 1u : 0u, trial, 1));
}

int32_t world_trial(const ea_learner *l, void *block, const uint32_t *words, uint32_t bytes, uint32_t found[5])
{
    const uint32_t label = words[0], form = words[2], paired = (((const ea_learn_table *)l->table)->rule == 1u) ? 1u : 0u;
    const uint32_t guesses = (paired != 0u && words[1] != 255u) ? 1u : words[1];
    uint32_t trial = 0, asked = 0, right = 0, said = 0, before, ticks = 0, after = 0;
    int32_t status = ea_learn_begin(l, block, &trial), health;
    if (guesses == 255u) {
        ((ea_learn_head *)block)->mirrored = EA_UNMOVED; /* looking is done without a perturbation */
    }
    status = (status == EA_OK) ? all_steps(l, block, words, bytes, &ticks) : status;
    if (status == EA_OK && guesses == 0u) {
        right = (ea_learn_best(l, block) == (int32_t)label) ? 1u : 0u;
        status = ea_learn_label(l, block, trial, label);
    }
    while (status == EA_OK && asked < guesses && said == 0u && guesses != 255u) {
        const int32_t given = ea_learn_answer(l, block);
        right = (given == (int32_t)label) ? 1u : 0u;
        said = judge(form, right, trial, asked);
        asked++;
        status = (given < 0) ? given : ea_learn_reward(l, block, trial, 128u * said);
    }
    if (status == EA_OK && paired != 0u && guesses != 255u) {
        status = mirrored_run(l, block, words, bytes, &ticks);
        asked++;
    }
    if (status == EA_OK && guesses == 255u) {
        right = (uint32_t)ea_learn_best(l, block);
        ((ea_learn_head *)block)->trial = trial - 1u; /* looking changes nothing: neither noise nor annealing */
        ((ea_learn_head *)block)->phase = EA_IDLE;
    } else if (status == EA_OK) {
        before = port_ticks();
        status = ea_learn_commit(l, block, 0);
        after = since(before);
    } else {
        /* the status says why */
    }
    health = ea_learn_health(l, block);
    if (status == EA_OK && (form & WORLD_GUARDED) != 0u && health == EA_SAVE) {
        status = world_save(l, block);
    }
    if (status == EA_OK && (form & WORLD_GUARDED) != 0u && health == EA_ROLL_BACK) {
        status = ea_learn_rollback(l, block, &world_flash);
    }
    found[0] = asked;
    found[1] = right;
    found[2] = ticks;
    found[3] = after;
    found[4] = (uint32_t)health;
    return status;
}

int32_t world_keep(const uint32_t *words, uint32_t bytes)
{
    const uint32_t count = bytes / 4u; /* of the place too, which is replaced by the bytes of what follows it */
    uint32_t k;
    if (words[0] == 0u) {
        size = count;
    }
    if (bytes < 16u || count != size || (words[0] + 1u) > DATA_BYTES / 4u / size) {
        return EA_TOO_SMALL;
    }
    data[words[0] * size] = bytes - 4u;
    for (k = 1; k < size; k++) {
        data[words[0] * size + k] = words[k];
    }
    return EA_OK;
}

int32_t world_play(const ea_learner *l, void *block, const uint32_t *words, uint32_t found[5])
{
    uint32_t places[6] = {0}, k, one[5];
    int32_t status = (size == 0u || words[5] == 0u || words[5] > DATA_BYTES / 4u / size) ? EA_TOO_SMALL : EA_OK;
    for (k = 0; k < 5u; k++) {
        found[k] = 0;
    }
    places[0] = words[4];
    places[2] = DRAW_WORLD;
    for (k = words[0]; status == EA_OK && k != words[0] + words[1]; k++) {
        uint32_t *sample;
        places[5] = k;
        sample = &data[size * (uint32_t)(((uint64_t)ea_noise(places, 6) * words[5]) >> 32)];
        sample[2] = words[2];
        sample[3] = (sample[3] & 255u) | (words[3] & ~255u);
        status = world_trial(l, block, &sample[1], sample[0], one);
        found[0] += one[0];
        found[1] += one[1];
        found[2] += (one[4] == (uint32_t)EA_SAVE) ? 1u : 0u;
        found[3] += (one[4] == (uint32_t)EA_ROLL_BACK) ? 1u : 0u;
        found[4] = one[4];
    }
    return status;
}
