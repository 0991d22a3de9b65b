/* cr_run.c - run a command with the library that lets it take part in checkpoints */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/tool.h"
#include "service/child.h"

#define RUN_LIBRARY  "libcr_run.so.0"
#define OMIT_LIBRARY "libcr_omit.so.0"

struct arguments {
    bool omit;
};

enum { OMIT = 1, RUN };

static const struct tool_option options[] = {
    {"omit", 0, OMIT, .help = "leave the command out of all checkpoints"},
    {"run", 0, RUN, .help = "let it be saved by them (default)"},
    {"help", 0, TOOL_HELP, .help = "show this help (as -?)"},
    {"version", 0, TOOL_VERSION, .help = "show the version"},
    {0},
};

static int take(void *arguments, int id, const char *value)
{
    struct arguments *a = arguments;

    a->omit = id == OMIT;
    return TOOL_GO_ON;
}

static const struct tool tool = {
    .name = "cr_run",
    .summary = "Run a command so that cr_checkpoint can save it",
    .synopsis = "[--omit|--run] [--] COMMAND [ARGUMENT...]",
    .operands = "@command",
    .options = options,
    .options_end_at_operand = true,
    .take = take,
};

/* ---- where the libraries are ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The directory `place`, seen from `directory`, without links and dots; NULL: the library isn't
 * there. */
static char *look(const char *directory, const char *place, const char *library)
{
    _cleanup_free_ char *path =
        place[0] == '/' ? strdup(place) : format_string("%s/%s", directory, place);
    _cleanup_free_ char *file = path ? format_string("%s/%s", path, library) : NULL;

    return file && access(file, R_OK) == 0 ? realpath(path, NULL) : NULL;
}

/* Where the tool stands in its build directory the libraries are in theirs. */
static char *find_directory(const char *directory, const char *library)
{
    static const char *const installed[] = {"../" CRS_LIBDIR, "../lib", CRS_PREFIX "/" CRS_LIBDIR,
                                            NULL};
    static const char *const built[] = {"../../src/libcr", NULL};
    const char *const *places = ends_with(directory, "/cli/blcr") ? built : installed;
    char *found = NULL;

    for (size_t i = 0; places[i] && !found; i++)
        found = look(directory, places[i], library);
    return found;
}

/*
 * The library's path, so that LD_LIBRARY_PATH isn't needed. Its bare name, which the loader looks
 * for, where it isn't found; and where LD_PRELOAD can't hold the path, whose entries end at blanks
 * and colons.
 */
static char *find_library(const char *library)
{
    _cleanup_free_ char *self = realpath("/proc/self/exe", NULL);
    char *slash = self ? strrchr(self, '/') : NULL;

    if (slash)
        *slash = 0;
    _cleanup_free_ char *directory = slash ? find_directory(self, library) : NULL;
    if (!directory || strpbrk(directory, ": \t\n"))
        return strdup(library);
    return format_string("%s/%s", directory, library);
}

/* ---- LD_PRELOAD ---- */

static bool is_ours(const char *entry, size_t size)
{
    const char *slash = memrchr(entry, '/', size);
    const char *name = slash ? slash + 1 : entry;

    size -= (size_t)(name - entry);
    return (size >= 12 && strncmp(name, "libcr_run.so", 12) == 0) ||
           (size >= 13 && strncmp(name, "libcr_omit.so", 13) == 0);
}

/* `library` first, then what was there but for libraries of ours. */
static char *preload_list(const char *library, const char *old)
{
    char *list = malloc(strlen(library) + strlen(old) + 2);
    char *end = list ? stpcpy(list, library) : NULL;

    for (size_t n; list && *old; old += n + (old[n] != 0)) {
        n = strcspn(old, ": ");
        if (n == 0 || is_ours(old, n))
            continue;
        *end++ = ':';
        end = mempcpy(end, old, n);
        *end = 0;
    }
    return list;
}

static int set_preload(const char *name)
{
    const char *old = getenv("LD_PRELOAD");
    _cleanup_free_ char *library = find_library(name);
    _cleanup_free_ char *list = library ? preload_list(library, old ? old : "") : NULL;

    return list && setenv("LD_PRELOAD", list, 1) == 0 ? 0 : -ENOMEM;
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    struct tool_operands command;
    int r = tool_parse(&tool, argc, argv, &a, &command);

    if (r != TOOL_GO_ON)
        return r;
    if (command.n == 0)
        return 0;
    r = set_preload(a.omit ? OMIT_LIBRARY : RUN_LIBRARY);
    if (r < 0) {
        tool_say("cr_run: can't set LD_PRELOAD: %s", strerror(-r));
        return 125;
    }
    execvp(command.items[0], command.items);
    r = errno == EACCES && !child_in_path(command.items[0]) ? ENOENT : errno;
    tool_say("cr_run: can't run %s: %s", command.items[0], strerror(r));
    return r == ENOENT ? 127 : 126;
}
