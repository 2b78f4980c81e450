/* Cycles of a time step on a real board: DWT counts them on M3, M4, M7, M33 and M55, SysTick (24 bits) on M0, M0+ and M23,
 * minstret instructions on RISC-V. Emulators model no cycles: QEMU's DWT stands still.
 */
#ifndef ARDUINO
#include <stdio.h>

#include "model.h"

static uint32_t state[@PREFIX@_STATE_BYTES / 4];

#define REGISTER(at) (*(volatile uint32_t *)(at))
#define BITS 0xFFFFFFFFu /* of the counter */

#if defined(__riscv)
static void begin(void)
{
}

static uint32_t now(void)
{
    uint32_t count;
    __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, minstret\n.option pop" : "=r"(count));
    return count;
}
#elif defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
#undef BITS
#define BITS 0xFFFFFFu
static void begin(void)
{
    REGISTER(0xE000E014u) = 0xFFFFFFu; /* SYST_RVR, SYST_CVR, SYST_CSR: the core clock, without an interrupt */
    REGISTER(0xE000E018u) = 0;
    REGISTER(0xE000E010u) = 5;
}

static uint32_t now(void)
{
    return 0xFFFFFFu - REGISTER(0xE000E018u);
}
#else
static void begin(void)
{
    REGISTER(0xE000EDFCu) |= 1u << 24;    /* DEMCR.TRCENA */
    REGISTER(0xE0001FB0u) = 0xC5ACCE55u; /* DWT_LAR: an M7 keeps its DWT locked; others ignore it */
    REGISTER(0xE0001004u) = 0;            /* DWT_CYCCNT, DWT_CTRL.CYCCNTENA */
    REGISTER(0xE0001000u) |= 1u;
}

static uint32_t now(void)
{
    return REGISTER(0xE0001004u);
}
#endif

int main(void)
{
    uint32_t k, most = 0, total = 0;
    if (ea_init(&@prefix@, state, sizeof state) != EA_OK) {
        printf("@prefix@ does not start\n");
        return 1;
    }
    begin();
    for (k = 0; k < @prefix@_golden.steps; k++) {
        const uint32_t before = now();
        uint32_t took;
        (void)ea_step_bytes(&@prefix@, state, &@prefix@_golden.numbers[k * @PREFIX@_INPUTS]);
        took = (now() - before) & BITS;
        most = (took > most) ? took : most;
        total += took;
    }
    if (total == 0u) {
        printf("@prefix@: the counter stands still\n");
        return 1;
    }
    printf("@prefix@: %lu cycles a step, %lu at most\n", (unsigned long)(total / k), (unsigned long)most);
    return 0;
}
#endif
