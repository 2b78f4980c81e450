/* Beginning: a block becomes a network at rest, once its table is checked. */
#include "edge_anp_table.h"

static int32_t check_head(const ea_model *m, const ea_table **table)
{
    const ea_table *t;
    if (m == NULL || m->table == NULL || m->kernels == NULL) {
        return EA_NULL;
    }
    if (((uintptr_t)m->table & 3u) != 0u) {
        return EA_UNALIGNED;
    }
    t = (const ea_table *)m->table;
    *table = t;
    if (m->bytes < sizeof(ea_table) || *(const uint8_t *)m->table != (EA_MAGIC & 255u) || t->magic != EA_MAGIC || t->semantics != 1u ||
        t->bytes != m->bytes || t->bytes >= EA_LARGEST || t->state_bytes >= EA_LARGEST || t->state_bytes < sizeof(ea_head)) {
        return EA_BAD_TABLE;
    }
    return EA_OK;
}

int32_t ea_state_size(const ea_model *model)
{
    const ea_table *t;
    const int32_t error = check_head(model, &t);
    return (error != EA_OK) ? error : (int32_t)t->state_bytes;
}

static void clear(const ea_table *t, void *state)
{
    uint32_t *words = (uint32_t *)state;
    uint32_t k;
    for (k = 0; k < t->state_bytes / 4u; k++) {
        words[k] = 0;
    }
    ((ea_head *)state)->ready = t->crc ^ EA_MAGIC;
}

int32_t ea_init(const ea_model *model, void *state, uint32_t bytes)
{
    const ea_table *t;
    int32_t error = check_head(model, &t);
    if (error == EA_OK && state == NULL) {
        error = EA_NULL;
    }
    if (error == EA_OK && ((uintptr_t)state & 3u) != 0u) {
        error = EA_UNALIGNED;
    }
    if (error == EA_OK && bytes < t->state_bytes) {
        error = EA_TOO_SMALL;
    }
    if (error == EA_OK) {
        error = ea_check(model, t);
    }
    if (error == EA_OK) {
        clear(t, state);
    }
    return error;
}

int32_t ea_open(const ea_model *model, const void *state, const ea_table **table)
{
    if (model == NULL || model->table == NULL || state == NULL) {
        return EA_NULL;
    }
    if (((uintptr_t)state & 3u) != 0u) {
        return EA_UNALIGNED;
    }
    *table = (const ea_table *)model->table;
    return (((const ea_head *)state)->ready == ((*table)->crc ^ EA_MAGIC)) ? EA_OK : EA_NOT_READY;
}

int32_t ea_reset(const ea_model *model, void *state)
{
    const ea_table *t;
    const int32_t error = ea_open(model, state, &t);
    if (error == EA_OK) {
        clear(t, state);
    }
    return error;
}
