/*
 * metadata.h - the file of lines of a snapshot that is under way
 */
#ifndef OPENPAL_CRS_METADATA_H
#define OPENPAL_CRS_METADATA_H

#define METADATA_NEW CRS_METADATA_FILENAME ".new"

#endif
