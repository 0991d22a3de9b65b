/*
 * request_page.h - the page that crs-request shares with who asks
 */
#ifndef CLI_REQUEST_PAGE_H
#define CLI_REQUEST_PAGE_H

#include "base/request_page.h"

/* NULL: there is no request in it. */
struct request_page *request_page_map(int fd);
/* Set a word of it, and wake who waits for it. */
void request_page_tell(uint32_t *word, uint32_t value);
/* Whole lines of the log, as many as there is room for. */
void request_page_log(struct request_page *page, const char *log);

/* crs-request restart PAGE CONTEXT; the exit code. */
int request_restart_main(const char *page_number, const char *context_number);

#endif
