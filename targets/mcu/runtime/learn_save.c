/* The journal, written and gone back to: one operation of the flash a call. edge_anp_save.h says how it lies there. */
#include "edge_anp_learn_table.h"
#include "edge_anp_save.h"

/* Stages of a save or of forgetting, whose slots count on from EA_FORGETTING; the bytes or sectors done are in head->saved. */
enum { EA_NOT_SAVING, EA_ERASING, EA_PROGRAMMING, EA_FORGETTING };

static int32_t check_flash(const ea_learn_table *t, const ea_flash *flash)
{
    if (flash == NULL || flash->erase == NULL || flash->program == NULL || flash->read == NULL) {
        return EA_NULL;
    }
    return (flash->page == 0u || flash->page > EA_PAGE || (flash->page & (flash->page - 1u)) != 0u || flash->sector < EA_PAGE ||
            flash->sector % flash->page != 0u || 2u * ea_slot_sectors(t, flash) > flash->sectors) ? EA_FLASH : EA_OK;
}

static void empty(uint32_t words[EA_JOURNAL_WORDS])
{
    uint32_t k;
    for (k = 0; k < EA_JOURNAL_WORDS; k++) {
        words[k] = 0;
    }
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
    words[EA_J_VERSION] = 2;
    words[EA_J_SEQUENCE] = head->sequence;
    words[EA_J_NETWORK] = t->model;
    words[EA_J_LEARNER] = t->crc;
    words[EA_J_TRIAL] = head->saved_trial;
    words[EA_J_SEED] = head->seed;
    words[EA_J_RUNNING] = head->saved_running;
    words[EA_J_GOOD] = head->saved_good;
    words[EA_J_BYTES] = t->weight_bytes;
    words[EA_J_CRC] = ea_crc(0, &block[t->weights], t->weight_bytes);
    words[EA_J_ANCHOR] = head->saved_anchor;
    words[EA_J_HEAD_CRC] = ea_crc(0, words, 4u * EA_J_HEAD_CRC);
}

/* One page of the slot that is written: weights from the first to the last, then the head from its last page to its first. */
static int32_t program(const ea_learn_table *t, uint8_t *block, const ea_flash *flash)
{
    ea_learn_head *head = (ea_learn_head *)(void *)block;
    const uint32_t at = ea_slot_at(t, flash, head->slot), head_pages = (4u * EA_JOURNAL_WORDS + flash->page - 1u) / flash->page;
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

/* The slot to write, neither the newest nor its anchor; and the next sequence, never 0. In a world that changed, the newest is the anchor. */
static int32_t begin(const ea_learn_table *t, ea_learn_head *head, const ea_flash *flash)
{
    uint32_t words[EA_JOURNAL_WORDS], other[EA_JOURNAL_WORDS], slot = 0, kept = EA_SLOTS;
    const uint32_t count = ea_slot_count(t, flash);
    const int32_t found = ea_slot_newest(t, flash, &slot, words);
    const int32_t anchor = (found == EA_OK) ? ea_slot_numbered(t, flash, words[EA_J_ANCHOR], &kept, other) : found;
    if (found == EA_FLASH || anchor == EA_FLASH) {
        return EA_FLASH;
    }
    head->saved_anchor = (anchor == EA_OK) ? words[EA_J_ANCHOR] : 0u;
    head->slot = 0;
    head->sequence = 1;
    if (found == EA_OK) {
        if (count == EA_SLOTS && ea_learn_changed(t, head) != 0) {
            head->saved_anchor = words[EA_J_SEQUENCE];
        }
        head->slot = (slot + 1u) % count;
        head->slot = (head->slot == kept) ? (head->slot + 1u) % count : head->slot;
        head->sequence = (words[EA_J_SEQUENCE] == 0xFFFFFFFFu) ? 1u : words[EA_J_SEQUENCE] + 1u;
    }
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
        error = (flash->erase(flash->context, head->slot * ea_slot_sectors(t, flash) + head->saved) != 0) ? EA_FLASH : EA_MORE;
        head->saved++;
        if (head->saved == ea_slot_sectors(t, flash)) {
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
        head->anchor = head->saved_anchor;
        ea_learn_saved(head);
    }
    return error;
}

int32_t ea_learn_load(const ea_learner *learner, void *block, const ea_flash *flash)
{
    const ea_learn_table *t;
    int32_t error = ready(learner, block, flash, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t words[EA_JOURNAL_WORDS], other[EA_JOURNAL_WORDS], slot;
    if (error != EA_OK) {
        return error;
    }
    if (head->phase == EA_COMMITTING || head->saving != EA_NOT_SAVING) {
        return EA_ORDER;
    }
    error = ea_slot_restore(t, (uint8_t *)block, flash, 0, words);
    if (error == EA_OK) {
        head->anchor = (ea_slot_numbered(t, flash, words[EA_J_ANCHOR], &slot, other) == EA_OK) ? words[EA_J_ANCHOR] : 0u;
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
    uint32_t words[EA_JOURNAL_WORDS], anchor;
    if (error != EA_OK) {
        return error;
    }
    if (head->phase == EA_COMMITTING || head->saving != EA_NOT_SAVING) {
        return EA_ORDER;
    }
    anchor = (head->troubled != 0u && head->trying == EA_NEWEST) ? head->anchor : 0u;
    error = ea_slot_restore(t, (uint8_t *)block, flash, anchor, words);
    if (error == EA_NOTHING && anchor != 0u) { /* damaged since */
        head->anchor = 0;
        error = ea_slot_restore(t, (uint8_t *)block, flash, 0, words);
    }
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
    uint32_t words[EA_JOURNAL_WORDS], slot = 0, count;
    if (error != EA_OK) {
        return error;
    }
    if (head->phase == EA_COMMITTING || head->saving == EA_ERASING || head->saving == EA_PROGRAMMING) {
        return EA_ORDER;
    }
    count = ea_slot_count(t, flash);
    if (head->saving == EA_NOT_SAVING) {
        head->slot = (ea_slot_newest(t, flash, &slot, words) == EA_OK) ? (slot + 1u) % count : 0u;
        head->saved = 0;
        head->anchor = 0;
        head->saving = EA_FORGETTING;
    }
    if (flash->erase(flash->context, head->slot * ea_slot_sectors(t, flash) + head->saved) != 0) {
        head->saving = EA_NOT_SAVING;
        return EA_FLASH;
    }
    head->saved++;
    if (head->saved == ea_slot_sectors(t, flash)) {
        head->saved = 0;
        head->slot = (head->slot + 1u) % count;
        head->saving = (head->saving + 1u < EA_FORGETTING + count) ? head->saving + 1u : (uint32_t)EA_NOT_SAVING;
    }
    return (head->saving == EA_NOT_SAVING) ? EA_OK : EA_MORE;
}
