/* Power fails at every byte of every program, and in the middle of every erase: what is loaded afterwards is always the old or the new.
 * So is the guard's anchor, in a flash of three slots: it stays what it was when the save that names it was made.
 * Arguments: how many saves, bytes of a page, bytes of a sector, slots (2 or 3). Prints the simulated cuts. Returns 0, or the line (modulo 128) that found
 * a mix. A page is programmed at most once between two erases, as a flash with error correction demands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_anp_learn_table.h"
#include "edge_anp_save.h"
#include "learn.h"

#define BYTES 16384u
#define FAIL return (__LINE__ & 127) | 1

static uint8_t flash[BYTES], before[BYTES], touched[BYTES]; /* touched: programmed since its erase */
static uint32_t page, sector;
static long left; /* bytes until the power fails, an erase counting as ERASE of them; below 0: never */
static uint32_t dice = 1, twice;
enum { ERASE = 4 }; /* cuts within one erase */

static uint32_t roll(void)
{
    dice = dice * 1664525u + 1013904223u;
    return dice >> 16;
}

/* Whatever an erase that was cut off may leave: erased bytes, old ones, bits on the way up, anything at all. */
static void tear(uint32_t at)
{
    const uint32_t kind = roll() % 5u, first = roll() % sector, bytes = 1u + roll() % (sector - first);
    uint32_t k;
    for (k = 0; k < sector; k++) {
        uint8_t *byte = &flash[at + k];
        const uint8_t some[5] = {(uint8_t)((roll() & 1u) ? 255u : *byte), (uint8_t)(*byte | roll()), (uint8_t)roll(),
                                 (uint8_t)((k - first < bytes) ? 255u : *byte), (uint8_t)((k - first < bytes) ? *byte : 255u)};
        *byte = some[kind];
    }
}

static int32_t erase(void *context, uint32_t number)
{
    (void)context;
    if (left == 0) {
        return 1;
    }
    if (left > 0 && left < ERASE) {
        tear(number * sector);
        left = 0;
        return 1;
    }
    left -= (left > 0) ? ERASE : 0;
    memset(&flash[number * sector], 255, sector);
    memset(&touched[number * sector], 0, sector);
    return 0;
}

static int32_t program(void *context, uint32_t at, const uint8_t *bytes)
{
    uint32_t k;
    (void)context;
    twice += touched[at];
    for (k = 0; k < page; k++) {
        if (left == 0) {
            return 1;
        }
        flash[at + k] &= bytes[k];
        touched[at + k] = 1;
        left -= (left > 0) ? 1 : 0;
    }
    return 0;
}

static int32_t fetch(void *context, uint32_t at, uint8_t *data, uint32_t bytes)
{
    (void)context;
    memcpy(data, &flash[at], bytes);
    return 0;
}

static ea_flash device = {NULL, 0, 0, 0, erase, program, fetch};
static uint32_t block[NETWORK_LEARN_BYTES / 4], other[NETWORK_LEARN_BYTES / 4], resumed[NETWORK_LEARN_BYTES / 4];

static int32_t save(void *memory)
{
    int32_t status;
    do {
        status = ea_learn_save(&network_learner, memory, &device);
    } while (status == EA_MORE);
    return status;
}

/* A save, with a trial between every two of its calls, whose commit must wait. */
static int32_t save_among_trials(void)
{
    static const uint32_t bits[1] = {5};
    int32_t status;
    while ((status = ea_learn_save(&network_learner, block, &device)) == EA_MORE) {
        uint32_t trial = 0;
        if (ea_learn_begin(&network_learner, block, &trial) != EA_OK || ea_learn_step_bits(&network_learner, block, bits) != EA_OK ||
            ea_learn_answer(&network_learner, block) < 0 || ea_learn_reward(&network_learner, block, trial, roll() % 129u) != EA_OK ||
            ea_learn_commit(&network_learner, block, 0) != EA_BUSY) {
            return EA_ORDER;
        }
    }
    return status;
}

static int32_t forget(void)
{
    int32_t status;
    do {
        status = ea_learn_forget(&network_learner, block, &device);
    } while (status == EA_MORE);
    return status;
}

/* The checksum of what a device that starts now has; 0 if nothing. */
static uint32_t boot(void)
{
    if (ea_learn_init(&network_learner, other, sizeof other, 1) != EA_OK || ea_learn_load(&network_learner, other, &device) != EA_OK) {
        return 0;
    }
    return ea_learn_crc(&network_learner, other);
}

/* Whether a guard in trouble, in the device that just started, goes back to the anchor of what it found; to that itself if there is none. */
static int anchored(uint32_t found, uint32_t anchor)
{
    ea_learn_head *head = (ea_learn_head *)(void *)other;
    if (found == 0u) {
        return 1;
    }
    head->troubled = 1;
    return ea_learn_rollback(&network_learner, other, &device) == EA_OK &&
           ea_learn_crc(&network_learner, other) == ((anchor != 0u) ? anchor : found) && (head->trying == EA_ANCHOR) == (anchor != 0u);
}

