/* The journal: edge_anp_save.h says how it lies in flash. Whatever a power cut leaves, a slot without a valid head does not count. */
#include "edge_anp_learn_table.h"
#include "edge_anp_save.h"

#define EA_JOURNAL_MAGIC 0x314A4145u /* "EAJ1" */
#define EA_JOURNAL_WORDS 16u
#define EA_WEIGHTS_AT 256u
#define EA_PAGE 256u

enum { EA_J_MAGIC, EA_J_VERSION, EA_J_SEQUENCE, EA_J_NETWORK, EA_J_LEARNER, EA_J_TRIAL, EA_J_SEED, EA_J_RUNNING, EA_J_GOOD, EA_J_BYTES, EA_J_CRC, EA_J_HEAD_CRC = 15 };

/* Stages of a save or of forgetting; the bytes or sectors done are in head->saved. */
enum { EA_NOT_SAVING, EA_ERASING, EA_PROGRAMMING, EA_FORGETTING, EA_FORGETTING_LAST };

static uint32_t slot_sectors(const ea_learn_table *t, const ea_flash *flash)
{
    return (EA_WEIGHTS_AT + t->weight_bytes + flash->sector - 1u) / flash->sector;
}

static int32_t check_flash(const ea_learn_table *t, const ea_flash *flash)
{
    if (flash == NULL || flash->erase == NULL || flash->program == NULL || flash->read == NULL) {
        return EA_NULL;
    }
    return (flash->page == 0u || flash->page > EA_PAGE || (flash->page & (flash->page - 1u)) != 0u || flash->sector < EA_PAGE ||
            flash->sector % flash->page != 0u || 2u * slot_sectors(t, flash) > flash->sectors) ? EA_FLASH : EA_OK;
}

static uint32_t slot_at(const ea_learn_table *t, const ea_flash *flash, uint32_t slot)
{
    return slot * slot_sectors(t, flash) * flash->sector;
}

static void empty(uint32_t words[EA_JOURNAL_WORDS])
{
    uint32_t k;
    for (k = 0; k < EA_JOURNAL_WORDS; k++) {
        words[k] = 0;
    }
}

/* The head of a slot: EA_OK if it and the weights are whole and this model's, EA_OTHER_MODEL, EA_NOTHING, or EA_FLASH. */
static int32_t examine(const ea_learn_table *t, const ea_flash *flash, uint32_t slot, uint32_t words[EA_JOURNAL_WORDS])
{
    const uint32_t at = slot_at(t, flash, slot);
    uint8_t some[64];
    uint32_t crc = 0, done, n;
    if (flash->read(flash->context, at, (uint8_t *)words, 4u * EA_JOURNAL_WORDS) != 0) {
        return EA_FLASH;
    }
    if (words[EA_J_MAGIC] != EA_JOURNAL_MAGIC || words[EA_J_VERSION] != 1u || ea_crc(0, words, 4u * EA_J_HEAD_CRC) != words[EA_J_HEAD_CRC]) {
        return EA_NOTHING;
    }
    if (words[EA_J_NETWORK] != t->model || words[EA_J_LEARNER] != t->crc || words[EA_J_BYTES] != t->weight_bytes) {
        return EA_OTHER_MODEL;
    }
    for (done = 0; done < t->weight_bytes; done += n) {
        n = (t->weight_bytes - done < sizeof some) ? t->weight_bytes - done : (uint32_t)sizeof some;
        if (flash->read(flash->context, at + EA_WEIGHTS_AT + done, some, n) != 0) {
            return EA_FLASH;
        }
        crc = ea_crc(crc, some, n);
    }
    return (crc == words[EA_J_CRC]) ? EA_OK : EA_NOTHING;
}

/* The slot that holds, and its head; or why there is none. */
static int32_t newest(const ea_learn_table *t, const ea_flash *flash, uint32_t *slot, uint32_t words[EA_JOURNAL_WORDS])
{
    uint32_t other[EA_JOURNAL_WORDS];
    const int32_t first = examine(t, flash, 0, words), second = examine(t, flash, 1, other);
    uint32_t k;
    if (first == EA_FLASH || second == EA_FLASH) {
        return EA_FLASH;
    }
    *slot = 0;
    if (second == EA_OK && (first != EA_OK || other[EA_J_SEQUENCE] - words[EA_J_SEQUENCE] < 0x80000000u)) {
        *slot = 1;
        for (k = 0; k < EA_JOURNAL_WORDS; k++) {
            words[k] = other[k];
        }
        return EA_OK;
    }
    return (first == EA_OK) ? EA_OK : (first == EA_OTHER_MODEL || second == EA_OTHER_MODEL) ? EA_OTHER_MODEL : EA_NOTHING;
}

