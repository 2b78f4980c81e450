/* An example: reads a sample from the standard input, @inputs@ numbers of -127..127 a step, to its end, and prints the answer. */
#ifndef ARDUINO /* whose builds compile every file here, and have a main of their own */
#include <stdio.h>

#include "model.h"

static uint32_t state[@PREFIX@_STATE_BYTES / 4];

int main(void)
{
    static int8_t step[@PREFIX@_INPUTS];
    int number, got = 0, steps = 0;
    int32_t status = ea_init(&@prefix@, state, sizeof state);
    while (status == EA_OK && scanf("%d", &number) == 1) {
        step[got++] = (int8_t)number;
        if (got == @PREFIX@_INPUTS) {
            status = ea_step_bytes(&@prefix@, state, step);
            got = 0;
            steps++;
        }
    }
    if (status != EA_OK) {
        printf("error %d, see edge_anp.h\n", (int)status);
        return 1;
    }
    printf("%d steps, answer %d\n", steps, (int)ea_answer(&@prefix@, state));
    return 0;
}
#endif