int main(int count, char **words)
{
    const ea_learn_table *t = (const ea_learn_table *)network_learner.table;
    const long saves = (count > 1) ? atol(words[1]) : 3;
    const uint32_t slots = (count > 4) ? (uint32_t)atol(words[4]) : 2u;
    uint32_t last = 0, older = 0, slot, k, now, total, found, anchor = 0, next = 0; /* next: the anchor of what is saved now */
    long cuts = 0, n;
    page = (count > 2) ? (uint32_t)atol(words[2]) : 16u;
    sector = (count > 3) ? (uint32_t)atol(words[3]) : 256u;
    device.page = page;
    device.sector = sector;
    slot = (256u + t->weight_bytes + sector - 1u) / sector * sector;
    device.sectors = slots * slot / sector;
    left = -1;
    memset(flash, 255, sizeof flash);
    if (slots * slot > BYTES || ea_learn_init(&network_learner, block, sizeof block, 1) != EA_OK || boot() != 0u) {
        FAIL;
    }
    for (n = 0; n < saves; n++) {
        for (k = 0; k < t->weight_bytes; k++) {
            ((uint8_t *)block)[t->weights + k] = (uint8_t)roll();
        }
        memcpy(before, flash, sizeof flash);
        now = ea_learn_crc(&network_learner, block);
        ((ea_learn_head *)(void *)block)->troubled = (n > 0) ? roll() % 2u : 0u; /* another world, now and then */
        next = (slots == 3u && ((ea_learn_head *)(void *)block)->troubled != 0u) ? last : anchor;
        memcpy(resumed, block, sizeof block);
        left = 1L << 30;
        if (save(block) != EA_OK || boot() != now || !anchored(now, next)) {
            FAIL;
        }
        total = (uint32_t)((1L << 30) - left);
        for (k = 0; k < total; k++) {
            memcpy(flash, before, sizeof flash);
            memcpy(block, resumed, sizeof block);
            left = (long)k;
            (void)save(block);
            found = boot();
            cuts++;
            if ((found != now && found != last) || !anchored(found, (found == now) ? next : anchor)) {
                FAIL;
            }
            left = -1; /* power is back: a save must succeed whatever was left */
            if (k % 16u == (uint32_t)n % 16u) {
                memcpy(block, resumed, sizeof block);
                if (save(block) != EA_OK || boot() != now) {
                    FAIL;
                }
            }
        }
        memcpy(flash, before, sizeof flash);
        memcpy(block, resumed, sizeof block);
        left = -1;
        memset(touched, 0, sizeof touched);
        twice = 0;
        if (save(block) != EA_OK || boot() != now || twice != 0u) {
            FAIL;
        }
        older = last;
        last = now;
        anchor = next;
    }
    /* two more, without trouble, so that the turns are over; then any flipped bit of the newest slot that has a meaning is found: the one
     * before is taken; others change nothing */
    for (n = 0; n < 2; n++) {
        ((uint8_t *)block)[t->weights] ^= 1u;
        older = last;
        last = ea_learn_crc(&network_learner, block);
        if (save(block) != EA_OK || boot() != last || !anchored(last, anchor)) {
            FAIL;
        }
    }
    for (k = 0; k < 8u * sizeof flash; k++) {
        const uint32_t byte = k / 8u % slot, newest = ((k / 8u) / slot == ((const ea_learn_head *)(const void *)block)->slot) ? 1u : 0u;
        const uint32_t meant = (byte < 64u || (byte >= 256u && byte < 256u + t->weight_bytes)) ? 1u : 0u;
        if (k / 8u >= slots * slot) {
            break;
        }
        flash[k / 8u] ^= (uint8_t)(1u << (k % 8u));
        found = boot();
        flash[k / 8u] ^= (uint8_t)(1u << (k % 8u));
        if (found != ((newest != 0u && meant != 0u) ? older : last)) {
            FAIL;
        }
    }
    if (boot() != last) {
        FAIL;
    }
    /* trials go on while a save is under way: what was when it began is saved */
    (void)ea_learn_init(&network_learner, block, sizeof block, 1);
    for (k = 0; k < t->weight_bytes; k++) {
        ((uint8_t *)block)[t->weights + k] = (uint8_t)roll();
    }
    ((ea_learn_head *)(void *)block)->trial = 1000;
    now = ea_learn_crc(&network_learner, block);
    if (save_among_trials() != EA_OK || boot() != now || ((const ea_learn_head *)(const void *)other)->trial != 1000u) {
        FAIL;
    }
    last = now;
    /* while it is forgotten, the newest goes last */
    memcpy(before, flash, sizeof flash);
    for (k = 0; k < slots * slot / sector * ERASE; k++) {
        memcpy(flash, before, sizeof flash);
        (void)ea_learn_init(&network_learner, block, sizeof block, 1);
        left = (long)k;
        (void)forget();
        found = boot();
        left = -1;
        if ((found != last && found != 0u) || (k < (slots - 1u) * slot / sector * ERASE && found != last) || forget() != EA_OK || boot() != 0u) {
            FAIL;
        }
    }
    /* a factory reset works on anything, and so does the save after it */
    for (n = 0; n < 200; n++) {
        for (k = 0; k < sizeof flash; k++) {
            flash[k] = (uint8_t)((n % 2 != 0) ? roll() : ((roll() % 400u == 0u) ? roll() : before[k]));
        }
        if (ea_learn_init(&network_learner, block, sizeof block, 1) != EA_OK || forget() != EA_OK || boot() != 0u || save(block) != EA_OK ||
            boot() != ea_learn_crc(&network_learner, block)) {
            FAIL;
        }
    }
    printf("%ld\n", cuts);
    return 0;
}
