/*
 * section.h - the critical section of components whose checkpointer has none
 *
 * Sections of all threads count together, and nest in each. A checkpoint waits for their end; who
 * wants to begin one meanwhile waits for the checkpoint's. The thread that takes it may enter and
 * leave as it likes.
 */
#ifndef OPENPAL_CRS_SECTION_H
#define OPENPAL_CRS_SECTION_H

int opal_crs_section_enter(void);
int opal_crs_section_leave(void); /* OPAL_ERROR: the thread is in none */

/* Around a checkpoint. OPAL_ERR_RESOURCE_BUSY: the calling thread is in a section, or in another
 * checkpoint. */
int opal_crs_section_close(void);
void opal_crs_section_open(void);

#endif
