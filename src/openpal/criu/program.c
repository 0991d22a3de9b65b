/*
 * program.c - the program criu, and whether it may be of use here
 */
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/criu/program.h"

/* CRIU is one of the administrator's programs, whose places an ordinary PATH lacks. */
static const char more_places[] = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The first "PLACE/name" of a list with colons that is a program; NULL: none. */
static char *search(const char *places, const char *name)
{
    for (const char *place = places; *place;) {
        size_t length = strcspn(place, ":");
        char *path = NULL;
        if (length && asprintf(&path, "%.*s/%s", (int)length, place, name) < 0)
            return NULL;
        if (path && is_program(path))
            return path;
        free(path);
        place += length + (place[length] == ':');
    }
    return NULL;
}

int program_find(const char *name, char **ret_path, struct crs_error *err)
{
    if (strchr(name, '/')) {
        if (!is_program(name))
            return crs_fail(err, CRS_NOT_FOUND, ENOENT,
                            "%s (parameter crs_criu_binary) is not a program that may be run",
                            name);
        *ret_path = realpath(name, NULL);
        return *ret_path ? 0 : crs_fail_errno(err, CRS_NOT_FOUND, "%s", name);
    }
    const char *places = getenv("PATH");
    char *path = search(places ? places : "", name);
    if (!path)
        path = search(more_places, name);
    if (!path)
        return crs_fail(err, CRS_NOT_FOUND, ENOENT,
                        "the program %s is not in PATH: install CRIU, or name it with the "
                        "parameter crs_criu_binary",
                        name);
    *ret_path = path;
    return 0;
}

static uint64_t effective_capabilities(void)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long set = 0;
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "CapEff: %llx", &set) == 1)
            break;
    return set;
}

/* CRIU reads /proc/PID/map_files, which asks for the capability in the first user namespace. */
static bool in_first_user_namespace(void)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/self/uid_map", "re");
    unsigned inside, outside, count;
    return !file || (fscanf(file, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 &&
                     outside == 0 && count == UINT32_MAX);
}

/* Gets the program what its caller lacks? By its set-user-ID bit, or capabilities of its file. */
static bool gains_privileges(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && st.st_uid == 0 && (st.st_mode & S_ISUID))
        return true;
    return getxattr(path, "security.capability", NULL, 0) > 0;
}

int program_check_privileges(const char *path, bool *ret_unprivileged, struct crs_error *err)
{
    uint64_t any_of = UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_CHECKPOINT_RESTORE;
    bool able = effective_capabilities() & any_of;
    if (able && !in_first_user_namespace())
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "this process is root in a user namespace only: CRIU needs "
                        "CAP_CHECKPOINT_RESTORE in the first one");
    if (!able && !gains_privileges(path))
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "CRIU needs root, or CAP_CHECKPOINT_RESTORE and CAP_SYS_PTRACE, for this "
                        "process or given to %s by setcap(8)",
                        path);
    *ret_unprivileged = geteuid() != 0;
    return 0;
}
