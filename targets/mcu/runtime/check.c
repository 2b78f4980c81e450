/* The proof that no place of a table lies outside the table or the block; every kernel relies on it, and on nothing else. */
#include "edge_anp_table.h"

/* CRC-32 as zip and Ethernet compute it, half a byte at a time. Begin with crc = 0. */
uint32_t ea_crc(uint32_t crc, const void *data, uint32_t bytes)
{
    static const uint32_t half[16] = {0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
                                      0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
                                      0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};
    const uint8_t *p = (const uint8_t *)data;
    crc = ~crc;
    while (bytes-- != 0u) {
        crc ^= *p++;
        crc = (crc >> 4) ^ half[crc & 15u];
        crc = (crc >> 4) ^ half[crc & 15u];
    }
    return ~crc;
}

/* Whether `count` things of `size` bytes at `place` lie inside `bytes`, past `head`, and are aligned. */
static uint32_t inside(uint32_t place, uint32_t count, uint32_t size, uint32_t head, uint32_t bytes)
{
    return (count < EA_LARGEST && place >= head && place <= bytes && place % size == 0u && count <= (bytes - place) / size) ? 1u : 0u;
}

static uint32_t in_table(const ea_table *t, uint32_t place, uint32_t count, uint32_t size)
{
    return inside(place, count, size, sizeof(ea_table), t->bytes);
}

static uint32_t records(const ea_table *t, uint32_t place, uint32_t count, uint32_t size)
{
    return (place % 4u == 0u && count < EA_LARGEST / size && inside(place, count * size, 1, sizeof(ea_table), t->bytes) != 0u) ? 1u : 0u;
}

static uint32_t in_state(const ea_table *t, uint32_t place, uint32_t count, uint32_t size)
{
    return inside(place, count, size, sizeof(ea_head), t->state_bytes);
}

static uint32_t blocks(uint32_t size)
{
    return (size + EA_BLOCK - 1u) / EA_BLOCK * EA_BLOCK;
}

/* Values of a shape, or 0 if that is none or too many. */
static uint32_t volume(const uint16_t shape[3])
{
    const uint32_t area = (uint32_t)shape[1] * shape[2];
    return (area <= 65535u && area * shape[0] <= EA_LARGEST / 16u) ? area * shape[0] : 0u;
}

static uint32_t weight_bytes(const ea_map *map)
{
    if (map->kind == EA_DENSE) {
        return map->in[0] * (((uint32_t)map->out_shape[0] + 3u) / 4u * 4u) + EA_BLOCK;
    }
    if (map->kind == EA_CONV) {
        return (uint32_t)map->in[0] * map->kernel[0] * map->kernel[1] * ((uint32_t)map->out_shape[0] / map->groups);
    }
    return (map->each != 0u) ? map->in[0] : 1u;
}

/* One map of a path: `size` values come in, `sums` says whether the synapse lies before it. */
static int32_t check_map(const ea_model *m, const ea_table *t, const ea_map *map, uint32_t size, uint32_t sums)
{
    const uint32_t out = volume(map->out_shape);
    if (volume(map->in) != size || out == 0u || map->kind >= EA_MAPS) {
        return EA_BAD_TABLE;
    }
    if (map->kind >= EA_CONV) {
        if (m->kernels->check == NULL) {
            return EA_NO_KERNEL;
        }
        if (m->kernels->check(map) != EA_OK) {
            return EA_BAD_TABLE;
        }
    }
    if (map->kind > EA_CONV) {
        if (m->kernels->pool == NULL) {
            return EA_NO_KERNEL;
        }
        return (in_state(t, map->out, (sums != 0u) ? blocks(out) : out, (sums != 0u) ? 4u : 1u) != 0u) ? EA_OK : EA_BAD_TABLE;
    }
    if (m->kernels->synapse[map->kind] == NULL) {
        return EA_NO_KERNEL;
    }
    if (sums != 0u || (map->kind == EA_DENSE && (map->in[0] != size || map->out_shape[0] != out)) ||
        (map->kind == EA_DIAGONAL && (map->in[0] != size || out != size || map->each > 1u)) ||
        map->kernel[0] > 255u || map->kernel[1] > 255u || weight_bytes(map) >= EA_LARGEST ||
        in_table(t, map->weights, weight_bytes(map), 1) == 0u || (map->kind == EA_DENSE && map->weights % 4u != 0u) ||
        (map->out != 0u && in_state(t, map->out, blocks(out), 4) == 0u)) {
        return EA_BAD_TABLE;
    }
    return EA_OK;
}

