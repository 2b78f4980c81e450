/* The reward's work: traces rebuilt step by step from what was kept, and the weights moved; in slices, if the caller likes.
 *
 * |h| <= 4096 and g < 2^16: |h g| < 2^28. |x| <= 255 and |clip(h g >> GS)| <= 8191: products below 2^21; with the noise of stochastic
 * rounding, shift <= 30, below 2^31. |e| <= 128 and |n| <= 2^15: 2^22.
 */
#include "edge_anp_learn_table.h"

#if defined(__GNUC__)
#define EA_APART __attribute__((noinline))
#else
#define EA_APART
#endif

static inline int32_t clip(int32_t x, int32_t limit)
{
    return (x > limit) ? limit : (x < -limit) ? -limit : x;
}

static uint32_t annealing(const ea_learn_table *t, uint32_t trial)
{
    if (t->budget == 0u) {
        return 0;
    }
    return ((trial >= (t->budget + 1u) / 2u) ? 1u : 0u) + ((trial >= (3u * t->budget + 3u) / 4u) ? 1u : 0u);
}

/* g[T-1] = 256, g[t] = min(256 + (g[t+1] k >> 12), 65535): k < 2^13, so that products fit in 32 bits without a sign. */
static void horizon(const ea_learner *l, const ea_learn_table *t, uint8_t *block)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const ea_layer *last = ea_layers(net) + (net->layers - 1u);
    const uint32_t keep = (uint32_t) * (const int16_t *)(const void *)((const uint8_t *)net + last->leak.keep);
    const uint32_t direct = (net->decode == EA_MEMBRANE_LAST) ? 0u : 256u;
    uint16_t *g = (uint16_t *)(void *)&block[t->g];
    uint32_t at = ((const ea_learn_head *)(void *)block)->t, now = 256;
    while (at-- != 0u) {
        g[at] = (uint16_t)now;
        now = direct + ((now * keep) >> 12);
        now = (now > 65535u) ? 65535u : now;
    }
}

/* h: the error of each neuron of a layer. */
static void credit(const ea_learner *l, const ea_learn_table *t, uint8_t *block, const ea_learn_credit *c)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const uint32_t classes = (ea_layers(net) + (net->layers - 1u))->size;
    const int16_t *e = ea_shorts(block, t->e);
    int16_t *h = ea_shorts(block, c->h);
    const uint8_t *row = (c->kind == EA_CREDIT_LEARNED) ? &block[c->rows] : (c->kind == EA_CREDIT_MODEL) ? (const uint8_t *)net + c->rows : (const uint8_t *)t + c->rows;
    uint32_t i, k;
    for (i = 0; i < c->size; i++) {
        int32_t sum = 0;
        if (c->kind == EA_CREDIT_ERROR) {
            h[i] = (int16_t)(8 * e[i]);
            continue;
        }
        for (k = 0; k < classes; k++) {
            sum += e[k] * ((int32_t)row[k] - 128);
        }
        h[i] = (int16_t)(sum >> 3);
        row += c->stride;
    }
}

/* The kept row of a source that a synapse read in step t; null before the first. */
static const uint8_t *past(const uint8_t *block, const ea_learn_synapse *s, uint32_t t)
{
    return (t < s->delay) ? NULL : &block[s->past + (t - s->delay) * s->past_bytes];
}

/* x = clip(sign(x) (|x| k >> 12) + (in 2^G)). */
static void trace(const ea_learner *l, const ea_learn_synapse *s, uint8_t *block, uint32_t t)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const int32_t keep = *(const int16_t *)(const void *)((const uint8_t *)net + (ea_layers(net) + s->layer)->leak.keep);
    const uint8_t *row = past(block, s, t);
    int16_t *x = ea_shorts(block, s->trace);
    uint32_t i;
    if (s->numbers == 0u) {
        const int32_t one = ea_shift(1, s->gain);
        const uint32_t *words = (const uint32_t *)(const void *)row;
        for (i = 0; i < s->inputs;) {
            const uint32_t end = (s->inputs - i > 32u) ? i + 32u : s->inputs;
            uint32_t word = (row == NULL) ? 0u : *words++;
            for (; i < end; i++, word >>= 1) {
                int32_t now = ((*x * keep) >> 12) + (one & -(int32_t)(word & 1u));
#if defined(__ARM_FEATURE_SAT) && !defined(EA_PORTABLE)
                __asm__("usat %0, #8, %0" : "+r"(now));
#else
                now = (now > EA_TRACE_MAX) ? EA_TRACE_MAX : now;
#endif
                *x++ = (int16_t)now;
            }
        }
        return;
    }
    for (i = 0; i < s->inputs; i++) {
        const int32_t old = x[i], size = (((old < 0) ? -old : old) * keep) >> 12;
        const int32_t in = (row == NULL) ? 0 : (int8_t)row[i];
        x[i] = (int16_t)clip(((old < 0) ? -size : size) + ea_shift(in, s->gain), EA_TRACE_MAX);
    }
}

