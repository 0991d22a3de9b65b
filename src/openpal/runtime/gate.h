/*
 * gate.h - critical sections, and the one who saves
 *
 * Any number of threads may be in critical sections, nested, or one may hold the gate: it saves the
 * process, from the first callback to the last. Sections go first: a thread may always enter one
 * while the gate is only waited for, so that threads in sections can wait for each other. Who holds
 * the gate (callbacks, that is) may enter sections as well.
 */
#ifndef OPENPAL_RUNTIME_GATE_H
#define OPENPAL_RUNTIME_GATE_H

#include <stdbool.h>
#include <stddef.h>

int gate_enter(void); /* waits while another thread saves */
int gate_leave(void); /* OPAL_ERROR: this thread is in none */

/* Hold the gate. OPAL_ERR_RESOURCE_BUSY: the caller is in a section, or holds it already;
 * OPAL_ERR_WOULD_BLOCK (not `wait`): others keep it from that, `words` says how many and by what. A
 * wake by `gate_on_free` follows then. */
int gate_begin(bool wait, char *words, size_t size);
void gate_end(void);
bool gate_is_mine(void);

/* Wait until nobody saves, whatever sections there are, and hold the gate: at the end. */
int gate_begin_last(void);

/* Called without locks when it may have become free after an OPAL_ERR_WOULD_BLOCK; may be NULL. */
void gate_on_free(void (*wake)(void));

/* Around fork(): in the child only the calling thread is left, and what it holds. */
void gate_fork_prepare(void);
void gate_fork_parent(void);
void gate_fork_child(void);

#endif
