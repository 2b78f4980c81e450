/* A program around the runtime that obeys commands from outside: what `verify`, the tests and boards talk to.
 *
 * A command is a word: its letter in the low byte, the bytes of its payload in the other three; all numbers are little-endian.
 *
 *     H           -> "EAH1", bytes of table memory, bytes of block memory
 *     B           -> status                     begin with the network that is linked in
 *     L table     -> status                     begin with a network that is sent
 *     R           -> status                     silence
 *     1 2 3 input -> status, ticks, trace       a step; input as bits, events (uint16), bytes
 *     A           -> answer
 *     T           -> status, crc                ea_selftest with the golden vectors that are linked in
 *     Q                                         end
 *
 * A trace is, layer by layer, the spikes' bitmap, the membranes, and, for current-based neurons, the currents (int16 each).
 * A port is how bytes come and go, and how instructions are counted. Another program's commands are another `ea_obey`.
 */
#ifndef EA_HARNESS_H
#define EA_HARNESS_H

#include "edge_anp.h"

extern void port_open(void);
extern void port_read(void *data, uint32_t bytes);
extern void port_write(const void *data, uint32_t bytes);
extern void port_flush(void);
extern void port_close(int32_t status);
extern uint32_t port_ticks(void); /* counts up; a difference is taken modulo 2^24, the width of SysTick */

/* Defined beside the model that is linked in. */
extern const ea_model *const ea_built_in;
extern const ea_golden *const ea_built_in_golden;

#endif
