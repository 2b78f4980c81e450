/* A port over files named `in` and `out` in the working directory: pipes of the host, through semihosting in an emulator.
 * Compiled for the host itself it reads its standard input and writes its standard output. */
#include <stdlib.h>
#if defined(__unix__) && !defined(__arm__) && !defined(__riscv)
#include <unistd.h>
#define HOSTED
#else
#include <fcntl.h>
#include <unistd.h>
#endif

#include "harness.h"

static int from = 0, to = 1;
static uint8_t kept[256];
static uint32_t used;

#if defined(__arm__)
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
uint32_t port_ticks(void)
{
    return 0xFFFFFFu - SYST_CVR;
}
#elif defined(__riscv)
uint32_t port_ticks(void)
{
    uint32_t count;
    __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, minstret\n.option pop" : "=r"(count));
    return count;
}
#else
uint32_t port_ticks(void)
{
    return 0;
}
#endif

void port_open(void)
{
#if defined(__arm__)
    SYST_RVR = 0xFFFFFFu;
    SYST_CVR = 0;
    SYST_CSR = 5;
#endif
#if !defined(HOSTED)
    from = open("in", O_RDONLY);
    to = open("out", O_WRONLY);
    if (from < 0 || to < 0) {
        port_close(3);
    }
#endif
}

void port_read(void *data, uint32_t bytes)
{
    uint8_t *next = data;
    while (bytes != 0u) {
        const int got = (int)read(from, next, bytes);
        if (got <= 0) {
            port_close(4); /* whoever sent the commands is gone */
        }
        next += got;
        bytes -= (uint32_t)got;
    }
}

void port_flush(void)
{
    uint32_t done = 0;
    while (done < used) {
        const int put = (int)write(to, &kept[done], used - done);
        if (put <= 0) {
            port_close(5);
        }
        done += (uint32_t)put;
    }
    used = 0;
}

void port_write(const void *data, uint32_t bytes)
{
    const uint8_t *next = data;
    while (bytes-- != 0u) {
        kept[used++] = *next++;
        if (used == sizeof kept) {
            port_flush();
        }
    }
}

void port_close(int32_t status)
{
    port_flush();
    _exit((int)status);
}
