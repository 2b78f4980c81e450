/* The slots of the journal, read: which is the newest, and which the anchor. Whatever a power cut leaves, a slot without a valid head does
 * not count.
 */
#include "edge_anp_learn_table.h"
#include "edge_anp_save.h"

uint32_t ea_slot_sectors(const ea_learn_table *t, const ea_flash *flash)
{
    return (EA_WEIGHTS_AT + t->weight_bytes + flash->sector - 1u) / flash->sector;
}

/* Two slots, or three, where the flash has room for an anchor. */
uint32_t ea_slot_count(const ea_learn_table *t, const ea_flash *flash)
{
    return (flash->sectors / ea_slot_sectors(t, flash) < EA_SLOTS) ? 2u : EA_SLOTS;
}

uint32_t ea_slot_at(const ea_learn_table *t, const ea_flash *flash, uint32_t slot)
{
    return slot * ea_slot_sectors(t, flash) * flash->sector;
}

/* The head of a slot: EA_OK if it and the weights are whole and this model's, EA_OTHER_MODEL, EA_NOTHING, or EA_FLASH. */
static int32_t examine(const ea_learn_table *t, const ea_flash *flash, uint32_t slot, uint32_t words[EA_JOURNAL_WORDS])
{
    const uint32_t at = ea_slot_at(t, flash, slot);
    uint8_t some[64];
    uint32_t crc = 0, done, n;
    if (flash->read(flash->context, at, (uint8_t *)words, 4u * EA_JOURNAL_WORDS) != 0) {
        return EA_FLASH;
    }
    if (words[EA_J_MAGIC] != EA_JOURNAL_MAGIC || words[EA_J_VERSION] < 1u || words[EA_J_VERSION] > 2u ||
        ea_crc(0, words, 4u * EA_J_HEAD_CRC) != words[EA_J_HEAD_CRC]) {
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
int32_t ea_slot_newest(const ea_learn_table *t, const ea_flash *flash, uint32_t *slot, uint32_t words[EA_JOURNAL_WORDS])
{
    uint32_t other[EA_JOURNAL_WORDS], number, k;
    int32_t found = EA_NOTHING;
    for (number = 0; number < ea_slot_count(t, flash); number++) {
        const int32_t here = examine(t, flash, number, other);
        if (here == EA_FLASH) {
            return EA_FLASH;
        }
        if (here == EA_OK && (found != EA_OK || other[EA_J_SEQUENCE] - words[EA_J_SEQUENCE] < 0x80000000u)) {
            *slot = number;
            for (k = 0; k < EA_JOURNAL_WORDS; k++) {
                words[k] = other[k];
            }
        }
        found = (found == EA_OK || here == EA_NOTHING) ? found : here;
    }
    return found;
}

/* The slot of the save of this sequence, and its head: the guard's anchor. */
int32_t ea_slot_numbered(const ea_learn_table *t, const ea_flash *flash, uint32_t sequence, uint32_t *slot, uint32_t words[EA_JOURNAL_WORDS])
{
    const uint32_t count = ea_slot_count(t, flash);
    uint32_t number;
    for (number = 0; sequence != 0u && count == EA_SLOTS && number < count; number++) {
        const int32_t here = examine(t, flash, number, words);
        if (here == EA_FLASH) {
            return EA_FLASH;
        }
        if (here == EA_OK && words[EA_J_SEQUENCE] == sequence) {
            *slot = number;
            return EA_OK;
        }
    }
    return EA_NOTHING;
}

/* The weights of the slot that holds, or of the anchor, in the block. */
int32_t ea_slot_restore(const ea_learn_table *t, uint8_t *block, const ea_flash *flash, uint32_t anchor, uint32_t words[EA_JOURNAL_WORDS])
{
    uint32_t slot = 0;
    const int32_t found = (anchor != 0u) ? ea_slot_numbered(t, flash, anchor, &slot, words) : ea_slot_newest(t, flash, &slot, words);
    if (found == EA_OK && flash->read(flash->context, ea_slot_at(t, flash, slot) + EA_WEIGHTS_AT, &block[t->weights], t->weight_bytes) != 0) {
        return EA_FLASH;
    }
    return found;
}
