/* A port over a UART, for a board at a serial line: `edge-anp verify FOLDER --runner serial:/dev/ttyACM0`, 115200 baud, 8N1.
 *
 * The three functions below drive UART0 of Arm's MPS2 boards (CMSDK APB UART) at 25 MHz; another board needs three of its own.
 */
#include "harness.h"

#define REGISTER(at) (*(volatile uint32_t *)(at))
#define UART 0x40004000u
#define DATA (UART + 0u)
#define STATE (UART + 4u) /* bit 0: no room to send; bit 1: something came */
#define CTRL (UART + 8u)
#define BAUDDIV (UART + 16u)

static void uart_open(void)
{
    REGISTER(BAUDDIV) = 25000000u / 115200u;
    REGISTER(CTRL) = 3;
}

static void uart_put(uint8_t byte)
{
    while ((REGISTER(STATE) & 1u) != 0u) {
    }
    REGISTER(DATA) = byte;
}

static uint8_t uart_get(void)
{
    while ((REGISTER(STATE) & 2u) == 0u) {
    }
    return (uint8_t)REGISTER(DATA);
}

/* The rest is the same on every Cortex-M. */
void port_open(void)
{
    uart_open();
    REGISTER(0xE000E014u) = 0xFFFFFFu; /* SysTick, on the core clock, without an interrupt */
    REGISTER(0xE000E018u) = 0;
    REGISTER(0xE000E010u) = 5;
}

uint32_t port_ticks(void)
{
    return 0xFFFFFFu - REGISTER(0xE000E018u);
}

void port_read(void *data, uint32_t bytes)
{
    uint8_t *next = data;
    while (bytes-- != 0u) {
        *next++ = uart_get();
    }
}

void port_write(const void *data, uint32_t bytes)
{
    const uint8_t *next = data;
    while (bytes-- != 0u) {
        uart_put(*next++);
    }
}

void port_flush(void)
{
}

void port_close(int32_t status)
{
    (void)status;
    for (;;) { /* a board has nowhere to go; it waits for its reset button */
    }
}