static uint32_t picked(const ea_learn_table *t, const ea_learn_head *head, uint32_t at)
{
    uint32_t places[6] = {0};
    if (t->every == 0u) {
        return 1;
    }
    places[0] = head->seed;
    places[1] = head->trial;
    places[2] = EA_DRAW_PICK;
    places[3] = at >> t->every;
    return (at == (places[3] << t->every) + (ea_noise(places, 6) >> (32u - t->every))) ? 1u : 0u;
}

/* The smallest |v| / 255 that rounds to anything but 0: 1, or what is worth half of 2^shift. */
static int32_t smallest(const ea_learn_table *t, uint32_t shift)
{
    return (t->bits == 16u) ? (((1 << shift) >> 1) + EA_TRACE_MAX - 1) / EA_TRACE_MAX : 1;
}

/* The neurons that a step moves, each as clip(h g >> GS) 2^16 + its index; how many. The list takes the place of the network's drive. */
static uint32_t gather(const ea_learner *l, const ea_learn_table *t, uint8_t *block, const ea_learn_synapse *s, uint32_t at, uint32_t *list, int32_t *most)
{
    const int32_t least = smallest(t, s->rate + annealing(t, ((const ea_learn_head *)(void *)block)->trial));
    const ea_learn_head *head = (const ea_learn_head *)(void *)block;
    const ea_table *net = (const ea_table *)l->model->table;
    const int32_t g = (s->layer == net->layers - 1u) ? 256 : ((const uint16_t *)(const void *)&block[t->g])[at];
    const uint32_t shift = (s->layer == net->layers - 1u) ? 8u : t->horizon;
    const int16_t *h = ea_shorts(block, s->h);
    uint32_t count = 0, w, n, word;
    if (t->rule == 1u) {
        const int32_t worse = (int32_t)head->reward[0] - (int32_t)head->reward[1];
        for (n = 0; n < s->outputs; n++) {
            list[n] = ((uint32_t)clip(worse * ea_xi(head, at, s->layer, n), s->limit) << 16) | n;
        }
        *most = (worse < 0) ? -worse : worse;
        return (worse == 0) ? 0u : s->outputs;
    }
    *most = 0;
    for (w = 0; w < (s->outputs + 31u) / 32u; w++) {
        for (word = (ea_words(block, s->psi) + at * ((s->outputs + 31u) / 32u))[w]; word != 0u; word &= word - 1u) {
            const int32_t hg = clip((h[w * 32u + ea_lowest(word)] * g) >> shift, s->limit), size = (hg < 0) ? -hg : hg;
            if (size >= least) {
                list[count++] = ((uint32_t)hg << 16) | (w * 32u + ea_lowest(word));
                *most = (size > *most) ? size : *most;
            }
        }
    }
    return count;
}

/* U -= round(x hg / 2^shift) for one neuron, hg in the upper half of `one`, its index in the lower. */
static inline void move_one(uint8_t *high, uint8_t *low, uint32_t one, int32_t x, uint32_t shift, int32_t half)
{
    const uint32_t n = one & 0xFFFFu;
    int32_t u = (int32_t)(((uint32_t)high[n] << 8) | low[n]), d;
#if defined(__ARM_FEATURE_DSP) && !defined(EA_PORTABLE)
    __asm__("smlatb %0, %1, %2, %3" : "=r"(d) : "r"(one), "r"(x), "r"(half));
#else
    d = ((int32_t)one >> 16) * x + half;
#endif
    u -= d >> shift;
#if defined(__ARM_FEATURE_SAT) && !defined(EA_PORTABLE)
    __asm__("usat %0, #16, %0" : "+r"(u));
#else
    u = (u > 65535) ? 65535 : (u < 0) ? 0 : u;
#endif
    high[n] = (uint8_t)((uint32_t)u >> 8);
    low[n] = (uint8_t)u;
}

