/* The reward's work: traces rebuilt step by step from what was kept, and the weights moved; in slices, if the caller likes.
 *
 * |h| <= 4096 and g < 2^16: |h g| < 2^28. |x| <= 255 and |clip(h g >> GS)| <= 8191: products below 2^21; with the noise of stochastic
 * rounding, shift <= 30, below 2^31. |e| <= 128 and |n| <= 2^15: 2^22.
 */
#include "edge_anp_learn_table.h"


static inline int32_t clip(int32_t x, int32_t limit)
{
    return (x > limit) ? limit : (x < -limit) ? -limit : x;
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
    const int32_t least = smallest(t, s->rate + ea_annealing(t, ((const ea_learn_head *)(void *)block)->trial));
    const ea_learn_head *head = (const ea_learn_head *)(void *)block;
    const ea_table *net = (const ea_table *)l->model->table;
    const int32_t g = (s->layer == net->layers - 1u) ? 256 : (int32_t)((const uint16_t *)(const void *)&block[t->g])[at];
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

/* Synapse k in step t, from row at_row on: 1 when done, 0 when `rows` ran out. */
static uint32_t traced(const ea_learner *l, const ea_learn_table *t, uint8_t *block, uint32_t k, uint32_t *rows)
{
    ea_learn_head *head = (ea_learn_head *)(void *)block;
    const ea_learn_synapse *s = ea_synapses(t) + k;
    uint32_t *list = ea_words(block, t->state + ((const ea_table *)l->model->table)->drive);
    const int16_t *x = ea_shorts(block, s->trace);
    uint32_t count, j, left;
    int32_t most, half;
    ea_moving m;
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
    m = ea_moves(t, block, k, list, count, head->at_t);
    half = (t->bits == 16u) ? (1 << m.shift) >> 1 : 1;
    for (j = head->at_row, left = *rows; j < s->inputs; j++) {
        if (((x[j] < 0) ? -x[j] : x[j]) * most >= half) { /* else every change of the row rounds to 0 */
            if (left == 0u && j != 0u) {
                head->at_row = j;
                *rows = 0;
                return 0;
            }
            left -= (left != 0u) ? 1u : 0u;
            ea_move(&m, j, x[j]);
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
        const ea_moving m = ea_moves(t, block, k, list, count, t->steps);
        ea_move(&m, j, n);
    }
}

static void start(const ea_learner *l, const ea_learn_table *t, uint8_t *block)
{
    ea_learn_head *head = (ea_learn_head *)(void *)block;
    const ea_learn_credit *c = (const ea_learn_credit *)(const void *)((const uint8_t *)t + t->first_credit);
    const ea_learn_synapse *s = ea_synapses(t);
    uint32_t k, i;
    ea_horizon(l, t, block);
    for (k = 0; k < t->credits; k++) {
        ea_credit(l, t, block, &c[k]);
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
