/* The guard: what the rewards say of the weights; edge_anp/ondevice_guard.py, number for number. */
#include "edge_anp_learn_table.h"

#define EA_LONGER 3u /* the slow mean: 2^3 times as long as the fast one */
#define EA_PATIENT 3u
#define EA_PROVEN 8u
#define EA_MANY (1u << 30) /* where counts of trials end */

/* A running mean that begins as the mean of `count` values and becomes one over 2^longest. */
static int32_t toward(int32_t mean, int32_t value, uint32_t count, uint32_t longest)
{
    uint32_t k = 0;
    while (k < longest && (2u << k) <= count + 1u) {
        k++;
    }
    return mean + ((value - mean + ((1 << k) >> 1)) >> k);
}

static uint32_t slow(const ea_learn_head *head)
{
    return head->slow >> EA_FINER;
}

void ea_learn_judge(const ea_learn_table *t, ea_learn_head *head, uint32_t reward)
{
    const uint32_t window = 1u << (t->window + EA_LONGER);
    head->running = (uint32_t)toward((int32_t)head->running, (int32_t)(reward << 8), head->judged, t->window);
    head->slow = (uint32_t)toward((int32_t)head->slow, (int32_t)(reward << (8u + EA_FINER)), head->age, t->window + EA_LONGER);
    head->judged += (head->judged < EA_MANY) ? 1u : 0u;
    head->since += (head->since < EA_MANY) ? 1u : 0u;
    head->age += (head->age < EA_MANY) ? 1u : 0u;
    if (head->trying != EA_ANCHOR && head->since >= window && slow(head) + t->drop >= head->good) {
        head->troubled = 0;
    }
    if (head->trying != EA_ANCHOR && head->since == window) {
        head->base = slow(head);
    }
}

int32_t ea_learn_changed(const ea_learn_table *t, const ea_learn_head *head)
{
    const uint32_t fell = (head->base + t->drop < head->good) ? 1u : 0u;
    const uint32_t proven = (head->since >= EA_PROVEN << (t->window + EA_LONGER)) ? 1u : 0u;
    return (head->troubled != 0u || fell != 0u || (proven != 0u && head->running > head->base + 2u * t->gain)) ? 1 : 0;
}

void ea_learn_saved(ea_learn_head *head)
{
    head->good = slow(head);
    head->base = head->good;
    head->since = 0;
    head->troubled = 0;
    head->trying = EA_NEWEST;
}

/* The world may have changed: what learning does in it is measured anew. */
void ea_learn_rolled_back(ea_learn_head *head)
{
    if (head->troubled == 0u) {
        head->trying = EA_NEWEST;
        head->fruitless = 0;
    } else if (head->trying == EA_NEWEST && head->anchor != 0u) {
        head->trying = EA_ANCHOR;
    } else if (head->trying == EA_ANCHOR) {
        head->trying = EA_TRIED;
    } else {
        head->fruitless = (head->fruitless < EA_PATIENT) ? head->fruitless + 1u : EA_PATIENT;
    }
    head->since = 0;
    head->age = 0;
    head->troubled = 1;
}

/* As they were at the save that is loaded. */
void ea_learn_resume(ea_learn_head *head, uint32_t running, uint32_t good)
{
    head->running = running;
    head->slow = good << EA_FINER;
    head->good = good;
    head->base = good;
    head->judged = EA_MANY;
    head->age = EA_MANY;
    head->since = 0;
    head->troubled = 0;
    head->fruitless = 0;
    head->trying = EA_NEWEST;
}

/* What to do since a fall: the slow mean began anew at the rollback. */
static int32_t in_trouble(const ea_learn_table *t, const ea_learn_head *head, uint32_t window)
{
    const uint32_t now = slow(head), better = head->base + 2u * t->gain;
    if (head->trying == EA_ANCHOR) {
        return (head->since < window) ? EA_KEEP : (now > better) ? EA_SAVE : EA_ROLL_BACK;
    }
    if (head->trying == EA_NEWEST && head->anchor != 0u && head->since >= window) {
        return EA_ROLL_BACK;
    }
    if (head->since < 2u * window || head->since % window != 0u) {
        return EA_KEEP;
    }
    if (now > better) {
        return EA_SAVE;
    }
    return (2u * now > 2u * head->base + t->gain || head->base < 2u * t->drop || head->since < (2u * window) << head->fruitless)
               ? EA_KEEP
               : EA_ROLL_BACK;
}

int32_t ea_learn_health(const ea_learner *learner, const void *block)
{
    const ea_learn_table *t;
    const int32_t error = ea_learn_open(learner, block, &t);
    const ea_learn_head *head = (const ea_learn_head *)block;
    uint32_t window;
    if (error != EA_OK) {
        return error;
    }
    window = 1u << (t->window + EA_LONGER);
    if (head->since < (1u << t->window) / 2u) {
        return EA_KEEP;
    }
    if (head->judged == head->since) {
        return EA_SAVE;
    }
    if (head->troubled != 0u) {
        return in_trouble(t, head, window);
    }
    if (head->running + t->drop < head->good) {
        return EA_ROLL_BACK;
    }
    return (head->since >= window && slow(head) > head->good + t->gain) ? EA_SAVE : EA_KEEP;
}
