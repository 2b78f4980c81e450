/* edge_anp_save: what was learned, in a flash that may lose power at any moment.
 *
 * Slots take turns. A slot is written weights first, its head last, and counts only if both checksums hold; so there is always the old
 * or the new, whole. In a flash of three slots one stays out of the turns: the guard's anchor, weights of the world before the last change,
 * which may come back. Format, version 2 (docs/journal.md): at byte 0 of a slot 16 words, little-endian:
 *
 *     magic "EAJ1", version, sequence, network, learner, trial, seed, running, good, bytes, crc of the weights, anchor, 0 0 0, crc of these
 *
 * and the weights from byte 256 on, as they lie in the block. The slot whose sequence is the newest one (modulo 2^32) holds.
 */
#ifndef EDGE_ANP_SAVE_H
#define EDGE_ANP_SAVE_H

#include "edge_anp_learn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A flash as the application has it: `sectors` of `sector` bytes, erased to 0xFF one at a time, programmed in pages of `page` bytes
 * (1, 2, 4, ... 256) at multiples of that, where bits only clear. A function returns 0, or another number where it fails.
 */
typedef struct ea_flash {
    void *context;
    uint32_t sector, sectors, page;
    int32_t (*erase)(void *context, uint32_t sector);
    int32_t (*program)(void *context, uint32_t at, const uint8_t *page);
    int32_t (*read)(void *context, uint32_t at, uint8_t *data, uint32_t bytes);
} ea_flash;

/* Bytes of flash that a slot takes; the flash needs two of them, each in sectors of its own; three if the guard is to have an anchor. */
int32_t ea_learn_slot(const ea_learner *learner);

/* Save the weights, the trial counter and the seed: one erase or one program a call, EA_MORE until done. Trials go on meanwhile, but
 * commit answers EA_BUSY. An error ends the save; the next call begins anew.
 */
int32_t ea_learn_save(const ea_learner *learner, void *block, const ea_flash *flash);

/* After ea_learn_init: the newest weights that were saved whole, and their trial counter. EA_NOTHING and EA_OTHER_MODEL leave the
 * shipped ones.
 */
int32_t ea_learn_load(const ea_learner *learner, void *block, const ea_flash *flash);

/* Between trials: the weights that were saved last, or in trouble, once, the guard's anchor, or the shipped ones; the trial counter goes on. */
int32_t ea_learn_rollback(const ea_learner *learner, void *block, const ea_flash *flash);

/* Forget what was saved, the newest last: one erase a call, EA_MORE until done. Then ea_learn_init is a factory reset. */
int32_t ea_learn_forget(const ea_learner *learner, void *block, const ea_flash *flash);

#ifdef __cplusplus
}
#endif

#endif
