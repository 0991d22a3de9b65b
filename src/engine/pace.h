/*
 * pace.h - how fast a checkpoint may write, who goes before it, and what it takes for itself
 */
#ifndef ENGINE_PACE_H
#define ENGINE_PACE_H

#include "engine/memory.h"

/* To a writer before anything is written. */
void pace_set(const struct crs_checkpoint_options *options, uint64_t deadline_us,
              struct store_writer *writer);

/* Would a copy that is made in the freeze be felt because of the limit? After the preparation. */
bool pace_is_limited(const struct crs_checkpoint_options *options, const struct memory_set *set);

/* Is there time to copy so many bytes twice, in one more round and then, as many at most, in the
 * freeze, where copied_bytes took copied_us? */
bool pace_has_time(uint64_t left_us, uint64_t bytes, uint64_t copied_bytes, uint64_t copied_us);

/* The limit holds in the freeze, too: that is to be no surprise. In it, when it is known what is
 * copied there and what from a fork. */
void pace_warn(const struct crs_checkpoint_options *options, const struct memory_set *set);

/* Memory that this process had at most, and its buffers. */
void pace_note_memory(const struct memory_set *set, struct store_writer *writer,
                      struct crs_checkpoint_result *ret);

#endif
