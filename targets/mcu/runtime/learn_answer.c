/* Answers, rewards and the error of the outputs: edge_anp/ondevice_answer.py, number for number. */
#include "edge_anp_learn_table.h"

static int32_t score(const ea_learner *l, const ea_learn_table *t, const uint8_t *block, uint32_t c)
{
    const ea_table *net = (const ea_table *)l->model->table;
    const ea_layer *last = ea_layers(net) + (net->layers - 1u);
    const uint8_t *state = &block[t->state];
    if (net->decode == EA_MEMBRANE_LAST) {
        return ((const int16_t *)(const void *)&state[last->v])[c];
    }
    return ((const int32_t *)(const void *)&state[net->scores])[c];
}

static uint32_t classes(const ea_learner *l)
{
    const ea_table *net = (const ea_table *)l->model->table;
    return (ea_layers(net) + (net->layers - 1u))->size;
}

static uint32_t best(const ea_learner *l, const ea_learn_table *t, const uint8_t *block)
{
    uint32_t c, found = 0;
    for (c = 1; c < classes(l); c++) {
        if (score(l, t, block, c) > score(l, t, block, found)) {
            found = c;
        }
    }
    return found;
}

/* v, about 4096 2^-d; their sum is below 2^16. */
static uint32_t softmax(const ea_learner *l, const ea_learn_table *t, uint8_t *block)
{
    uint16_t *v = (uint16_t *)(void *)&block[t->v];
    const int32_t most = score(l, t, block, best(l, t, block));
    uint32_t c, sum = 0;
    for (c = 0; c < classes(l); c++) {
        const uint32_t distance = (uint32_t)most - (uint32_t)score(l, t, block, c);
        const uint32_t left = (t->temperature < 0) ? (uint32_t)-t->temperature : 0u;
        const uint32_t d = (t->temperature >= 0) ? distance >> t->temperature : ((distance >> (31u - left)) != 0u) ? 0x7FFFFFFFu : distance << left;
        v[c] = (uint16_t)(((d >> 8) > 12u) ? 0u : ((512u - (d & 255u)) << 3) >> ((d >> 8) + t->narrowing));
        sum += v[c];
    }
    return sum;
}

static uint32_t was_tried(const ea_learn_head *head, uint32_t c)
{
    uint32_t k;
    for (k = 0; k < head->given; k++) {
        if (head->tried[k] == c) {
            return 1;
        }
    }
    return 0;
}

/* The sum of v over the answers that were tried. */
static uint32_t tried_sum(const ea_learn_table *t, const uint8_t *block)
{
    const uint16_t *v = (const uint16_t *)(const void *)&block[t->v];
    const ea_learn_head *head = (const ea_learn_head *)(const void *)block;
    uint32_t k, sum = 0;
    for (k = 0; k < head->given; k++) {
        sum += v[head->tried[k]];
    }
    return sum;
}