int32_t ea_learn_slot(const ea_learner *learner)
{
    const int32_t size = ea_learn_size(learner);
    return (size < 0) ? size : (int32_t)(EA_WEIGHTS_AT + ((const ea_learn_table *)learner->table)->weight_bytes);
}

static int32_t ready(const ea_learner *learner, const void *block, const ea_flash *flash, const ea_learn_table **t)
{
    const int32_t error = ea_learn_open(learner, block, t);
    return (error != EA_OK) ? error : check_flash(*t, flash);
}

static void write_head(const ea_learn_table *t, const uint8_t *block, uint32_t words[EA_JOURNAL_WORDS])
{
    const ea_learn_head *head = (const ea_learn_head *)(const void *)block;
    empty(words);
    words[EA_J_MAGIC] = EA_JOURNAL_MAGIC;
    words[EA_J_VERSION] = 1;
    words[EA_J_SEQUENCE] = head->sequence;
    words[EA_J_NETWORK] = t->model;
    words[EA_J_LEARNER] = t->crc;
    words[EA_J_TRIAL] = head->saved_trial;
    words[EA_J_SEED] = head->seed;
    words[EA_J_RUNNING] = head->saved_running;
    words[EA_J_GOOD] = head->saved_good;
    words[EA_J_BYTES] = t->weight_bytes;
    words[EA_J_CRC] = ea_crc(0, &block[t->weights], t->weight_bytes);
    words[EA_J_HEAD_CRC] = ea_crc(0, words, 4u * EA_J_HEAD_CRC);
}

/* One page of the slot that is written: weights from the first to the last, then the head from its last page to its first. */
static int32_t program(const ea_learn_table *t, uint8_t *block, const ea_flash *flash)
{
    ea_learn_head *head = (ea_learn_head *)(void *)block;
    const uint32_t at = slot_at(t, flash, head->slot), head_pages = (4u * EA_JOURNAL_WORDS + flash->page - 1u) / flash->page;
    const uint32_t pages = (t->weight_bytes + flash->page - 1u) / flash->page;
    uint32_t words[EA_PAGE / 4u], k, place;
    uint8_t *bytes = (uint8_t *)words;
    for (k = 0; k < EA_PAGE / 4u; k++) {
        words[k] = 0xFFFFFFFFu;
    }
    if (head->saved < pages) {
        const uint32_t from = head->saved * flash->page;
        place = EA_WEIGHTS_AT + from;
        for (k = 0; k < flash->page && from + k < t->weight_bytes; k++) {
            bytes[k] = block[t->weights + from + k];
        }
    } else {
        uint32_t content[EA_JOURNAL_WORDS];
        const uint8_t *from;
        place = (head_pages - 1u - (head->saved - pages)) * flash->page;
        write_head(t, block, content);
        from = (const uint8_t *)content;
        for (k = 0; k < flash->page && place + k < 4u * EA_JOURNAL_WORDS; k++) {
            bytes[k] = from[place + k];
        }
    }
    if (flash->program(flash->context, at + place, bytes) != 0) {
        return EA_FLASH;
    }
    head->saved++;
    return (head->saved == pages + head_pages) ? EA_OK : EA_MORE;
}

/* The slot to write, and the next sequence. */
static int32_t begin(const ea_learn_table *t, ea_learn_head *head, const ea_flash *flash)
{
    uint32_t words[EA_JOURNAL_WORDS], slot;
    const int32_t found = newest(t, flash, &slot, words);
    if (found == EA_FLASH) {
        return EA_FLASH;
    }
    head->slot = (found == EA_OK) ? 1u - slot : 0u;
    head->sequence = (found == EA_OK) ? words[EA_J_SEQUENCE] + 1u : 1u;
    head->saved = 0;
    head->saved_trial = head->trial;
    head->saved_running = head->running;
    head->saved_good = head->slow >> EA_FINER;
    head->saving = EA_ERASING;
    return EA_OK;
}

