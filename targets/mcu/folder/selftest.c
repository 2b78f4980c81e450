/* Runs the golden vectors: says whether every spike and state here is what it was when the network was compiled. */
#ifndef ARDUINO
#include <stdio.h>

#include "model.h"

static uint32_t state[@PREFIX@_STATE_BYTES / 4];

int main(void)
{
    uint32_t crc = 0;
    int32_t status = ea_init(&@prefix@, state, sizeof state);
    if (status == EA_OK) {
        status = ea_selftest(&@prefix@, state, &@prefix@_golden, &crc);
    }
    if (status == EA_OK) {
        printf("@prefix@: every spike and state is as compiled (crc %08lx)\n", (unsigned long)crc);
    } else {
        printf("@prefix@: error %d, see edge_anp.h (crc %08lx)\n", (int)status, (unsigned long)crc);
    }
    return (status == EA_OK) ? 0 : 1;
}
#endif
