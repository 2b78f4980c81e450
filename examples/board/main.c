/* A device that goes on learning: build with edge_anp.c, model.c, edge_anp_learn.c, learn.c as `compile --learn` wrote them. */
#include "edge_anp_save.h"
#include "learn.h"

#define PATIENCE 16 /* rows of weights a commit may change before the sensor must be served again */

/* What a board brings: its sensor, its user, and its flash. */
extern const uint32_t *sensor_read(void);    /* one step of spikes, or null when the trial is over */
extern int32_t user_likes(int32_t answer);   /* 1: right, 0: wrong */
extern const ea_flash board_flash;

static uint32_t block[NETWORK_LEARN_BYTES / 4];

int main(void)
{
    const ea_learner *const l = &network_learner;
    if (ea_learn_init(l, block, sizeof block, 1) != EA_OK) {
        return 1;
    }
    (void)ea_learn_load(l, block, &board_flash); /* nothing saved: the weights that were shipped */
    for (;;) {
        const uint32_t *bits;
        uint32_t trial;
        (void)ea_learn_begin(l, block, &trial);
        while ((bits = sensor_read()) != 0) {
            (void)ea_learn_step_bits(l, block, bits);
        }
        (void)ea_learn_reward(l, block, trial, (user_likes(ea_learn_answer(l, block)) != 0) ? 128u : 0u);
        while (ea_learn_commit(l, block, PATIENCE) == EA_MORE) {
        }
        if (ea_learn_health(l, block) == EA_SAVE) {
            while (ea_learn_save(l, block, &board_flash) == EA_MORE) {
            }
        } else if (ea_learn_health(l, block) == EA_ROLL_BACK) {
            (void)ea_learn_rollback(l, block, &board_flash);
        }
    }
}
