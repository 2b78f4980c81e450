/* Convolutions and pools over (channels, height, width), row-major; a convolution over (C, L) has height 1. */
#include "edge_anp_table.h"

static inline uint32_t plane(const uint16_t shape[3])
{
    return (uint32_t)shape[1] * shape[2];
}

/* EA_OK if no window of a pool lies wholly in the padding, and channels and groups fit; the loops below rely on it. */
int32_t ea_check_windows(const ea_map *map)
{
    uint32_t axis;
    for (axis = 0; axis < 2u; axis++) {
        const uint32_t size = map->in[axis + 1u], out = map->out_shape[axis + 1u];
        const uint32_t kernel = map->kernel[axis], stride = map->stride[axis], padding = map->padding[axis];
        if (size == 0u || out == 0u || kernel == 0u || stride == 0u) {
            return EA_BAD_TABLE;
        }
        if (map->kind != EA_CONV && (padding >= kernel || (out - 1u) * stride >= size + padding)) {
            return EA_BAD_TABLE;
        }
    }
    if (map->kind == EA_CONV) {
        if (map->groups == 0u || (uint32_t)map->in[0] % map->groups != 0u || (uint32_t)map->out_shape[0] % map->groups != 0u) {
            return EA_BAD_TABLE;
        }
    } else if (map->in[0] != map->out_shape[0]) {
        return EA_BAD_TABLE;
    }
    return EA_OK;
}

/* The outputs o whose window holds input i: o stride <= i + padding < o stride + kernel. */
static inline uint32_t first_window(uint32_t i, uint32_t kernel, uint32_t stride)
{
    return (i < kernel) ? 0u : ((i - kernel) / stride) + 1u;
}

/* out[m, oy, ox] += x w[c, ky, kx, m] for every window that holds the event (c, y, x). Weights int8 [C_in, kernel, C_out / groups].
 * |x w| <= 2^14 and the shift is not negative here: tables.py sends other sums through a place of their own, unshifted.
 */
void ea_conv(const ea_map *map, const void *weights, const ea_source *source, ea_target target)
{
    const uint32_t area = plane(map->in), out_area = plane(map->out_shape), width = map->in[2];
    const uint32_t many = (uint32_t)map->out_shape[0] / map->groups, share = (uint32_t)map->in[0] / map->groups;
    ea_events events;
    uint32_t n, k;
    events.next = 0;
    events.left = 0;
    while ((n = source->form->gather(source, 1, &events)) != 0u) {
        for (k = 0; k < n; k++) {
            const uint32_t c = events.at[k] / area, rest = events.at[k] % area;
            const uint32_t y = rest / width + map->padding[0], x = rest % width + map->padding[1];
            const int32_t value = ea_shift((source->form->numbers != 0u) ? events.values[k] : 1, target.shift);
            int32_t *base = &target.out[(c / share) * many * out_area];
            uint32_t oy, ox, m;
            for (oy = first_window(y, map->kernel[0], map->stride[0]); oy * map->stride[0] <= y && oy < map->out_shape[1]; oy++) {
                const uint32_t row = c * map->kernel[0] + (y - oy * map->stride[0]);
                for (ox = first_window(x, map->kernel[1], map->stride[1]); ox * map->stride[1] <= x && ox < map->out_shape[2]; ox++) {
                    const int8_t *w = (const int8_t *)weights + (row * map->kernel[1] + (x - ox * map->stride[1])) * many;
                    int32_t *out = &base[oy * map->out_shape[2] + ox];
                    for (m = 0; m < many; m++) {
                        *out = ea_add(*out, (int32_t)((uint32_t)value * (uint32_t)(int32_t)w[m]));
                        out += out_area;
                    }
                }
            }
        }
    }
}

static inline int32_t value_at(const ea_source *source, const int32_t *sums, uint32_t i)
{
    if (sums != NULL) {
        return sums[i];
    }
    if (source->form == &ea_bits) {
        return (int32_t)((((const uint32_t *)source->at)[i / 32u] >> (i & 31u)) & 1u);
    }
    return ((const int8_t *)source->at)[i];
}

/* The sum or the largest of each window, padding left out: of `sums` into int32, which are returned, or, where `sums` is null, of a
 * source into int8, which become the source.
 */
int32_t *ea_pool(const ea_map *map, ea_source *source, const int32_t *sums, uint8_t *out)
{
    const uint32_t largest = (map->kind == EA_MAX_POOL) ? 1u : 0u;
    uint32_t c, oy, ox, y, x, o = 0;
    for (c = 0; c < map->in[0]; c++) {
        for (oy = 0; oy < map->out_shape[1]; oy++) {
            const uint32_t top = oy * map->stride[0], y0 = (top > map->padding[0]) ? top - map->padding[0] : 0u;
            const uint32_t y1 = top + map->kernel[0] - map->padding[0], y2 = (y1 < map->in[1]) ? y1 : map->in[1];
            for (ox = 0; ox < map->out_shape[2]; ox++) {
                const uint32_t side = ox * map->stride[1], x0 = (side > map->padding[1]) ? side - map->padding[1] : 0u;
                const uint32_t x1 = side + map->kernel[1] - map->padding[1], x2 = (x1 < map->in[2]) ? x1 : map->in[2];
                int32_t found = (largest != 0u) ? INT32_MIN : 0;
                for (y = y0; y < y2; y++) {
                    for (x = x0; x < x2; x++) {
                        const int32_t value = value_at(source, sums, (c * map->in[1] + y) * map->in[2] + x);
                        if (largest == 0u) {
                            found = ea_add(found, value);
                        } else if (value > found) {
                            found = value;
                        } else {
                            /* the largest stays */
                        }
                    }
                }
                if (sums != NULL) {
                    ((int32_t *)(void *)out)[o++] = found;
                } else {
                    ((int8_t *)out)[o++] = (int8_t)found;
                }
            }
        }
    }
    if (sums != NULL) {
        return (int32_t *)(void *)out;
    }
    source->form = &ea_bytes;
    source->at = out;
    source->size = o;
    return NULL;
}
