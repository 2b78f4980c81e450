/* Paths that are more than a synapse: pools, and sums that must be whole before they are shifted. */
#include "edge_anp_table.h"

static inline uint32_t out_size(const ea_map *map)
{
    return (uint32_t)map->out_shape[0] * map->out_shape[1] * map->out_shape[2];
}

/* drive += shift(w x, F), through the pools before and after the synapse. */
void ea_path(const ea_model *m, uint8_t *state, const ea_connection *c, ea_source *x, int32_t *drive)
{
    const uint8_t *table = (const uint8_t *)m->table;
    const ea_map *map = (const ea_map *)(const void *)&table[c->first];
    int32_t *sums = NULL;
    uint32_t k, n, size = 0;
    for (k = 0; k < c->maps; k++, map++) {
        size = out_size(map);
        if (map->kind <= EA_CONV) {
            ea_target target;
            target.out = drive;
            target.shift = c->shift;
            if (map->out != 0u) {
                sums = ea_sums(state, map->out);
                target.out = sums;
                target.shift = 0;
                ea_fill(sums, NULL, size);
            }
            m->kernels->synapse[map->kind](map, &table[map->weights], x, target);
        } else {
            sums = m->kernels->pool(map, x, sums, &state[map->out]);
        }
    }
    if (sums != NULL) {
        for (n = 0; n < size; n++) {
            drive[n] = ea_add(drive[n], ea_shift(sums[n], c->shift));
        }
    }
}