/* One row of masters of 16 bits. */
static EA_APART void move_row(uint8_t *high, uint8_t *low, const uint32_t *list, const uint32_t *end, int32_t x, uint32_t shift)
{
    const int32_t half = (1 << shift) >> 1;
    if ((((uintptr_t)end - (uintptr_t)list) & 4u) != 0u) {
        move_one(high, low, *list++, x, shift, half);
    }
    while (list != end) {
        move_one(high, low, list[0], x, shift, half);
        move_one(high, low, list[1], x, shift, half);
        list += 2;
    }
}

/* One row of masters of 8 bits, rounded by noise: `places` are those of the hash but for the last, which begins at `first`. */
static void move_row8(uint8_t *high, const uint32_t *list, uint32_t count, int32_t x, uint32_t shift, uint32_t prefix, uint32_t first)
{
    uint32_t k;
    for (k = 0; k < count; k++) {
        const uint32_t n = list[k] & 0xFFFFu;
        const int32_t low = (int32_t)(ea_stir(prefix, first + n) >> (32u - shift));
        const int32_t u = (int32_t)high[n] - ((((int32_t)list[k] >> 16) * x + low) >> shift);
        high[n] = (uint8_t)((u > 255) ? 255 : (u < 0) ? 0 : u);
    }
}

static uint32_t prefix(const ea_learn_head *head, uint32_t at, uint32_t synapse)
{
    uint32_t places[5];
    places[0] = head->seed;
    places[1] = head->trial;
    places[2] = EA_DRAW_ROUND;
    places[3] = at;
    places[4] = synapse;
    return ea_noise(places, 5);
}

/* What moving the rows of one synapse in one step has in common. */
typedef struct {
    uint8_t *high, *low;
    const uint32_t *list;
    uint32_t count, stride, outputs, bits, shift, prefix;
} moving;

static moving moves(const ea_learn_table *t, uint8_t *block, uint32_t k, const uint32_t *list, uint32_t count, uint32_t at)
{
    const ea_learn_head *head = (const ea_learn_head *)(void *)block;
    const ea_learn_synapse *s = ea_synapses(t) + k;
    moving m;
    m.high = &block[s->high];
    m.low = &block[s->low];
    m.list = list;
    m.count = count;
    m.stride = s->stride;
    m.outputs = s->outputs;
    m.bits = t->bits;
    m.shift = s->rate + annealing(t, head->trial) + ((t->bits == 16u) ? 0u : 8u);
    m.prefix = (t->bits == 16u) ? 0u : prefix(head, at, k);
    return m;
}

static inline void row(const moving *m, uint32_t j, int32_t x)
{
    if (m->bits == 16u) {
        move_row(m->high + j * m->stride, m->low + j * m->outputs, m->list, m->list + m->count, x, m->shift);
    } else {
        move_row8(m->high + j * m->stride, m->list, m->count, x, m->shift, m->prefix, j * m->outputs);
    }
}

/* Synapse k in step t, from row at_row on: 1 when done, 0 when `rows` ran out. */
static uint32_t traced(const ea_learner *l, const ea_learn_table *t, uint8_t *block, uint32_t k, uint32_t *rows)
{
    ea_learn_head *head = (ea_learn_head *)(void *)block;
    const ea_learn_synapse *s = ea_synapses(t) + k;
    uint32_t *list = ea_words(block, t->state + ((const ea_table *)l->model->table)->drive);
    const int16_t *x = ea_shorts(block, s->trace);
    uint32_t count, j, left;
    int32_t most, half;
    moving m;
    if (head->at_row == 0u) {
        const uint32_t price = (s->inputs + 15u) / 16u;
        trace(l, s, block, head->at_t);
        *rows = (*rows > price) ? *rows - price : 0u;
        if (picked(t, head, head->at_t) == 0u) {
            return 1;
        }
    }
    count = gather(l, t, block, s, head->at_t, list, &most);
    if (count == 0u) {
        return 1;
    }
    m = moves(t, block, k, list, count, head->at_t);
    half = (t->bits == 16u) ? (1 << m.shift) >> 1 : 1;
    for (j = head->at_row, left = *rows; j < s->inputs; j++) {
        if (((x[j] < 0) ? -x[j] : x[j]) * most >= half) { /* else every change of the row rounds to 0 */
            if (left == 0u && j != 0u) {
                head->at_row = j;
                *rows = 0;
                return 0;
            }
            left -= (left != 0u) ? 1u : 0u;
            row(&m, j, x[j]);
        }
    }
    *rows = left;
    return 1;
}