static int32_t check_connection(const ea_model *m, const ea_table *t, const ea_connection *c, uint32_t reader, uint32_t size)
{
    const ea_layer *layers = (const ea_layer *)(const void *)((const uint8_t *)t + t->first);
    const ea_map *map = (const ea_map *)(const void *)((const uint8_t *)t + c->first);
    uint32_t k, sums = 0, apart = 0, values = t->inputs, slots = t->slots;
    if (c->source != EA_INPUT) {
        if (c->source >= t->layers || (c->source >= reader && c->delay == 0u)) {
            return EA_BAD_TABLE;
        }
        values = layers[c->source].size;
        slots = layers[c->source].slots;
    }
    if (c->delay >= slots + ((slots == 0u) ? 1u : 0u) || c->shift < -24 || c->shift > 24 || c->maps == 0u ||
        records(t, c->first, c->maps, sizeof(ea_map)) == 0u) {
        return EA_BAD_TABLE;
    }
    if ((c->maps > 1u || map->out != 0u) && m->kernels->path == NULL) {
        return EA_NO_KERNEL;
    }
    for (k = 0; k < c->maps; k++) {
        const int32_t error = check_map(m, t, &map[k], values, sums);
        if (error != EA_OK) {
            return error;
        }
        values = volume(map[k].out_shape);
        if (map[k].kind <= EA_CONV) {
            sums = 1;
            apart = map[k].out;
        } else if (k == 0u && c->source == EA_INPUT && slots == 0u) {
            return EA_BAD_TABLE; /* a list of events has no windows */
        } else if (sums != 0u && apart == 0u) {
            return EA_BAD_TABLE;
        } else {
            /* a pool at a place of its own */
        }
        if (map[k].kind == EA_CONV && apart == 0u && c->shift < 0) {
            return EA_BAD_TABLE;
        }
    }
    return (sums != 0u && values == size) ? EA_OK : EA_BAD_TABLE;
}

static uint32_t good_leak(const ea_table *t, const ea_leak *leak, uint32_t size)
{
    return (leak->each <= 1u && in_table(t, leak->keep, (leak->each != 0u) ? size : 1u, 2) != 0u) ? 1u : 0u;
}

static int32_t check_layer(const ea_model *m, const ea_table *t, uint32_t reader)
{
    const ea_layer *l = (const ea_layer *)(const void *)((const uint8_t *)t + t->first) + reader;
    const ea_connection *c = (const ea_connection *)(const void *)((const uint8_t *)t + l->first);
    const uint32_t words = (l->size + 31u) / 32u;
    uint32_t k;
    if (l->size == 0u || l->size > 65535u || l->neuron > 31u || l->slots == 0u || l->slots > 65535u ||
        l->connections == 0u || records(t, l->first, l->connections, sizeof(ea_connection)) == 0u ||
        good_leak(t, &l->leak, l->size) == 0u || in_state(t, l->v, l->size, 2) == 0u || in_state(t, l->rest, 1, 4) == 0u ||
        l->slots >= EA_LARGEST / words || in_state(t, l->spikes, words * l->slots, 4) == 0u || in_state(t, t->drive, blocks(l->size), 4) == 0u ||
        (l->bias != 0u && in_table(t, l->bias, l->size, 4) == 0u)) {
        return EA_BAD_TABLE;
    }
    if ((l->neuron & EA_READOUT) == 0u && in_table(t, l->vth, l->size, 2) == 0u) {
        return EA_BAD_TABLE;
    }
    if ((l->neuron & EA_CURRENT) != 0u && (in_state(t, l->u, l->size, 2) == 0u || good_leak(t, &l->current_leak, l->size) == 0u)) {
        return EA_BAD_TABLE;
    }
    if (m->kernels->neuron == NULL && (l->neuron != EA_SUBTRACT || l->leak.each != 0u || m->kernels->lif == NULL)) {
        return EA_NO_KERNEL;
    }
    for (k = 0; k < l->connections; k++) {
        const int32_t error = check_connection(m, t, &c[k], reader, l->size);
        if (error != EA_OK) {
            return error;
        }
    }
    return EA_OK;
}

/* Sizes first: whatever the records say of each other holds for all of them before one is followed. */
int32_t ea_check(const ea_model *m, const ea_table *t)
{
    const ea_layer *l = (const ea_layer *)(const void *)((const uint8_t *)t + t->first);
    uint32_t k;
    if (ea_crc(0, &t->layers, t->bytes - 16u) != t->crc || t->layers == 0u || t->inputs == 0u || t->inputs > 65535u ||
        t->decode >= EA_DECODES || t->slots > 65535u || records(t, t->first, t->layers, sizeof(ea_layer)) == 0u ||
        (t->slots != 0u && in_state(t, t->history, (t->inputs + 3u) / 4u * t->slots, 4) == 0u)) {
        return EA_BAD_TABLE;
    }
    if ((t->slots != 0u && m->kernels->remember == NULL) || (t->decode != EA_MEMBRANE_LAST && m->kernels->score == NULL)) {
        return EA_NO_KERNEL;
    }
    for (k = 0; k < t->layers; k++) {
        const int32_t error = check_layer(m, t, k);
        if (error != EA_OK) {
            return error;
        }
    }
    return (in_state(t, t->scores, l[t->layers - 1u].size, 4) != 0u) ? EA_OK : EA_BAD_TABLE;
}
