/*
 * memory_session.h - what stays of a checkpoint for the next one of the same processes
 *
 * The copies that were made with the help of marks (memory_live.h), and the marks themselves: what
 * has its mark still at the next checkpoint is in the snapshot before it, and isn't read again.
 * Nothing of it is in the processes but the marks; they are gone when the session is, or the
 * process that has it.
 *
 * A session belongs to one caller, who makes one checkpoint at a time with it.
 */
#ifndef ENGINE_MEMORY_SESSION_H
#define ENGINE_MEMORY_SESSION_H

#include "engine/memory.h"

struct memory_session;
struct memory_live;
struct memory_image;

struct memory_session *memory_session_new(void);          /* NULL: no memory */
void memory_session_free(struct memory_session *session); /* NULL is nothing */

/* The nth process that it has something of; 0: there are no more. */
pid_t memory_session_pid(const struct memory_session *session, size_t n);
bool memory_session_has(const struct memory_session *session, pid_t pid);

/* Nothing stays: all is copied the next time. */
void memory_session_clear(struct memory_session *session);

/* The set is of a checkpoint that goes by the session and leaves to it what it has copied. */
void memory_set_use(struct memory_set *set, struct memory_session *session);

/*
 * What the session has of the image's process, for a snapshot that is written to `w`: only if that
 * shares with the snapshot which it is in. The caller's then; NULL: nothing. Its ranges are those
 * of then.
 */
struct memory_live *memory_session_take(struct memory_image *image, struct store_writer *w);

/* Once: what is in packs that are shared no longer, or in chunks of which little is left, is to be
 * copied again. */
int memory_session_prune(struct memory_live *live, struct store_writer *w);

/* The ranges that are tracked have been chosen anew: what lies outside of them is forgotten. */
int memory_session_narrow(struct memory_live *live);

/* The snapshot at `path` is published: the session takes the marks, and the chunks of its record
 * that they belong to. */
void memory_session_keep(struct memory_set *set, Crs__Memory *memory, const char *path);

#endif