/* Row at_row of a readout: n, and n e for every answer. */
static void readout(const ea_learner *l, const ea_learn_table *t, uint8_t *block, uint32_t k)
{
    const ea_learn_head *head = (const ea_learn_head *)(void *)block;
    const ea_learn_synapse *s = ea_synapses(t) + k;
    const uint16_t *g = (const uint16_t *)(const void *)&block[t->g];
    const int16_t *e = ea_shorts(block, t->e);
    uint32_t *list = ea_words(block, t->state + ((const ea_table *)l->model->table)->drive);
    const uint32_t j = head->at_row;
    int32_t n = 0;
    uint32_t at, c, count = 0;
    if (s->numbers != 0u) {
        const int8_t *in = (const int8_t *)&block[s->past + j];
        for (at = s->delay; at < head->t; at++, in += s->past_bytes) {
            n += *in * g[at];
        }
    } else {
        const uint8_t *in = &block[s->past + (j / 8u)];
        const uint32_t one = 1u << (j & 7u);
        for (at = s->delay; at < head->t; at++, in += s->past_bytes) {
            if ((*in & one) != 0u) {
                n += g[at];
            }
        }
    }
    n = clip(n >> t->horizon, s->limit);
    if (n == 0) {
        return;
    }
    for (c = 0; c < s->outputs; c++) {
        if (e[c] != 0) {
            list[count++] = ((uint32_t)e[c] << 16) | c;
        }
    }
    if (count != 0u) {
        const moving m = moves(t, block, k, list, count, t->steps);
        row(&m, j, n);
    }
}

static void start(const ea_learner *l, const ea_learn_table *t, uint8_t *block)
{
    ea_learn_head *head = (ea_learn_head *)(void *)block;
    const ea_learn_credit *c = (const ea_learn_credit *)(const void *)((const uint8_t *)t + t->first_credit);
    const ea_learn_synapse *s = ea_synapses(t);
    uint32_t k, i;
    horizon(l, t, block);
    for (k = 0; k < t->credits; k++) {
        credit(l, t, block, &c[k]);
    }
    for (k = 0; k < t->synapses; k++) {
        for (i = 0; s[k].trace != 0u && i < s[k].inputs; i++) {
            ea_shorts(block, s[k].trace)[i] = 0;
        }
    }
    head->at_t = 0;
    head->at_synapse = 0;
    head->at_row = 0;
    head->stage = 0;
    head->phase = EA_COMMITTING;
}

int32_t ea_learn_commit(const ea_learner *learner, void *block, uint32_t rows)
{
    const ea_learn_table *t;
    const int32_t error = ea_learn_open(learner, block, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t left = (rows == 0u) ? 0xFFFFFFFFu : rows;
    if (error != EA_OK) {
        return error;
    }
    if (head->phase != EA_REWARDED && head->phase != EA_COMMITTING) {
        return EA_ORDER;
    }
    if (head->saving != 0u) {
        return EA_BUSY;
    }
    if (head->frozen != 0u) {
        head->phase = EA_IDLE;
        return EA_OK;
    }
    if (head->phase == EA_REWARDED) {
        start(learner, t, (uint8_t *)block);
    }
    /* first, step by step, the synapses with traces; then the readouts, whose weights gave the errors */
    for (; head->stage == 0u && head->at_t < head->t; head->at_t++) {
        for (; head->at_synapse < t->synapses; head->at_synapse++) {
            if (left == 0u) {
                return EA_MORE;
            }
            if (ea_synapses(t)[head->at_synapse].trace != 0u && traced(learner, t, (uint8_t *)block, head->at_synapse, &left) == 0u) {
                return EA_MORE;
            }
            head->at_row = 0;
        }
        head->at_synapse = 0;
    }
    head->stage = 1;
    for (; head->at_synapse < t->synapses; head->at_synapse++) {
        const ea_learn_synapse *s = ea_synapses(t) + head->at_synapse;
        for (; s->trace == 0u && head->at_row < s->inputs; head->at_row++) {
            if (left == 0u) {
                return EA_MORE;
            }
            readout(learner, t, (uint8_t *)block, head->at_synapse);
            left--;
        }
        head->at_row = 0;
    }
    head->phase = EA_IDLE;
    return EA_OK;
}

int32_t ea_learn_freeze(const ea_learner *learner, void *block, uint32_t frozen)
{
    const ea_learn_table *t;
    const int32_t error = ea_learn_open(learner, block, &t);
    if (error == EA_OK) {
        ((ea_learn_head *)block)->frozen = (frozen != 0u) ? 1u : 0u;
    }
    return error;
}