int32_t ea_learn_save(const ea_learner *learner, void *block, const ea_flash *flash)
{
    const ea_learn_table *t;
    int32_t error = ready(learner, block, flash, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    if (error != EA_OK) {
        return error;
    }
    if (head->phase == EA_COMMITTING || head->saving >= EA_FORGETTING) {
        return EA_ORDER;
    }
    if (head->saving == EA_NOT_SAVING) {
        error = begin(t, head, flash);
        if (error != EA_OK) {
            return error;
        }
    }
    if (head->saving == EA_ERASING) {
        error = (flash->erase(flash->context, head->slot * slot_sectors(t, flash) + head->saved) != 0) ? EA_FLASH : EA_MORE;
        head->saved++;
        if (head->saved == slot_sectors(t, flash)) {
            head->saving = EA_PROGRAMMING;
            head->saved = 0;
        }
    } else {
        error = program(t, (uint8_t *)block, flash);
    }
    if (error != EA_MORE) {
        head->saving = EA_NOT_SAVING;
    }
    if (error == EA_OK) {
        ea_learn_saved(head);
    }
    return error;
}

/* The weights of the slot that holds, in the block. */
static int32_t restore(const ea_learn_table *t, uint8_t *block, const ea_flash *flash, uint32_t words[EA_JOURNAL_WORDS])
{
    uint32_t slot;
    const int32_t found = newest(t, flash, &slot, words);
    if (found == EA_OK && flash->read(flash->context, slot_at(t, flash, slot) + EA_WEIGHTS_AT, &block[t->weights], t->weight_bytes) != 0) {
        return EA_FLASH;
    }
    return found;
}

int32_t ea_learn_load(const ea_learner *learner, void *block, const ea_flash *flash)
{
    const ea_learn_table *t;
    int32_t error = ready(learner, block, flash, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t words[EA_JOURNAL_WORDS];
    if (error != EA_OK) {
        return error;
    }
    if (head->phase == EA_COMMITTING || head->saving != EA_NOT_SAVING) {
        return EA_ORDER;
    }
    error = restore(t, (uint8_t *)block, flash, words);
    if (error == EA_OK) {
        head->trial = words[EA_J_TRIAL];
        head->seed = words[EA_J_SEED];
        ea_learn_resume(head, words[EA_J_RUNNING], words[EA_J_GOOD]);
        head->phase = EA_IDLE;
    }
    return error;
}

int32_t ea_learn_rollback(const ea_learner *learner, void *block, const ea_flash *flash)
{
    const ea_learn_table *t;
    int32_t error = ready(learner, block, flash, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t words[EA_JOURNAL_WORDS];
    if (error != EA_OK) {
        return error;
    }
    if (head->phase == EA_COMMITTING || head->saving != EA_NOT_SAVING) {
        return EA_ORDER;
    }
    error = restore(t, (uint8_t *)block, flash, words);
    if (error == EA_FLASH) {
        return error;
    }
    if (error != EA_OK) {
        ea_learn_ship(learner, (uint8_t *)block);
    }
    ea_learn_rolled_back(head);
    head->phase = EA_IDLE;
    return EA_OK;
}

int32_t ea_learn_forget(const ea_learner *learner, void *block, const ea_flash *flash)
{
    const ea_learn_table *t;
    const int32_t error = ready(learner, block, flash, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t words[EA_JOURNAL_WORDS], slot = 0, k;
    if (error != EA_OK) {
        return error;
    }
    if (head->phase == EA_COMMITTING || head->saving == EA_ERASING || head->saving == EA_PROGRAMMING) {
        return EA_ORDER;
    }
    if (head->saving == EA_NOT_SAVING) {
        head->slot = (newest(t, flash, &slot, words) == EA_OK) ? 1u - slot : 0u;
        head->saved = 0;
        head->saving = EA_FORGETTING;
    }
    k = head->slot * slot_sectors(t, flash) + head->saved;
    if (flash->erase(flash->context, k) != 0) {
        head->saving = EA_NOT_SAVING;
        return EA_FLASH;
    }
    head->saved++;
    if (head->saved == slot_sectors(t, flash)) {
        head->saved = 0;
        head->slot = 1u - head->slot;
        head->saving = (head->saving == EA_FORGETTING) ? EA_FORGETTING_LAST : EA_NOT_SAVING;
    }
    return (head->saving == EA_NOT_SAVING) ? EA_OK : EA_MORE;
}