int32_t ea_learn_answer(const ea_learner *learner, void *block)
{
    const ea_learn_table *t;
    const int32_t error = ea_learn_open(learner, block, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t places[6] = {0}, r, c, answer = 0;
    const uint16_t *v;
    if (error != EA_OK) {
        return error;
    }
    if (head->phase != EA_RUNNING && head->phase != EA_ANSWERED && head->phase != EA_REWARDED) {
        return EA_ORDER;
    }
    if (head->given >= t->guesses || head->given >= classes(learner)) {
        return EA_NO_GUESS;
    }
    r = softmax(learner, t, (uint8_t *)block);
    v = (const uint16_t *)(const void *)&((uint8_t *)block)[t->v];
    places[0] = head->seed;
    places[1] = head->trial;
    places[2] = EA_DRAW_ANSWER;
    places[5] = head->given;
    r = ((ea_noise(places, 6) >> 16) * (r - tried_sum(t, (const uint8_t *)block))) >> 16; /* both below 2^16 */
    for (c = 0; c < classes(learner); c++) {
        if (was_tried(head, c) == 0u) {
            answer = c;
            if (r < v[c]) {
                break;
            }
            r -= v[c];
        }
    }
    head->tried[head->given++] = (uint8_t)answer;
    head->phase = EA_ANSWERED;
    return (int32_t)answer;
}

int32_t ea_learn_best(const ea_learner *learner, const void *block)
{
    const ea_learn_table *t;
    const int32_t error = ea_learn_open(learner, block, &t);
    if (error != EA_OK) {
        return error;
    }
    return (((const ea_learn_head *)block)->phase == EA_IDLE) ? EA_ORDER : (int32_t)best(learner, t, (const uint8_t *)block);
}

/* e of one answer such that the sum over all is 0, whatever rounding took from the others. */
static void balance(int16_t *e, uint32_t count, uint32_t answer)
{
    int32_t others = 0;
    uint32_t c;
    for (c = 0; c < count; c++) {
        others += (c == answer) ? 0 : e[c];
    }
    e[answer] = (int16_t)-others;
}

int32_t ea_learn_reward(const ea_learner *learner, void *block, uint32_t trial, uint32_t reward)
{
    const ea_learn_table *t;
    const int32_t error = ea_learn_open(learner, block, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t c, sum, gone, bad, others, left;
    const uint16_t *v;
    int16_t *e;
    if (error != EA_OK) {
        return error;
    }
    if (trial != head->trial || head->phase == EA_IDLE || head->phase == EA_COMMITTING) {
        return EA_STALE;
    }
    if (head->phase != EA_ANSWERED) {
        return EA_ORDER;
    }
    if (reward > (uint32_t)EA_FULL) {
        return EA_BAD_INPUT;
    }
    sum = softmax(learner, t, (uint8_t *)block);
    gone = tried_sum(t, (const uint8_t *)block);
    bad = gone * (uint32_t)EA_FULL / sum;
    others = classes(learner) - head->given;
    left = sum - gone; /* others v + left <= 241 * 65535, times 128 below 2^31 */
    v = (const uint16_t *)(const void *)&((uint8_t *)block)[t->v];
    e = ea_shorts((uint8_t *)block, t->e);
    for (c = 0; c < classes(learner); c++) {
        const int32_t p = (int32_t)(v[c] * (uint32_t)EA_FULL / sum);
        const int32_t yes = p - ((c == head->tried[head->given - 1u]) ? EA_FULL : 0);
        const int32_t no = (was_tried(head, c) != 0u) ? p : -(int32_t)(bad * (others * v[c] + left) / ((others * left == 0u) ? 1u : 2u * others * left));
        e[c] = (int16_t)(((int32_t)reward * yes + (EA_FULL - (int32_t)reward) * no + EA_FULL / 2) >> 7);
    }
    balance(e, classes(learner), head->tried[head->given - 1u]);
    head->reward[1] = (head->mirrored != 0u) ? head->reward[0] : 0u;
    head->reward[0] = reward;
    head->phase = EA_REWARDED;
    if (head->given == 1u && head->mirrored == 0u) {
        ea_learn_judge(t, head, reward);
    }
    return EA_OK;
}

int32_t ea_learn_label(const ea_learner *learner, void *block, uint32_t trial, uint32_t label)
{
    const ea_learn_table *t;
    const int32_t error = ea_learn_open(learner, block, &t);
    ea_learn_head *head = (ea_learn_head *)block;
    uint32_t c, sum;
    int16_t *e;
    if (error != EA_OK) {
        return error;
    }
    if (trial != head->trial || head->phase == EA_IDLE || head->phase == EA_COMMITTING) {
        return EA_STALE;
    }
    if (label >= classes(learner)) {
        return EA_BAD_INPUT;
    }
    sum = softmax(learner, t, (uint8_t *)block);
    e = ea_shorts((uint8_t *)block, t->e);
    for (c = 0; c < classes(learner); c++) {
        const uint32_t v = ((const uint16_t *)(const void *)&((uint8_t *)block)[t->v])[c];
        e[c] = (int16_t)((int32_t)(v * (uint32_t)EA_FULL / sum) - ((c == label) ? EA_FULL : 0));
    }
    balance(e, classes(learner), label);
    if (head->phase == EA_RUNNING) {
        ea_learn_judge(t, head, (best(learner, t, (const uint8_t *)block) == label) ? (uint32_t)EA_FULL : 0u);
    }
    head->phase = EA_REWARDED;
    return EA_OK;
}
