/* progress.c - a bar on a terminal, lines of JSON with --json, else only warnings */
#include <string.h>

#include "base/io.h"
#include "cli/output.h"

#define SHOW_EVERY_US 100000
/* What is done sooner needs no bar; a bar would only be in the way of what the program writes. */
#define SHOW_AFTER_US 200000

void output_progress_begin(struct output_progress *p, const char *command, bool json)
{
    *p = (struct output_progress){
        .command = command, .json = json, .terminal = isatty(2) == 1, .begun_us = now_us()};
}

static void take_away(struct output_progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}

static void show_bar(struct output_progress *p, const struct crs_progress *progress)
{
    char done[UNIT_TEXT_SIZE], total[UNIT_TEXT_SIZE];

    fprintf(stderr, "\r\033[K%-8s", progress->phase);
    if (progress->total_bytes) {
        double part = (double)progress->done_bytes / (double)progress->total_bytes;
        int filled = part >= 1 ? 30 : (int)(part * 30);
        fprintf(stderr, " [%.*s%.*s] %3d%%  %s of %s", filled, "##############################",
                30 - filled, "..............................", part >= 1 ? 100 : (int)(part * 100),
                format_size(progress->done_bytes, done), format_size(progress->total_bytes, total));
    }
    fflush(stderr);
    p->shown = true;
}

static void show_line(const struct crs_progress *progress)
{
    output_document(stderr,
                    json_pack("{s:s, s:s, s:I, s:I}", "event", "progress", "phase", progress->phase,
                              "done_bytes", (json_int_t)progress->done_bytes, "total_bytes",
                              (json_int_t)progress->total_bytes));
}

void output_progress_show(const struct crs_progress *progress, void *arg)
{
    struct output_progress *p = arg;
    uint64_t now = now_us();

    if (progress->warning) {
        take_away(p);
        output_warning(p->command, p->json, "%s", progress->warning);
        return;
    }
    if (!p->json && strcmp(progress->phase, "start") == 0) { /* the terminal is the program's now */
        take_away(p);
        return;
    }
    if (!p->json && (!p->terminal || now - p->begun_us < SHOW_AFTER_US))
        return;
    bool new_phase = strncmp(p->phase, progress->phase, sizeof(p->phase) - 1) != 0;
    if (!new_phase && now - p->last_us < SHOW_EVERY_US)
        return;
    snprintf(p->phase, sizeof(p->phase), "%s", progress->phase);
    p->last_us = now;
    if (p->json)
        show_line(progress);
    else
        show_bar(p, progress);
}

void output_progress_end(struct output_progress *p)
{
    take_away(p);
}
