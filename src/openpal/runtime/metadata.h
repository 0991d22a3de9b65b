/*
 * metadata.h - lines of the runtime in a snapshot's metadata
 */
#ifndef OPENPAL_RUNTIME_METADATA_H
#define OPENPAL_RUNTIME_METADATA_H

#define METADATA_ID       "# Runtime ID: "        /* of this checkpoint, 16 hexadecimal digits */
#define METADATA_PLACE    "# Runtime Directory: " /* where the restarted process looks for news */
#define METADATA_RESTARTS "# Runtime Restarts: "  /* that the process had behind it */

#endif
