/* Power fails at every byte of every program, and in the middle of every erase: what is loaded afterwards is always the old or the new.
 * Arguments: how many saves. Prints the simulated cuts. Returns 0, or the line that found a mix.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_anp_learn_table.h"
#include "edge_anp_save.h"
#include "learn.h"

#define PAGE 16u
#define SECTOR 256u
#define SECTORS 64u

static uint8_t flash[SECTOR * SECTORS], before[SECTOR * SECTORS];
static long left; /* bytes until the power fails; below 0: never */
static uint32_t dice = 1;

static uint32_t roll(void)
{
    dice = dice * 1664525u + 1013904223u;
    return dice >> 16;
}

static int32_t erase(void *context, uint32_t sector)
{
    uint32_t k;
    (void)context;
    if (left == 0) {
        return 1;
    }
    if (left > 0 && left < (long)PAGE) { /* in the middle: anything may be there */
        for (k = 0; k < SECTOR; k++) {
            const uint32_t kind = roll() % 3u;
            uint8_t *byte = &flash[sector * SECTOR + k];
            *byte = (uint8_t)((kind == 0u) ? 255u : (kind == 1u) ? *byte : (*byte | roll()));
        }
        left = 0;
        return 1;
    }
    left -= (left > 0) ? (long)PAGE : 0;
    memset(&flash[sector * SECTOR], 255, SECTOR);
    return 0;
}

static int32_t program(void *context, uint32_t at, const uint8_t *page)
{
    uint32_t k;
    (void)context;
    for (k = 0; k < PAGE; k++) {
        if (left == 0) {
            return 1;
        }
        flash[at + k] &= page[k];
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

static const ea_flash device = {NULL, SECTOR, SECTORS, PAGE, erase, program, fetch};
static uint32_t block[NETWORK_LEARN_BYTES / 4], other[NETWORK_LEARN_BYTES / 4];

static int32_t save(void *memory)
{
    int32_t status;
    do {
        status = ea_learn_save(&network_learner, memory, &device);
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

int main(int count, char **words)
{
    const ea_learn_table *t = (const ea_learn_table *)network_learner.table;
    const long saves = (count > 1) ? atol(words[1]) : 3;
    long cuts = 0, n, bit;
    uint32_t last = 0;
    left = -1;
    memset(flash, 255, sizeof flash);
    if (ea_learn_init(&network_learner, block, sizeof block, 1) != EA_OK || boot() != 0u) {
        return __LINE__ & 127;
    }
    for (n = 0; n < saves; n++) {
        uint32_t k, now, total = 0;
        static uint32_t resumed[NETWORK_LEARN_BYTES / 4];
        for (k = 0; k < t->weight_bytes; k++) {
            ((uint8_t *)block)[t->weights + k] = (uint8_t)roll();
        }
        memcpy(before, flash, sizeof flash);
        now = ea_learn_crc(&network_learner, block);
        memcpy(resumed, block, sizeof block);
        left = 1L << 30;
        if (save(block) != EA_OK || boot() != now) {
            return __LINE__ & 127;
        }
        total = (uint32_t)((1L << 30) - left);
        for (k = 0; k < total; k++) {
            uint32_t found;
            memcpy(flash, before, sizeof flash);
            memcpy(block, resumed, sizeof block);
            left = (long)k;
            (void)save(block);
            found = boot();
            cuts++;
            if (found != now && found != last) {
                return __LINE__ & 127;
            }
            left = -1; /* power is back: a save must succeed whatever was left */
            if (k % 16u == 0u) {
                memcpy(block, resumed, sizeof block);
                if (save(block) != EA_OK || boot() != now) {
                    return __LINE__ & 127;
                }
            }
        }
        memcpy(flash, before, sizeof flash);
        memcpy(block, resumed, sizeof block);
        left = -1;
        if (save(block) != EA_OK || boot() != now) {
            return __LINE__ & 127;
        }
        last = now;
    }
    /* a flipped bit of the newest slot is found: the one before is taken, or nothing */
    for (bit = 0; bit < (long)(8u * sizeof flash); bit++) {
        uint32_t found;
        flash[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        found = boot();
        flash[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (found != last && found != 0u) {
            const uint32_t again = boot();
            if (again != last) {
                return __LINE__ & 127;
            }
        }
    }
    /* a factory reset always works */
    do {
        n = ea_learn_forget(&network_learner, block, &device);
    } while (n == EA_MORE);
    if (n != EA_OK || boot() != 0u) {
        return __LINE__ & 127;
    }
    printf("%ld\n", cuts);
    return 0;
}
