/* Diagonal synapses: one weight from each neuron to its twin, int8, or one for all (each = 0). */
#include "edge_anp_table.h"

void ea_diagonal(const ea_map *map, const void *weights, const ea_source *source, ea_target target)
{
    const int8_t *w = (const int8_t *)weights;
    ea_events events;
    uint32_t n, k;
    events.next = 0;
    events.left = 0;
    while ((n = source->form->gather(source, 1, &events)) != 0u) {
        for (k = 0; k < n; k++) {
            const uint32_t i = events.at[k];
            const int32_t x = (source->form->numbers != 0u) ? events.values[k] : 1;
            target.out[i] = ea_add(target.out[i], ea_shift(x * w[i * map->each], target.shift));
        }
    }
}
